/** The faults that the in-memory engine can bring about, on which the simulation builds. */
import { beforeEach, describe, expect, test } from 'vitest';
import {
  MemoryServer,
  type MemoryServerOptions,
} from '../../../src/memcached/memory/memory-server.ts';
import { MemoryStore } from '../../../src/memcached/memory/memory-store.ts';
import type { Connection } from '../../../src/memcached/server.ts';
import { newItem, textOf, valueOf } from '../../support/memcached.ts';
import { VirtualClock } from '../../support/virtual-clock.ts';

let clock: VirtualClock;
let store: MemoryStore;
beforeEach(() => {
  clock = new VirtualClock();
  store = new MemoryStore({ clock });
});

async function connect(
  options: Partial<MemoryServerOptions> = {},
): Promise<{ server: MemoryServer; connection: Connection }> {
  const server = new MemoryServer({ store, ...options });
  return { server, connection: await server.connection() };
}

/** One moment: what was gathered before it is sent. */
const moment = (): Promise<void> => new Promise((resolve) => clock.soon(resolve));

describe('a cut connection', () => {
  const three = (connection: Connection) =>
    ['a', 'b', 'c'].map((name) => connection.add(name, newItem(name)));

  test.each([
    [undefined, []],
    [0, []],
    [1, ['a']],
    [2, ['a', 'b']],
    [9, ['a', 'b', 'c']],
  ])('executes the first %s of what was sent', async (lands, expected) => {
    const { server, connection } = await connect();
    const outstanding = three(connection);
    await moment();
    expect(server.unexecuted).toBe(3);
    server.cut(lands === undefined ? {} : { lands });
    expect(store.names()).toEqual(expected);
    const outcomes = (await Promise.all(outstanding)).map(textOf);
    expect(outcomes).toEqual(Array(3).fill('unknown: MEMCACHED_CLOSED'));
    await clock.advance(60_000);
    expect(store.names()).toEqual(expected);
    expect([connection.alive, server.current?.epoch]).toEqual([false, 2]);
  });

  test('sends nothing that was only gathered', async () => {
    const { server, connection } = await connect();
    const gathered = three(connection);
    server.cut({ lands: 9 });
    expect((await Promise.all(gathered)).map(textOf)).toEqual(Array(3).fill('refused: not-sent'));
    await clock.advance(60_000);
    expect(store.names()).toEqual([]);
  });

  test('can let it land much later, after what others did meanwhile', async () => {
    const { server, connection } = await connect();
    const late = connection.add('a', newItem('late'));
    await moment();
    server.cut({ lands: 1, afterMs: 5_000 });
    expect(textOf(await late)).toBe('unknown: MEMCACHED_CLOSED');
    const next = await server.connection();
    await clock.advance(4_999);
    expect(textOf(await next.get('a'))).toBe('refused: missing');
    await clock.advance(1);
    expect(valueOf(await next.get('a')).value.toString()).toBe('late');
  });

  test('a restart forgets what was to land', async () => {
    const { server, connection } = await connect();
    void connection.add('a', newItem('late'));
    await moment();
    server.cut({ lands: 1, afterMs: 5_000 });
    store.restart();
    await clock.advance(10_000);
    expect(store.names()).toEqual([]);
  });

  test('executed and not yet answered is unknown, too', async () => {
    const { server, connection } = await connect();
    const added = connection.add('a', newItem('x'));
    for (let hops = 0; store.peek('a') === undefined && hops < 9; hops++) await moment();
    server.cut();
    expect(textOf(await added)).toBe('unknown: MEMCACHED_CLOSED');
    expect(store.names()).toEqual(['a']);
  });
});

describe('a server that is down for one client', () => {
  test('is there for the others, and back when it is up', async () => {
    const { server, connection } = await connect();
    const other = await connect();
    server.down(true);
    expect([connection.alive, other.connection.alive]).toEqual([false, true]);
    const waiting = server.connection();
    const rejected = expect(waiting).rejects.toMatchObject({ code: 'MEMCACHED_UNREACHABLE' });
    await clock.advance(1000);
    await rejected;
    const next = server.connection();
    server.down(false);
    expect((await next).epoch).toBe(2);
  });
});

describe('a stopped store', () => {
  test('executes later what it has received, although nobody waits any more', async () => {
    const { server, connection } = await connect();
    store.stop();
    const added = connection.add('a', newItem('x'));
    await clock.advance(1000);
    expect(textOf(await added)).toBe('unknown: MEMCACHED_TIMED_OUT');
    expect([store.names(), server.current]).toEqual([[], undefined]);
    store.resume();
    await clock.settle();
    expect(store.names()).toEqual(['a']);
    expect(server.current?.epoch).toBe(2);
  });

  test('also what was to land of a cut connection', async () => {
    const { server, connection } = await connect();
    store.stop();
    void connection.add('a', newItem('x'));
    await moment();
    server.cut({ lands: 1 });
    expect(store.names()).toEqual([]);
    store.resume();
    expect(store.names()).toEqual(['a']);
  });
});

describe('the store', () => {
  test('a restart loses everything, and begins the CAS anew', async () => {
    const { server, connection } = await connect();
    const before = valueOf(await connection.add('a', newItem('x')));
    const outstanding = connection.get('a');
    await moment();
    store.restart();
    expect(textOf(await outstanding)).toBe('unknown: MEMCACHED_CLOSED');
    const next = await server.connection();
    const after = valueOf(await next.add('a', newItem('y')));
    expect([before, after]).toEqual([1n, 1n]);
  });

  test('flush and eviction leave connections and CAS', async () => {
    const { connection } = await connect();
    await connection.add('a', newItem('x'));
    await connection.add('b', newItem('x'));
    expect([store.evict('a'), store.evict('a'), store.names()]).toEqual([true, false, ['b']]);
    store.flushAll();
    expect(store.names()).toEqual([]);
    expect(valueOf(await connection.add('a', newItem('x')))).toBe(3n);
  });

  test('foreign writes ask for no CAS', async () => {
    const { connection } = await connect();
    const cas = valueOf(await connection.add('a', newItem('x')));
    store.put('a', Buffer.from('foreign'), 3);
    expect(textOf(await connection.replace('a', newItem('y'), cas))).toBe('refused: exists');
    expect(store.peek('a')).toMatchObject({ value: Buffer.from('foreign'), flags: 3 });
  });

  test('without room refuses what is new and keeps what is there', async () => {
    const { connection } = await connect();
    const cas = valueOf(await connection.add('a', newItem('x')));
    store.full(true);
    expect(textOf(await connection.add('b', newItem('x')))).toBe('refused: out-of-memory');
    expect(textOf(await connection.replace('a', newItem('y'), cas))).toBe('refused: out-of-memory');
    expect(textOf(await connection.bump('a', cas))).toBe('refused: missing');
    expect(store.peek('a')?.cas).toBe(cas);
  });

  test('an item for N seconds lives between N-1 and N', async () => {
    const { connection } = await connect();
    await clock.advance(900);
    await connection.add('a', newItem('x', 3));
    await clock.advance(2_099);
    expect(store.names()).toEqual(['a']);
    await clock.advance(1);
    expect(store.names()).toEqual([]);
  });

  test('nobody can change what is stored through what was handed out', async () => {
    const { connection } = await connect();
    await connection.add('a', newItem('x'));
    valueOf(await connection.get('a')).value.write('!');
    expect(store.peek('a')?.value.toString()).toBe('x');
  });
});

describe('travelling', () => {
  test('requests of other connections run in between those of one moment', async () => {
    const one = await connect();
    const two = await connect();
    const order: string[] = [];
    const add = store.add.bind(store);
    store.add = (name, item) => {
      order.push(name);
      return add(name, item);
    };
    await Promise.all([
      ...['1a', '1b', '1c'].map((name) => one.connection.add(name, newItem(''))),
      ...['2a', '2b', '2c'].map((name) => two.connection.add(name, newItem(''))),
    ]);
    expect(order.filter((name) => name.startsWith('1'))).toEqual(['1a', '1b', '1c']);
    expect(order.filter((name) => name.startsWith('2'))).toEqual(['2a', '2b', '2c']);
    expect(order.slice(0, 3)).not.toEqual(['1a', '1b', '1c']);
  });

  test('takes as long as it is told, and keeps the order', async () => {
    const delays = [30, 1, 1, 30, 1];
    const { connection } = await connect({ oneWayMs: () => delays.shift() ?? 1 });
    const answered: string[] = [];
    const first = connection.add('a', newItem('x')).then(() => answered.push('a'));
    await moment();
    const second = connection.add('b', newItem('x')).then(() => answered.push('b'));
    await clock.advance(100);
    await Promise.all([first, second]);
    expect([answered, store.names()]).toEqual([
      ['a', 'b'],
      ['a', 'b'],
    ]);
    expect(clock.pendingTimers).toBeLessThanOrEqual(1);
  });
});
