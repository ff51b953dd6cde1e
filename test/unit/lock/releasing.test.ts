import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Connection, MemcachedServer } from '../../../src/memcached/server.ts';
import { LEASE_MS, LOCK, LockWorld } from '../../support/lock-world.ts';
import { withoutDeleteCas } from '../../support/lock-twins.ts';

let world: LockWorld;

beforeEach(() => {
  world = new LockWorld();
});
afterEach(() => world.close());

describe('releasing a lease', () => {
  it('takes the lock away', async () => {
    const lease = await world.process().hold();
    await lease.release();
    expect(world.store.peek(LOCK)).toBeUndefined();
    expect(lease.trustLeftMs()).toBe(0);
    expect(lease.signal.aborted).toBe(false);
  });

  it('goes out in one write behind what was asked before', async () => {
    const process = world.process({ oneWayMs: () => 10 });
    const lease = await process.hold();
    const cas = world.store.put('cell', Buffer.from('old'));
    void lease.connection.replace(
      'cell',
      { value: Buffer.from('new'), flags: 0, ttlSeconds: 0 },
      cas,
    );
    void lease.release();
    await world.clock.settle();
    expect(process.server.unexecuted).toBe(2);
    await world.clock.advance(10);
    expect(world.store.peek('cell')?.value.toString()).toBe('new');
    expect(world.store.peek(LOCK)).toBeUndefined();
  });

  it('works once, and does no harm twice', async () => {
    const lease = await world.process().hold();
    await lease.release();
    const next = await world.process().hold();
    await lease.release();
    await world.clock.advance(2 * LEASE_MS);
    expect(next.trustLeftMs()).toBeGreaterThan(0);
  });

  it('does nothing after a loss', async () => {
    const process = world.process();
    const lease = await process.hold();
    process.server.cut();
    await world.clock.settle();
    await lease.release();
    expect(world.store.peek(LOCK)).toBeDefined();
  });

  it('waits for a renewal that is under way, whose CAS it needs', async () => {
    const process = world.process({ oneWayMs: () => 20 });
    const lease = await process.hold();
    await world.clock.advance(LEASE_MS / 3 - 20);
    const released = lease.release();
    await world.clock.until(released);
    expect(world.store.peek(LOCK)).toBeUndefined();
    await world.clock.advance(2 * LEASE_MS);
    expect(world.store.peek(LOCK)).toBeUndefined();
  });

  it('leaves a lock that the same process may have again at once if the answer is missing', async () => {
    const process = world.process({ oneWayMs: () => 5 });
    const lease = await process.hold();
    const released = lease.release();
    await world.clock.advance(1);
    process.server.cut({ lands: 0 });
    await world.clock.until(released);
    expect(world.store.peek(LOCK)).toBeDefined();
    const start = world.clock.monotonicMs();
    await process.contend();
    expect(world.clock.monotonicMs() - start).toBeLessThan(100);
  });
});

describe('releasing a lease that another one has already', () => {
  /** The holder freezes, is succeeded, and then releases: as it has not noticed yet. */
  async function releaseLate(wrap: (server: MemcachedServer) => MemcachedServer): Promise<boolean> {
    const lease = await world.process({ wrap }).hold();
    world.store.evict(LOCK);
    const next = await world.process().hold();
    await lease.release();
    expect(next.trustLeftMs()).toBeGreaterThan(0);
    return world.store.peek(LOCK) !== undefined;
  }

  it("does not delete the next holder's lock", async () => {
    expect(await releaseLate((server) => server)).toBe(true);
  });

  it('twin: without the CAS it does', async () => {
    expect(await releaseLate(withoutDeleteCas)).toBe(false);
  });
});

describe('confirming a lease', () => {
  it('asks the server, and is content with our lock', async () => {
    const lease = await world.process().hold();
    expect(await lease.confirm()).toBe(true);
    expect(lease.trustLeftMs()).toBe(LEASE_MS);
  });

  it('is content while a renewal is under way', async () => {
    const lease = await world.process({ oneWayMs: () => 20 }).hold();
    await world.clock.advance(LEASE_MS / 3 - 41);
    const confirmed: Promise<boolean>[] = [];
    for (let ms = 0; ms < 80; ms += 4) {
      confirmed.push(lease.confirm());
      await world.clock.advance(4);
    }
    expect(new Set(await world.clock.until(Promise.all(confirmed)))).toEqual(new Set([true]));
  });

  it.each([
    ['is evicted', () => void world.store.evict(LOCK)],
    ["is another's", () => void world.store.put(LOCK, Buffer.from('other 1000'), 0x544c0001)],
    ['is none at all', () => void world.store.put(LOCK, Buffer.from('foreign'))],
  ])('loses the lease if its lock %s', async (_, happen) => {
    const lease = await world.process().hold();
    happen();
    expect(await lease.confirm()).toBe(false);
    expect(lease.signal.reason).toMatchObject({ code: 'LEASE_LOST' });
    expect(lease.trustLeftMs()).toBe(0);
  });

  it('is not content with an answer that comes after trust has ended', async () => {
    const lease = await world.process({ requestDeadlineMs: 60_000 }).hold();
    const confirmed = lease.confirm();
    world.store.stop();
    await world.clock.advance(LEASE_MS);
    world.store.resume();
    expect(await world.clock.until(confirmed)).toBe(false);
  });

  it('says no without asking once the lease is lost', async () => {
    const process = world.process();
    const lease = await process.hold();
    process.server.cut();
    expect(await lease.confirm()).toBe(false);
  });
});

describe("a late holder's confirmation and the successor's longer lease", () => {
  const LONG_MS = 60_000;

  /** True if the successor's lock outlives the late confirmation. */
  async function survives(wrap: (server: MemcachedServer) => MemcachedServer): Promise<boolean> {
    const late = await world.process({ wrap, leaseMs: 100 }).hold();
    world.store.evict(LOCK);
    const successor = await world.process({ leaseMs: LONG_MS }).hold();
    expect(await late.confirm()).toBe(false);
    await world.clock.advance(LONG_MS / 4); // before the successor's first renewal
    expect(successor.trustLeftMs()).toBeGreaterThan(0);
    return world.store.peek(LOCK) !== undefined;
  }

  it('leaves the lock as it is', async () => {
    expect(await survives((server) => server)).toBe(true);
  });

  it('twin: with get-and-touch it would expire while it is trusted', async () => {
    expect(await survives(touching)).toBe(false);
  });

  /** Reads by get-and-touch, as the confirmation might have been written. */
  function touching(server: MemcachedServer): MemcachedServer {
    const touch = (connection: Connection): Connection =>
      new Proxy(connection, {
        get: (target, property) => {
          if (property === 'get') return (name: string) => target.getAndTouch(name, 3);
          const value: unknown = Reflect.get(target, property, target);
          return typeof value === 'function' ? value.bind(target) : value;
        },
      });
    return {
      address: server.address,
      current: undefined,
      trouble: undefined,
      facts: undefined,
      connection: async () => touch(await server.connection()),
      close: () => server.close(),
    };
  }
});
