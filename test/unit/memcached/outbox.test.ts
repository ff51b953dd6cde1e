/** What is written when, on a socket that takes its time. */
import type { Socket } from 'node:net';
import { Writable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import {
  bytesAtMost,
  encodeRequest,
  OPCODE,
  plain,
  writeRequest,
} from '../../../src/memcached/binary/codec.ts';
import { Outbox } from '../../../src/memcached/socket/outbox.ts';

const KIB = 1024;

interface Scene {
  /** Gathers a get of `name`, or an add with a value of so many bytes. */
  request(name: string, valueBytes?: number): Buffer;
  readonly outbox: Outbox;
  /** Each write as the socket was given it: its chunks, which it may read until it is done. */
  readonly writes: readonly (readonly Buffer[])[];
  /** The socket is done with the oldest write; resolves when the outbox has heard of it. */
  done(error?: Error): Promise<void>;
}

function scene(encrypted: boolean): Scene {
  const writes: Buffer[][] = [];
  const callbacks: ((error?: Error | null) => void)[] = [];
  const take = (chunks: Buffer[], callback: (error?: Error | null) => void): void => {
    writes.push(chunks);
    callbacks.push(callback);
  };
  const socket = new Writable({
    write: (chunk: Buffer, _, callback) => take([chunk], callback),
    writev: (chunks, callback) =>
      take(
        chunks.map(({ chunk }) => chunk as Buffer),
        callback,
      ),
  });
  socket.on('error', () => {});
  const outbox = new Outbox(socket as unknown as Socket, encrypted);
  return {
    outbox,
    writes,
    request(name, valueBytes) {
      const value = valueBytes === undefined ? undefined : Buffer.alloc(valueBytes, name);
      const parts = { ...plain(name), value };
      writeRequest(outbox.room(bytesAtMost(parts)), OPCODE.getQuietly, 1, parts);
      return encodeRequest(OPCODE.getQuietly, 1, parts);
    },
    async done(error) {
      callbacks.shift()?.(error);
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

const hex = (chunks: readonly Buffer[] | undefined): string =>
  Buffer.concat(chunks ?? []).toString('hex');

describe.each([
  ['TCP', false],
  ['TLS', true],
])('over %s', (_, encrypted) => {
  test('a moment goes out when it is over, in one write', () => {
    const { request, outbox, writes } = scene(encrypted);
    const requests = [request('a'), request('b', 100), request('c')];
    expect(writes).toEqual([]);
    outbox.send();
    expect(writes.map(hex)).toEqual([hex(requests)]);
  });

  test('what is gathered during a write goes out behind it, in one write', async () => {
    const { request, outbox, writes, done } = scene(encrypted);
    request('a');
    outbox.send();
    const later = [request('b')];
    outbox.send();
    later.push(request('c'));
    outbox.send();
    expect(writes.length).toBe(1);
    await done();
    expect(writes.slice(1).map(hex)).toEqual([hex(later)]);
  });

  test('memory that the socket still reads is left alone', async () => {
    const { request, outbox, writes, done } = scene(encrypted);
    const first = request('a', 1000);
    outbox.send();
    const second = request('b', 1000);
    outbox.send();
    expect(hex(writes[0])).toBe(hex([first]));
    await done();
    const third = request('c', 1000);
    outbox.send();
    expect(hex(writes[1])).toBe(hex([second]));
    await done();
    expect(hex(writes[2])).toBe(hex([third]));
    expect(writes[2]?.[0]?.buffer, 'used again when it was free').toBe(writes[0]?.[0]?.buffer);
  });

  test('what is gathered when a write ends waits for the end of its moment', async () => {
    const { request, outbox, writes, done } = scene(encrypted);
    request('a');
    outbox.send();
    const second = request('b');
    await done();
    expect(writes.length).toBe(1);
    outbox.send();
    expect(hex(writes[1])).toBe(hex([second]));
  });

  test('nothing goes out after a write failed, or after a drop', async () => {
    const failed = scene(encrypted);
    failed.request('a');
    failed.outbox.send();
    failed.request('b');
    failed.outbox.send();
    await failed.done(new Error('broken'));
    expect(failed.writes.length).toBe(1);

    const dropped = scene(encrypted);
    dropped.request('a');
    dropped.outbox.drop();
    dropped.outbox.send();
    expect(dropped.writes).toEqual([]);
  });
});

test('over TCP a moment of any size is one write', () => {
  const { request, outbox, writes } = scene(false);
  const requests = [request('a'), request('b', 1000 * KIB), request('c'), request('d', 60 * KIB)];
  outbox.send();
  expect(writes.map(hex)).toEqual([hex(requests)]);
  expect(writes[0]?.map(({ length }) => length > 500 * KIB)).toEqual([false, true, false]);
});

test('over TLS a write is one record of whole requests, or one request that needs more', async () => {
  const { request, outbox, writes, done } = scene(true);
  const sizes = [9, 6, 2, 17, 0, 40];
  // A long name leaves room behind it that the small request must not take.
  const requests = sizes.map((size, index) =>
    request('n'.repeat(size === 17 ? 200 : index + 1), size * KIB),
  );
  outbox.send();
  for (let count = 0; count < 5; count++) await done();
  const groups = [requests.slice(0, 2), ...[2, 3, 4, 5].map((index) => [requests[index]])];
  expect(writes.map(hex)).toEqual(groups.map((group) => hex(group as Buffer[])));
});
