/** What may be written under a lease, and as what it is stored. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lockCodec } from '../../../src/cells/lock-codec.ts';
import type { TokenSource } from '../../../src/lock/lock.ts';
import type { HeldKey } from '../../../src/lock/strict/held-keys.ts';
import { createLocks, type Locks } from '../../../src/lock/strict/with-lease.ts';
import { MemoryServer } from '../../../src/memcached/memory/memory-server.ts';
import { RendezvousServers } from '../../../src/memcached/rendezvous.ts';
import { NOBODY } from '../../support/lock-codec.ts';
import { LockWorld } from '../../support/lock-world.ts';

let world: LockWorld;
let server: MemoryServer;
let locks: Locks;

beforeEach(() => {
  world = new LockWorld();
  const { clock, store, tokens } = world;
  server = new MemoryServer({ store, clock });
  const memcached = new RendezvousServers([server]);
  locks = createLocks({ memcached, tokens, codec: lockCodec, clock });
});
afterEach(async () => {
  await world.clock.until(locks.close());
  await world.clock.until(server.close());
  await world.close();
});

function stored(key: string): unknown {
  const item = world.store.peek(key);
  return item === undefined ? undefined : lockCodec.decode({ ...item, cas: 1n }, NOBODY);
}

const circle: Record<string, unknown> = {};
circle['self'] = circle;
const hostile = new Proxy(
  {},
  {
    ownKeys() {
      throw new Error('not today');
    },
  },
);

describe('a value written under a lease', () => {
  it.each<[string, unknown]>([
    ['NaN', { a: Number.NaN }],
    ['Infinity', [Number.POSITIVE_INFINITY]],
    ['a Map', new Map([[1, 2]])],
    ['a Set', { deep: [new Set()] }],
    ['a Date', { at: new Date(0) }],
    ['a Buffer', Buffer.from('x')],
    ['a hole', [undefined, 1]],
    // oxlint-disable-next-line no-sparse-arrays
    ['a sparse array', [1, , 2]],
    ['a function', () => 1],
    ['a symbol', { a: Symbol('a') }],
    ['a bigint', 1n],
    ['undefined', undefined],
    ['a circle', circle],
    ['an instance of a class', new (class Point {})()],
    ['an object with toJSON', { toJSON: () => 1 }],
    [
      'a getter that throws',
      {
        get a() {
          throw new Error('boom');
        },
      },
    ],
    ['a Proxy that throws', hostile],
  ])('is refused if it is or holds %s, where it is written', async (_, value) => {
    let thrown: unknown;
    const writing = locks.withLease('k', (held) => {
      try {
        held.write(value);
      } catch (error) {
        thrown = error;
        throw error;
      }
    });
    await expect(writing).rejects.toMatchObject({
      code: 'VALUE_NOT_JSON',
      message: expect.stringContaining('"k"'),
    });
    expect(thrown).toMatchObject({ code: 'VALUE_NOT_JSON' });
    await world.clock.settle();
    expect(world.store.names()).toEqual([]);
  });

  it('is stored as it was at that moment', async () => {
    await locks.withLease('k', (held) => {
      const value = { n: 1, list: [1] };
      held.write(value);
      value.n = 99;
      value.list.push(2);
    });
    expect(stored('k')).toEqual({ n: 1, list: [1] });
  });

  it('loses what JSON leaves out', async () => {
    await locks.withLease('k', (held) => held.write({ a: 1, b: undefined, c: -0 }));
    expect(stored('k')).toEqual({ a: 1, c: 0 });
  });

  it('that is refused leaves the one before it to be written', async () => {
    await locks.withLease('k', (held: HeldKey<unknown>) => {
      held.write(1);
      expect(() => held.write(Number.NaN)).toThrow('NaN');
    });
    expect(stored('k')).toBe(1);
  });
});

describe('a token that is drawn to change a value', () => {
  const held = async (key: string, tokens: TokenSource): Promise<number> => {
    const { clock } = world;
    const locks = createLocks({
      memcached: new RendezvousServers([server]),
      tokens,
      codec: lockCodec,
      clock,
    });
    try {
      const writing = locks.withLease(key, ({ token, write }) => {
        write('by this one');
        return token;
      });
      return await clock.until(writing);
    } finally {
      await clock.until(locks.close());
    }
  };
  const source = (token: number, id = 'ours', madeAt = 1): TokenSource => ({
    drawToken: () => Promise.resolve({ token, dataSet: { id, madeAt } }),
  });

  it('must be above the one that wrote it', async () => {
    expect(await held('k', source(10))).toBe(10);
    for (const token of [10, 9]) {
      await expect(held('k', source(token))).rejects.toMatchObject({ code: 'REDIS_WENT_BACK' });
    }
    expect(await held('k', source(11))).toBe(11);
  });

  it('must not come from another Redis that is at work beside the one that wrote it', async () => {
    await held('k', source(10));
    await expect(held('k', source(12, 'theirs'))).rejects.toMatchObject({
      code: 'CELL_OF_ANOTHER_REDIS',
    });
    expect(stored('k')).toBe('by this one');
  });

  it('may come from one that stands in its place since: nothing is lost but the counter', async () => {
    await held('k', source(10));
    expect(await held('k', source(30, 'emptied', 20))).toBe(30);
    await expect(held('k', source(31))).rejects.toMatchObject({ code: 'CELL_OF_ANOTHER_REDIS' });
  });
});
