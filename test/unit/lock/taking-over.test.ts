import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { takeoverMarginMs } from '../../../src/lock/lease.ts';
import { parseLock } from '../../../src/lock/lock-item.ts';
import {
  retryAfterMs,
  LockObservations,
  OBSERVATIONS_MAX,
} from '../../../src/lock/lock-observations.ts';
import type { Connection } from '../../../src/memcached/server.ts';
import {
  countingRandom,
  LEASE_MS,
  LOCK,
  type LockProcess,
  LockWorld,
} from '../../support/lock-world.ts';
import { reconnecting } from '../../support/lock-twins.ts';

const DUE_MS = LEASE_MS + takeoverMarginMs(LEASE_MS);

let world: LockWorld;

beforeEach(() => {
  world = new LockWorld();
});
afterEach(() => world.close());

/** Holds the lock, and is not heard of again. */
async function die(process: LockProcess): Promise<void> {
  await process.hold();
  process.clock.freeze();
}

describe('taking a lock over', () => {
  it('is possible exactly a lease and a margin after it was first seen, and not before', async () => {
    await die(world.process());
    await world.clock.advance(300); // how old it is already does not count: it might have been renewed
    const contender = world.process();
    expect((await contender.attempt()).kind).toBe('busy');
    await world.clock.advance(DUE_MS - 1);
    expect((await contender.attempt()).kind).toBe('busy');
    await world.clock.advance(1);
    const acquisition = await contender.attempt();
    if (acquisition.kind !== 'held') throw new Error('not held');
    expect(acquisition.lease.takenOver).toBe(true);
    expect(acquisition.lease.trustLeftMs()).toBe(LEASE_MS);
  });

  it("waits for the holder's lease, not for the contender's own", async () => {
    const holder = world.process({ leaseMs: 3000 });
    await die(holder);
    const contender = world.process({ leaseMs: 100 });
    await contender.attempt();
    await world.clock.advance(3000);
    expect((await contender.attempt()).kind).toBe('busy');
    await world.clock.advance(takeoverMarginMs(3000));
    expect((await contender.attempt()).kind).toBe('held');
  });

  it('asks to be asked again no later than it is possible', async () => {
    await die(world.process());
    const contender = world.process();
    await contender.attempt();
    const start = world.clock.monotonicMs();
    await contender.contend();
    expect(world.clock.monotonicMs() - start).toBeCloseTo(DUE_MS, 6);
  });

  it('starts to count anew with each renewal', async () => {
    const holder = world.process();
    await holder.hold();
    const contender = world.process();
    await contender.attempt();
    await world.clock.advance(LEASE_MS / 2); // the holder renews once in this time
    holder.clock.freeze();
    const secondVersionSeen = world.clock.monotonicMs();
    expect((await contender.attempt()).kind).toBe('busy');
    await world.clock.advance(DUE_MS - 1);
    expect((await contender.attempt()).kind).toBe('busy');
    const lease = await contender.contend();
    expect(lease.takenOver).toBe(true);
    expect(world.clock.monotonicMs() - secondVersionSeen).toBeCloseTo(DUE_MS, 6);
  });

  it('fails against a holder that renewed at the last moment', async () => {
    const holder = world.process({ leaseMs: 3000 });
    const lease = await holder.hold();
    holder.clock.freeze();
    const contender = world.process();
    await contender.attempt();
    await world.clock.advance(2900);
    holder.clock.thaw();
    await world.clock.advance(500);
    expect(lease.trustLeftMs()).toBeGreaterThan(0);
    expect((await contender.attempt()).kind).toBe('busy');
    expect(lease.trustLeftMs()).toBeGreaterThan(0);
  });

  it('succeeds for one of several', async () => {
    await die(world.process());
    const contenders = [world.process(), world.process(), world.process()];
    for (const contender of contenders) await contender.attempt();
    await world.clock.advance(DUE_MS);
    const outcomes = await Promise.all(contenders.map((contender) => contender.attempt()));
    expect(outcomes.map(({ kind }) => kind).sort()).toEqual(['busy', 'busy', 'held']);
  });

  it('is not needed once the broom has swept the lock away', async () => {
    await die(world.process());
    await world.clock.advance(10 * LEASE_MS);
    const lease = await world.process().hold();
    expect(lease.takenOver).toBe(false);
  });

  it('counts on over a connection that was cut in between', async () => {
    await die(world.process());
    const contender = world.process();
    await contender.attempt();
    await world.clock.advance(DUE_MS / 2);
    contender.server.cut();
    await world.clock.advance(DUE_MS / 2);
    const start = world.clock.monotonicMs();
    await contender.contend();
    expect(world.clock.monotonicMs() - start).toBeLessThan(5);
  });
});

describe('two holders that trust their leases at one time', () => {
  /** How long both trust, when the contender's clock runs at `rate`. */
  async function overlapMs(rate: number): Promise<number> {
    const holder = world.process({ requestDeadlineMs: 60_000 });
    const lease = await holder.hold();
    const contender = world.process({ rate });
    await contender.attempt();
    holder.clock.freeze(); // no renewal, and its clock runs on
    await contender.contend();
    return lease.trustLeftMs();
  }

  it('do not come about by clocks that drift as far as time servers push them', async () => {
    expect(await overlapMs(1.083)).toBe(0);
  });

  it('twin: come about if the contender does not wait long enough', async () => {
    expect(await overlapMs(1.3)).toBeGreaterThan(0);
  });
});

describe('a server that restarts gives old CAS numbers to new locks, and', () => {
  /** A contender that has watched a dead holder's lock for long enough, and then the server restarts. */
  async function takeOverAfterRestart(contender: LockProcess) {
    const dead = world.process();
    await die(dead);
    const oldCas = world.store.peek(LOCK)?.cas;
    await contender.attempt();
    await world.clock.advance(DUE_MS);
    world.store.restart();
    await world.clock.settle();
    const fresh = world.process();
    const lease = await fresh.hold();
    expect(world.store.peek(LOCK)?.cas).toBe(oldCas);
    const acquisition = await contender.attempt();
    return { acquisition, lease };
  }

  it('the time watched does not count for the namesake', async () => {
    const { acquisition, lease } = await takeOverAfterRestart(world.process());
    expect(acquisition.kind).toBe('busy');
    await world.clock.advance(5 * LEASE_MS);
    expect(lease.trustLeftMs()).toBeGreaterThan(0);
  });

  it('twin: over a connection that reconnects by itself the namesake is robbed', async () => {
    const { acquisition, lease } = await takeOverAfterRestart(
      world.process({ wrap: reconnecting }),
    );
    expect(acquisition.kind).toBe('held');
    expect(lease.trustLeftMs()).toBeGreaterThan(0);
  });
});

describe('what was seen of other locks', () => {
  const connection = {} as Connection;

  it('is bounded: the lock not asked for longest is forgotten', () => {
    const observations = new LockObservations();
    const content = { owner: 'o', durationMs: 100 };
    for (let n = 0; n < OBSERVATIONS_MAX; n++)
      observations.see(`l${n}`, connection, 5n, content, 0);
    observations.see('l0', connection, 5n, content, 0);
    observations.see('one more', connection, 5n, content, 0);
    expect(observations.size).toBe(OBSERVATIONS_MAX);
    expect(observations.takeoverCas('l0', connection, 1000)).toBe(5n);
    expect(observations.takeoverCas('l1', connection, 1000)).toBeUndefined();
  });

  it('is forgotten with the lock', () => {
    const observations = new LockObservations();
    observations.see('l', connection, 5n, { owner: 'o', durationMs: 100 }, 0);
    observations.forget('l');
    expect(observations.size).toBe(0);
  });

  it('does not count for another owner with the same CAS', () => {
    const observations = new LockObservations();
    observations.see('l', connection, 5n, { owner: 'a', durationMs: 100 }, 0);
    observations.see('l', connection, 5n, { owner: 'b', durationMs: 100 }, 1000);
    expect(observations.takeoverCas('l', connection, 1000)).toBeUndefined();
  });

  it('never asks for a wait beyond the moment of a takeover', () => {
    const observations = new LockObservations();
    const random = countingRandom('r');
    let last = observations.see('l', connection, 5n, { owner: 'a', durationMs: 100 }, 0);
    for (let times = 0; times < 20; times++) {
      last = observations.see('l', connection, 5n, { owner: 'a', durationMs: 100 }, 0);
    }
    expect(retryAfterMs(last, last.dueMs - 3, random)).toBe(3);
    expect(retryAfterMs(last, last.dueMs + 3, random)).toBe(0);
  });
});

it('a lock names its owner anew with each attempt', async () => {
  const process = world.process();
  const owners = new Set<string | undefined>();
  for (let n = 0; n < 3; n++) {
    const lease = await process.hold();
    const item = world.store.peek(LOCK);
    owners.add(item === undefined ? undefined : parseLock(item)?.owner);
    await lease.release();
  }
  expect(owners.size).toBe(3);
});
