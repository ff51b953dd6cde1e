/** Locks without a value, whose CAS says whose they are; and both forms side by side. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { takeoverMarginMs } from '../../../src/lock/lease.ts';
import { parseLock } from '../../../src/lock/lock-item.ts';
import type { Acquisition } from '../../../src/lock/lock.ts';
import type { Item, MemcachedServer } from '../../../src/memcached/server.ts';
import { MemoryStore } from '../../../src/memcached/memory/memory-store.ts';
import { wrapped } from '../../support/lock-twins.ts';
import { LEASE_MS, LOCK, type LockProcess, LockWorld } from '../../support/lock-world.ts';

const DUE_MS = LEASE_MS + takeoverMarginMs(LEASE_MS);

let world: LockWorld;

beforeEach(() => {
  world = new LockWorld((clock) => new MemoryStore({ clock, casByUs: true }));
});
afterEach(() => world.close());

/** A process that writes locks with a value: an older protocol, or an older setting. */
function byValue(): LockProcess {
  return world.process({ wrap: (server) => wrapped(server, () => ({ casByUs: false })) });
}

const byCas = (): LockProcess => world.process();

function standing(): Item {
  const item = world.store.peek(LOCK);
  if (item === undefined) throw new Error('no lock');
  return item;
}

const FORMS = { 'by value': byValue, 'by CAS': byCas };

describe('a lock by CAS', () => {
  it('has neither value nor flags, and says how long the lease lasts', async () => {
    await byCas().hold();
    const item = standing();
    expect([item.value.length, item.flags]).toEqual([0, 0]);
    expect(parseLock(item)?.durationMs).toBe(LEASE_MS);
  });

  it('is another one for each attempt and each renewal', async () => {
    const seen = new Set<bigint>();
    for (let round = 0; round < 20; round++) {
      const process = byCas();
      const lease = await process.hold();
      seen.add(standing().cas);
      await world.clock.advance(LEASE_MS / 2);
      seen.add(standing().cas);
      expect(parseLock(standing())?.durationMs).toBe(LEASE_MS);
      const released = lease.release();
      await world.clock.advance(0);
      await released;
    }
    expect(seen.size).toBe(40);
  });

  it('is not taken over as long as it is renewed', async () => {
    const lease = await byCas().hold();
    const contenders = [byCas(), byValue()];
    for (let round = 0; round < 30; round++) {
      await world.clock.advance(LEASE_MS / 4);
      for (const contender of contenders) expect((await contender.attempt()).kind).toBe('busy');
    }
    expect(lease.signal.aborted).toBe(false);
    expect(lease.trustLeftMs()).toBeGreaterThan(0);
  });

  it('is renewed and taken over without memory', async () => {
    const holder = byCas();
    const lease = await holder.hold();
    world.store.full(true);
    await world.clock.advance(10 * LEASE_MS);
    expect(lease.trustLeftMs()).toBeGreaterThan(0);
    holder.clock.freeze();
    const contender = byCas();
    expect((await contender.attempt()).kind).toBe('busy');
    await world.clock.advance(DUE_MS);
    expect((await contender.attempt()).kind).toBe('held');
    world.store.full(false);
  });

  it('is confirmed by its last renewal, be that answered or not', async () => {
    const process = world.process({ oneWayMs: () => 5 });
    const lease = await process.hold();
    await world.clock.advance(LEASE_MS / 3 - 4); // the renewal is sent in these 20 ms
    const before = lease.confirm();
    await world.clock.advance(5);
    const during = lease.confirm();
    await world.clock.advance(30);
    expect([await before, await during]).toEqual([true, true]);
    const after = lease.confirm();
    await world.clock.advance(10);
    expect(await after).toBe(true);
  });

  describe('whose answer is lost', () => {
    async function lost(process: LockProcess): Promise<Acquisition> {
      await process.wrapped.connection();
      const attempt = process.locks.attempt(process.wrapped, LOCK, () => {});
      await world.clock.advance(1);
      process.server.cut({ lands: 1 });
      return world.clock.until(attempt);
    }

    it('is found to be ours', async () => {
      const process = world.process({ oneWayMs: () => 10 });
      const acquisition = await lost(process);
      if (acquisition.kind !== 'held') throw new Error(`${acquisition.kind}, not held`);
      await world.clock.advance(10 * LEASE_MS);
      expect(acquisition.lease.trustLeftMs()).toBeGreaterThan(0);
    });

    it('is left alone where it could not be renewed: another server has its place', async () => {
      const wrap = (server: MemcachedServer): MemcachedServer =>
        wrapped(server, ({ epoch }) => ({ casByUs: epoch === 1 }));
      const process = world.process({ oneWayMs: () => 10, wrap });
      expect((await lost(process)).kind).toBe('busy');
      // Nobody holds it: it is ours without being watched first.
      const next = await world.clock.until(process.attempt());
      if (next.kind !== 'held') throw new Error(`${next.kind}, not held`);
      expect(standing().value.length).toBeGreaterThan(0);
      await world.clock.advance(10 * LEASE_MS);
      expect(next.lease.trustLeftMs()).toBeGreaterThan(0);
    });
  });
});

describe('the other form', () => {
  it.each([
    ['by value', 'by CAS'],
    ['by CAS', 'by value'],
  ] as const)('a lock %s is respected, watched and taken over %s', async (its, ours) => {
    const holder = FORMS[its]();
    const lost = await holder.hold();
    holder.clock.freeze();
    const contender = FORMS[ours]();
    expect((await contender.attempt()).kind).toBe('busy');
    await world.clock.advance(DUE_MS - 1);
    expect((await contender.attempt()).kind).toBe('busy');
    await world.clock.advance(1);
    const acquisition = await contender.attempt();
    if (acquisition.kind !== 'held') throw new Error('not held');
    expect(acquisition.lease.takenOver).toBe(true);
    const confirmed = acquisition.lease.confirm();
    await world.clock.advance(0);
    expect(await confirmed).toBe(true);
    // Whatever its old holder asks for, the lock does not name him any more.
    expect(parseLock(standing())?.owner).not.toContain('process0');
    holder.clock.thaw();
    const late = lost.confirm();
    await world.clock.advance(10);
    expect(await late).toBe(false);
    const again = acquisition.lease.confirm();
    await world.clock.advance(0);
    expect(await again).toBe(true);
  });

  it('a lock with a value is taken over with a value', async () => {
    const holder = byValue();
    await holder.hold();
    holder.clock.freeze();
    const contender = byCas();
    await contender.attempt();
    await world.clock.advance(DUE_MS);
    expect((await contender.attempt()).kind).toBe('held');
    expect(parseLock(standing())?.owner).toContain('process1');
    expect(standing().value.length).toBeGreaterThan(0);
  });
});
