import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Lease } from '../../../src/lock/lock.ts';
import type { MemcachedServer } from '../../../src/memcached/server.ts';
import { LEASE_MS, LOCK, LockWorld } from '../../support/lock-world.ts';
import { reconnecting } from '../../support/lock-twins.ts';

let world: LockWorld;

beforeEach(() => {
  world = new LockWorld();
});
afterEach(() => world.close());

function expectLost(lease: Lease): void {
  expect(lease.trustLeftMs()).toBe(0);
  expect(lease.signal.aborted).toBe(true);
  expect(lease.signal.reason).toMatchObject({ code: 'LEASE_LOST' });
}

describe('renewing a lease', () => {
  it('keeps it for as long as the server answers', async () => {
    const lease = await world.process().hold();
    const contender = world.process();
    for (let round = 0; round < 30; round++) {
      await world.clock.advance(LEASE_MS / 2);
      expect((await contender.attempt()).kind).toBe('busy');
      expect(lease.trustLeftMs()).toBeGreaterThan(LEASE_MS / 3);
    }
    expect(lease.signal.aborted).toBe(false);
  });

  it('is due at a third, and renews the trust from its own sending on', async () => {
    const lease = await world.process({ oneWayMs: () => 5 }).hold();
    const first = world.store.peek(LOCK)?.cas;
    const third = LEASE_MS / 3;
    await world.clock.advance(third - 10 - 1);
    expect(world.store.peek(LOCK)?.cas).toBe(first);
    await world.clock.advance(1 + 5);
    expect(world.store.peek(LOCK)?.cas).not.toBe(first);
    expect(lease.trustLeftMs()).toBeCloseTo(LEASE_MS - third - 5);
    await world.clock.advance(5);
    expect(lease.trustLeftMs()).toBeCloseTo(LEASE_MS - 10);
  });

  it('goes on for a lease that is held while nobody reads its signal', async () => {
    const process = world.process();
    await process.hold();
    await world.clock.advance(20 * LEASE_MS);
    expect((await world.process().attempt()).kind).toBe('busy');
  });

  it('tries again if the server has no room for the moment', async () => {
    const lease = await world.process().hold();
    world.store.full(true);
    await world.clock.advance(LEASE_MS / 2);
    expect(lease.signal.aborted).toBe(false);
    world.store.full(false);
    await world.clock.advance(LEASE_MS);
    expect(lease.trustLeftMs()).toBeGreaterThan(0);
  });

  it('loses the lease if the server has no room for a whole lease', async () => {
    const lease = await world.process().hold();
    world.store.full(true);
    await world.clock.advance(LEASE_MS);
    expectLost(lease);
  });

  it('renews each of many leases of different lengths in time', async () => {
    const process = world.process();
    const lengths = [100, 150, 1000, 333, 5000, 120];
    const leases: Lease[] = [];
    for (const ms of lengths) leases.push(await process.hold(`${LOCK}-${ms}`, ms));
    for (let passed = 0; passed < 6000; passed += 50) {
      await world.clock.advance(50);
      for (const lease of leases) expect(lease.trustLeftMs()).toBeGreaterThan(0);
    }
    expect(world.clock.pendingTimers).toBeLessThanOrEqual(2);
  });
});

describe('losing a lease', () => {
  it('happens when trust ends, without asking anybody', async () => {
    const lease = await world.process({ requestDeadlineMs: 60_000 }).hold();
    const { signal } = lease;
    world.store.stop();
    await world.clock.advance(LEASE_MS - 1);
    expect(signal.aborted).toBe(false);
    await world.clock.advance(1);
    expect(signal.aborted).toBe(true);
    expectLost(lease);
  });

  it('is noticed by asking, even if no timer has run since', async () => {
    const process = world.process();
    const lease = await process.hold();
    const { signal } = lease;
    world.clock.leap(LEASE_MS);
    expect(signal.aborted).toBe(false);
    expect(lease.trustLeftMs()).toBe(0);
    expectLost(lease);
  });

  it('is final: a renewal that is answered later does not bring it back', async () => {
    const process = world.process({ requestDeadlineMs: 60_000 });
    const lease = await process.hold();
    world.store.stop();
    await world.clock.advance(LEASE_MS + 1);
    world.store.resume();
    await world.clock.settle();
    expectLost(lease);
    // Its lock is given back, with the CAS that the late renewal has given it.
    expect(world.store.peek(LOCK)).toBeUndefined();
  });

  it('is final, too, if such an answer is the first thing that the process gets to see', async () => {
    const process = world.process({ requestDeadlineMs: 60_000 });
    const lease = await process.hold();
    const { signal } = lease;
    world.store.stop();
    await world.clock.advance(LEASE_MS / 2); // the renewal is on its way
    world.clock.leap(LEASE_MS);
    world.store.resume();
    await world.clock.settle();
    expect(signal.aborted).toBe(true);
    expectLost(lease);
    expect(world.store.peek(LOCK)).toBeUndefined();
  });

  it('happens to a frozen process the moment it goes on', async () => {
    const process = world.process();
    const lease = await process.hold();
    const { signal } = lease;
    process.clock.freeze();
    const successor = await world.process().contend();
    process.clock.thaw();
    await world.clock.settle();
    expect(signal.aborted).toBe(true);
    expectLost(lease);
    expect(successor.trustLeftMs()).toBeGreaterThan(0);
    expect(world.store.peek(LOCK)?.value.toString()).toMatch(/^process1-/);
  });

  it('happens when its lock has been evicted, and nobody adds it again', async () => {
    const lease = await world.process().hold();
    world.store.evict(LOCK);
    await world.clock.advance(LEASE_MS / 3 + 1);
    expectLost(lease);
    expect(world.store.peek(LOCK)).toBeUndefined();
  });

  it('happens when somebody else has its lock', async () => {
    const lease = await world.process().hold();
    world.store.evict(LOCK);
    const next = await world.process().hold();
    await world.clock.advance(LEASE_MS / 3 + 1);
    expectLost(lease);
    expect(next.trustLeftMs()).toBeGreaterThan(0);
  });

  it('happens with the connection, to all its leases at once', async () => {
    const process = world.process();
    const first = await process.hold('toril:lock:a');
    const second = await process.hold('toril:lock:b');
    const { signal } = first;
    process.server.cut();
    expect(second.trustLeftMs()).toBe(0);
    await world.clock.settle();
    expect(signal.aborted).toBe(true);
    expectLost(first);
    expectLost(second);
  });

  it('does not keep the same process from acquiring again at once', async () => {
    const process = world.process();
    await process.hold();
    process.server.cut();
    await world.clock.settle();
    const start = world.clock.monotonicMs();
    const again = await process.contend();
    expect(again.takenOver).toBe(true);
    expect(world.clock.monotonicMs() - start).toBeLessThan(10);
  });

  it('happens when the locks are closed, which release it', async () => {
    const process = world.process();
    const lease = await process.hold();
    const { signal } = lease;
    const closing = process.locks.close();
    expect(signal.aborted).toBe(true);
    await closing;
    expectLost(lease);
    expect(world.store.peek(LOCK)).toBeUndefined();
  });

  it('aborts a signal that is first read afterwards', async () => {
    const process = world.process();
    const lease = await process.hold();
    process.server.cut();
    await world.clock.settle();
    expect(lease.signal.aborted).toBe(true);
    expect(lease.signal.reason).toMatchObject({ code: 'LEASE_LOST' });
  });

  it('does not abort the signal of a lease that was released before', async () => {
    const process = world.process();
    const lease = await process.hold();
    const { signal } = lease;
    await lease.release();
    process.server.cut();
    await world.clock.advance(2 * LEASE_MS);
    expect(signal.aborted).toBe(false);
    expect(lease.trustLeftMs()).toBe(0);
  });
});

describe('a server that restarts gives old CAS numbers to new locks, and', () => {
  /** A lease from before the restart, ended by its holder after it, when another one has the same CAS. */
  async function releaseAfterRestart(wrap: (server: MemcachedServer) => MemcachedServer) {
    const before = world.process({ wrap });
    const lease = await before.hold();
    const oldCas = world.store.peek(LOCK)?.cas;
    world.store.restart();
    await world.clock.settle();
    const next = await world.process().hold();
    expect(world.store.peek(LOCK)?.cas).toBe(oldCas);
    await lease.release();
    return next;
  }

  it('a lease does not touch the lock of its namesake: it ended with its connection', async () => {
    const next = await releaseAfterRestart((server) => server);
    await world.clock.advance(5 * LEASE_MS);
    expect(next.trustLeftMs()).toBeGreaterThan(0);
    expect(world.store.peek(LOCK)).toBeDefined();
  });

  it('twin: over a connection that reconnects by itself it deletes the lock of its namesake', async () => {
    const next = await releaseAfterRestart(reconnecting);
    expect(next.trustLeftMs()).toBeGreaterThan(0);
    expect(world.store.peek(LOCK)).toBeUndefined();
  });
});
