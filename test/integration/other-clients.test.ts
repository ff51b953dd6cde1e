/** Programs without Toril read cells: by text protocol, as clients in other languages do, and by memjs. */
import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { Client } from 'memjs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { DELETE_CELL, defineUpdate } from '../../src/index.ts';
import { memcachedAddresses } from '../support/servers.ts';
import { enqueueLog, entries, expectExact, stage } from '../support/workers.ts';

interface Found {
  readonly flags: number;
  readonly envelope: { readonly value?: unknown; readonly token: number };
}

/** The recipe of docs/memcached.md, in a few lines that know nothing of Toril. */
function nameOf(key: string): string {
  const safe = Buffer.byteLength(key) <= 250 && !/[\0-\x20\x7f]/.test(key);
  return safe ? key : `toril:sha256:${createHash('sha256').update(key).digest('hex')}`;
}

async function getByText(key: string): Promise<Found | undefined> {
  const [host, port] = (memcachedAddresses()[0] as string).split(':');
  const socket = connect(Number(port), host);
  socket.write(`get ${nameOf(key)}\r\nquit\r\n`);
  const reply = await text(socket);
  if (reply === 'END\r\n') return undefined;
  const [, flags, json] = /^VALUE \S+ (\d+) \d+\r\n(.*)\r\nEND\r\n$/s.exec(reply) ?? [];
  return { flags: Number(flags), envelope: JSON.parse(json ?? '') as Found['envelope'] };
}

describe('a client that only speaks the text protocol', () => {
  it.each([
    ['plain', 'plain'],
    ['with blanks and ü', 'with blanks and ü'],
    ['of 600 bytes', 'x'.repeat(600)],
  ])('finds the value of a key that is %s', async (_, end) => {
    const here = stage();
    const key = here.key(end);
    await here.worker();
    await here.finished(await enqueueLog(here, entries(key, 3)));
    const found = await getByText(key);
    expect(found?.envelope.value).toEqual(await here.cells.get(key));
    expect(found?.envelope.token).toBe((await here.cells.read(key))?.token);
  });

  // php-memcached and pylibmc take the low bits for the type of the value, and compressed ones apart.
  it('finds flags whose low 16 bits are free, and whose high ones say that it is a cell', async () => {
    const here = stage();
    await here.worker();
    await here.finished(await enqueueLog(here, entries(here.key(), 1)));
    expect((await getByText(here.key()))?.flags).toBe(0x544f0000);
  });

  it('finds nothing where nothing is, and no value where it was deleted', async () => {
    const remove = defineUpdate({
      name: 'remove',
      key: ({ key }: { key: string }) => key,
      initial: (): unknown => null,
      apply: () => DELETE_CELL,
    });
    const here = stage({ updates: [remove] });
    await here.worker();
    expect(await getByText(here.key())).toBeUndefined();
    await here.finished([await here.queue.enqueue(remove, { key: here.key() })]);
    expect((await getByText(here.key()))?.envelope).not.toHaveProperty('value');
  });
});

it('a memjs client names the server for Toril, reads what it wrote, and stays open', async () => {
  const client = Client.create(memcachedAddresses()[0], { timeout: 0.3 });
  onTestFinished(() => client.close());
  const here = stage({ memcached: client });
  const key = here.key();
  await here.worker();
  const jobs = await here.finished(await enqueueLog(here, entries(key, 5)));
  await expectExact(here, key, jobs);
  const { value } = await client.get(key);
  const envelope = JSON.parse(String(value)) as Found['envelope'];
  expect(envelope.value).toEqual(await here.cells.get(key));
});
