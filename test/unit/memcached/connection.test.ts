/** What a connection makes of answers, of their absence, and of its own end. */
import net from 'node:net';
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { Connection, Outcome } from '../../../src/memcached/server.ts';
import {
  RECONNECT_FIRST_MS,
  type SocketServer,
} from '../../../src/memcached/socket/socket-server.ts';
import { clientOf, eventually, newItem, textOf, valueOf } from '../../support/memcached.ts';
import {
  type Answer,
  encodeReply,
  type ScriptedMemcached,
  type ScriptedRequest,
  scriptedMemcached,
} from '../../support/scripted-memcached.ts';
import { VirtualClock } from '../../support/virtual-clock.ts';

const GET = 0x00;
const FLAGS = Buffer.alloc(4);
const OTHER_END = 'the server closed the connection';

interface Scene {
  readonly memcached: ScriptedMemcached;
  readonly server: SocketServer;
  readonly connection: Connection;
  readonly clock: VirtualClock;
  /** Resolves when the server has got so many requests. */
  got(count: number): Promise<void>;
}

const toClose: (() => Promise<void>)[] = [];
afterEach(async () => {
  vi.restoreAllMocks();
  for (const close of toClose.splice(0).toReversed()) await close();
});

/** Time stands still, so that only those deadlines pass that the test lets pass. */
async function open(script: (request: ScriptedRequest) => void = () => {}): Promise<Scene> {
  const memcached = await scriptedMemcached(script);
  toClose.push(() => memcached.close());
  const clock = new VirtualClock();
  const server = clientOf(memcached.address, { requestDeadlineMs: 1000 }, clock);
  toClose.push(async () => {
    server.current?.destroy();
    await server.close();
  });
  const connection = await server.connection();
  const got = (count: number): Promise<void> =>
    eventually(`${count} requests`, () => memcached.requests.length >= count);
  return { memcached, server, connection, clock, got };
}

async function reconnected(server: SocketServer, clock: VirtualClock): Promise<Connection> {
  const next = server.connection();
  await clock.advance(RECONNECT_FIRST_MS);
  return next;
}

function causeOf(outcome: Outcome<unknown>): string {
  return outcome.kind === 'unknown' ? outcome.cause.message : textOf(outcome);
}

describe('the deadline', () => {
  test('ends the connection and everything outstanding', async () => {
    const { connection, clock, got } = await open();
    const outstanding = [connection.get('a'), connection.add('b', newItem('x'))];
    await got(2);
    await clock.advance(999);
    expect(connection.alive).toBe(true);
    await clock.advance(1);
    expect(connection.alive).toBe(false);
    expect((await Promise.all(outstanding)).map(textOf)).toEqual([
      'unknown: MEMCACHED_TIMED_OUT',
      'unknown: MEMCACHED_TIMED_OUT',
    ]);
  });

  test('is that of the oldest request, and counted for each from its own start', async () => {
    const { connection, clock, got, memcached } = await open();
    const first = connection.get('a');
    await got(1);
    await clock.advance(900);
    const second = connection.get('b');
    await got(2);
    memcached.requests[0]?.reply({ extras: FLAGS });
    await first;
    await clock.advance(999);
    expect(connection.alive).toBe(true);
    await clock.advance(1);
    expect(textOf(await second)).toBe('unknown: MEMCACHED_TIMED_OUT');
  });

  test('takes one timer, however many requests wait', async () => {
    const { connection, clock, got } = await open();
    const outstanding = Array.from({ length: 50 }, () => connection.get('a'));
    await got(50);
    expect(clock.pendingTimers).toBe(1);
    connection.destroy();
    await Promise.all(outstanding);
  });

  test('does not blame the server when this process was too busy to read the answer', async () => {
    const deadlineMs = 100;
    const memcached = await scriptedMemcached((request) => {
      request.reply({ extras: FLAGS, value: 'in time' });
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, deadlineMs * 2);
    });
    const server = clientOf(memcached.address, { requestDeadlineMs: deadlineMs });
    const connection = await server.connection();
    expect(valueOf(await connection.get('a')).value.toString()).toBe('in time');
    await server.close();
    await memcached.close();
  });

  test('a reply that comes after it answers nothing, least of all on the next connection', async () => {
    const { connection, clock, got, memcached, server } = await open();
    const first = connection.get('a');
    await got(1);
    await clock.advance(1000);
    expect(textOf(await first)).toBe('unknown: MEMCACHED_TIMED_OUT');
    const next = await reconnected(server, clock);
    const second = next.get('a');
    await got(2);
    const [late, current] = memcached.requests;
    expect(late?.opaque).toBe(current?.opaque); // the trap: they would match
    late?.reply({ extras: FLAGS, value: 'old' });
    current?.reply({ extras: FLAGS, value: 'new' });
    expect(valueOf(await second).value.toString()).toBe('new');
  });
});

describe('the other side ends', () => {
  const ways: Record<string, (socket: net.Socket) => void> = {
    'with FIN': (socket) => socket.end(),
    'with RST': (socket) => socket.resetAndDestroy(),
    'inside a reply': (socket) => socket.end(encodeReply({ opaque: 3 }).subarray(0, 20)),
  };

  test.each(Object.entries(ways))('%s: everything outstanding is unknown', async (_, end) => {
    const { connection, got, memcached, server } = await open();
    const outstanding = [connection.get('a'), connection.add('b', newItem('x'))];
    await got(2);
    end(memcached.sockets[0] as net.Socket);
    expect((await Promise.all(outstanding)).map(textOf)).toEqual([
      'unknown: MEMCACHED_CLOSED',
      'unknown: MEMCACHED_CLOSED',
    ]);
    await connection.ended;
    expect([connection.alive, server.current]).toEqual([false, undefined]);
    expect(textOf(await connection.get('a'))).toBe('refused: not-sent');
  });

  test('half a reply is not carried into the next connection', async () => {
    const { connection, clock, got, memcached, server } = await open();
    const first = connection.get('a');
    await got(1);
    const [request] = memcached.requests;
    const reply = encodeReply({ opaque: request?.opaque ?? 0, extras: FLAGS, value: 'half' });
    memcached.sockets[0]?.end(reply.subarray(0, -2));
    expect(causeOf(await first)).toContain(OTHER_END);
    const next = await reconnected(server, clock);
    const second = next.get('a');
    await got(2);
    memcached.requests[1]?.reply({ extras: FLAGS, value: 'whole' });
    expect(valueOf(await second).value.toString()).toBe('whole');
  });

  test('what was answered before it stays answered', async () => {
    const { connection } = await open((request) => {
      if (request.name === 'a') request.reply({ extras: FLAGS });
      else request.socket.end();
    });
    const outcomes = await Promise.all([connection.get('a'), connection.get('b')]);
    expect(outcomes.map(textOf)).toEqual(['done', 'unknown: MEMCACHED_CLOSED']);
  });
});

describe('an answer that cannot be trusted ends the connection', () => {
  const add = (connection: Connection): Promise<Outcome<unknown>> =>
    connection.add('a', newItem('x'));
  const get = (connection: Connection): Promise<Outcome<unknown>> => connection.get('a');
  const replace = (connection: Connection): Promise<Outcome<unknown>> =>
    connection.replace('a', newItem('x'), 5n);
  const bump = (connection: Connection): Promise<Outcome<unknown>> => connection.bump('a', 5n);

  test.each<[string, (connection: Connection) => Promise<Outcome<unknown>>, Answer, string]>([
    ['add succeeds with CAS 0', add, { cas: 0n }, 'MEMCACHED_CAS_DISABLED'],
    ['replace succeeds with CAS 0', replace, { cas: 0n }, 'MEMCACHED_CAS_DISABLED'],
    ['bump succeeds with CAS 0', bump, { cas: 0n }, 'MEMCACHED_CAS_DISABLED'],
    ['get finds CAS 0', get, { cas: 0n, extras: FLAGS }, 'MEMCACHED_CAS_DISABLED'],
    ['get finds no flags', get, { value: 'x' }, 'MEMCACHED_PROTOCOL'],
    ['an internal error', replace, { status: 0x84 }, 'MEMCACHED_REFUSED'],
    ['a request to log in', get, { status: 0x20 }, 'MEMCACHED_REFUSED'],
    ['add is "not stored"', add, { status: 5 }, 'MEMCACHED_REFUSED'],
    ['the answer to another request', get, { opaque: 77, extras: FLAGS }, 'MEMCACHED_PROTOCOL'],
    ['another opcode', get, { opcode: 0x0a, extras: FLAGS }, 'MEMCACHED_PROTOCOL'],
  ])('%s', async (_, request, answer, code) => {
    const { connection, memcached } = await open((request) => request.reply(answer));
    const outcomes = await Promise.all([request(connection), connection.get('behind it')]);
    expect(outcomes.map(textOf)).toEqual([`unknown: ${code}`, `unknown: ${code}`]);
    expect(causeOf(outcomes[0] as Outcome<unknown>)).toContain(memcached.address);
    expect(connection.alive).toBe(false);
  });

  test('garbage between two replies', async () => {
    const { connection } = await open((request) => {
      request.reply({ extras: FLAGS });
      request.socket.write('SERVER_ERROR\r\n');
    });
    const outcomes = await Promise.all([connection.get('a'), connection.get('b')]);
    expect(outcomes.map(textOf)).toEqual(['done', 'unknown: MEMCACHED_PROTOCOL']);
    expect(causeOf(outcomes[1] as Outcome<unknown>)).toContain('SERVER_ERROR');
  });

  test('one that passes over a request which must be answered', async () => {
    const { connection } = await open((request) => {
      if (request.name === 'c') request.reply({ extras: FLAGS });
    });
    const outcomes = await Promise.all([
      connection.get('a'),
      connection.add('b', newItem('x')),
      connection.get('c'),
    ]);
    expect(outcomes.map(textOf)).toEqual(Array(3).fill('unknown: MEMCACHED_PROTOCOL'));
  });

  test('an answer that nobody waits for', async () => {
    const { connection, memcached } = await open();
    memcached.sockets[0]?.write(encodeReply({ opcode: GET, opaque: 1 }));
    await connection.ended;
    expect(connection.alive).toBe(false);
  });
});

describe('refusals', () => {
  test('a read that remains unanswered, unlike a later request, found nothing', async () => {
    const { connection } = await open((request) => {
      if (request.name !== 'b') request.reply({ status: 0, extras: FLAGS, value: request.name });
    });
    const read = await Promise.all(['a', 'b', 'c'].map((name) => connection.get(name)));
    expect(read.map(textOf)).toEqual(['done', 'refused: missing', 'done']);
  });

  test.each([
    [0x01, 'missing'],
    [0x02, 'exists'],
    [0x03, 'too-large'],
    [0x82, 'out-of-memory'],
  ])('status %d is %s, and the connection lives', async (status, reason) => {
    const { connection } = await open((request) => request.reply({ status, cas: 0n }));
    const outcomes = await Promise.all([
      connection.add('a', newItem('x')),
      connection.replace('a', newItem('x'), 5n),
      connection.bump('a', 5n),
      connection.delete('a', 5n),
    ]);
    expect(outcomes.map(textOf)).toEqual(Array(4).fill(`refused: ${reason}`));
    expect(connection.alive).toBe(true);
  });

  test('an append that is "not stored" found nothing', async () => {
    const { connection } = await open((request) => request.reply({ status: 5 }));
    expect(textOf(await connection.bump('a', 5n))).toBe('refused: missing');
  });
});

describe('what goes out', () => {
  /** The bytes of each write to the server, from now on. */
  function writesTo(port: number): () => number[] {
    const write = vi.spyOn(net.Socket.prototype, 'write');
    return () =>
      write.mock.calls.flatMap(([chunk], index) =>
        (write.mock.contexts[index] as net.Socket).remotePort === port
          ? (chunk as Uint8Array).length
          : [],
      );
  }

  test('the requests of one moment go out in one write, in order', async () => {
    const { connection, memcached, got } = await open((request) =>
      request.reply({ extras: FLAGS }),
    );
    const writes = writesTo(memcached.port);
    const first = ['a', 'b', 'c'].map((name) => connection.get(name));
    // Promises that settle meanwhile belong to the same moment.
    const later = Promise.resolve().then(() => connection.add('d', newItem('x')));
    await Promise.all([...first, later]);
    expect(writes()).toEqual([3 * 25 + (24 + 8 + 1 + 1)]);
    await connection.get('e');
    expect(writes().length).toBe(2);
    await got(5);
    expect(memcached.requests.map(({ name }) => name)).toEqual(['a', 'b', 'c', 'd', 'e']);
  });

  test('nothing of a moment in which the connection ends', async () => {
    const { connection, memcached } = await open();
    const writes = writesTo(memcached.port);
    const gathered = [connection.get('a'), connection.add('b', newItem('x'))];
    connection.destroy();
    expect((await Promise.all(gathered)).map(textOf)).toEqual([
      'refused: not-sent',
      'refused: not-sent',
    ]);
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    expect(writes()).toEqual([]);
  });

  test('flags, expiry and all 64 bits of the CAS', async () => {
    const large = 2n ** 64n - 2n;
    const { connection, memcached } = await open((request) => request.reply({ cas: large + 1n }));
    const item = { value: Buffer.from('x'), flags: 0xffff_fffe, ttlSeconds: 30 };
    expect(valueOf(await connection.replace('a', item, large))).toBe(large + 1n);
    await connection.delete('a', 2n ** 53n + 1n);
    const [replace, remove] = memcached.requests;
    expect([replace?.cas, replace?.extras.toString('hex')]).toEqual([large, 'fffffffe0000001e']);
    expect(remove?.cas).toBe(9007199254740993n);
  });

  test('a lifetime over 30 days as a date', async () => {
    const { connection, memcached, clock } = await open((request) =>
      request.reply({ extras: FLAGS }),
    );
    const month = 60 * 60 * 24 * 30;
    await connection.getAndTouch('a', month);
    await connection.getAndTouch('a', month + 1);
    expect(memcached.requests.map(({ extras }) => extras.readUInt32BE(0))).toEqual([
      month,
      clock.wallMs() / 1000 + month + 1,
    ]);
  });

  test('values of 100 KiB, many at once, come back whole', async () => {
    const { connection } = await open((request) =>
      request.reply({ extras: FLAGS, value: Buffer.alloc(100 * 1024, request.name) }),
    );
    const names = Array.from({ length: 40 }, (_, index) => String.fromCharCode(65 + index));
    const items = await Promise.all(names.map((name) => connection.get(name)));
    names.forEach((name, index) => {
      const { value } = valueOf(items[index] as (typeof items)[number]);
      expect(value.equals(Buffer.alloc(100 * 1024, name))).toBe(true);
    });
  });
});
