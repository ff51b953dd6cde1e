/** Servers that speak meta and do not tell their settings: ElastiCache Serverless, proxies. */
import { afterEach, expect, test } from 'vitest';
import type { MemcachedSettings } from '../../../../src/memcached/options.ts';
import type { SocketServer } from '../../../../src/memcached/socket/socket-server.ts';
import { clientOf, textOf } from '../../../support/memcached.ts';
import { HELLO, scriptedMeta } from '../../../support/scripted-meta.ts';

const toClose: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of toClose.splice(0).toReversed()) await close();
});

async function untold(
  unproven: MemcachedSettings['unproven'],
  answers: Readonly<Record<string, string>> = {},
): Promise<SocketServer> {
  const hello = { ...HELLO, 'stats settings': 'ERROR\r\n', ...answers };
  const memcached = await scriptedMeta((command) => command.reply('EN\r\n'), hello);
  toClose.push(() => memcached.close());
  const server = clientOf(memcached.address, { protocol: 'meta', unproven });
  toClose.push(() => server.close());
  return server;
}

test.each([undefined, 'refuse'] as const)('are refused by %s, and it is said why', async (how) => {
  const server = await untold(how);
  await expect(server.connection()).rejects.toMatchObject({
    code: 'MEMCACHED_PROTOCOL',
    message: expect.stringMatching(/several locks for one key.*unproven: "accept"/),
  });
});

test('are refused if they tell only one of them', async () => {
  const one = { 'stats settings': 'STAT cas_enabled yes\r\nEND\r\n' };
  await expect((await untold(undefined, one)).connection()).rejects.toMatchObject({
    code: 'MEMCACHED_PROTOCOL',
  });
});

test('are used if that is accepted, and take 1 MiB', async () => {
  const server = await untold('accept');
  const connection = await server.connection();
  expect(server.facts).toMatchObject({ protocol: 'meta', itemSizeMax: 1024 * 1024 });
  expect(textOf(await connection.get('nothing'))).toBe('refused: missing');
});

test.each([
  ['HD c0\r\n', 'MEMCACHED_CAS_DISABLED'],
  ['SERVER_ERROR out of memory storing object\r\n', 'MEMCACHED_PROTOCOL'],
])('must show a CAS: %j', async (answer, code) => {
  const server = await untold('accept', { 'ms toril:p 0 T1 c': answer });
  await expect(server.connection()).rejects.toMatchObject({ code });
});
