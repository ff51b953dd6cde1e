import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Connection, Outcome } from '../../../src/memcached/server.ts';
import { LEASE_MS, LOCK, LockWorld } from '../../support/lock-world.ts';

let world: LockWorld;

beforeEach(() => {
  world = new LockWorld();
});
afterEach(() => world.close());

describe('acquiring a lease', () => {
  it('holds it from the first attempt on, for as long as since the sending', async () => {
    const { server, locks } = world.process({ oneWayMs: () => 7 });
    await server.connection();
    const acquisition = await world.clock.until(locks.attempt(server, LOCK, () => {}));
    if (acquisition.kind !== 'held') throw new Error('not held');
    expect(acquisition.lease.trustLeftMs()).toBe(LEASE_MS - 14);
    expect(acquisition.lease.takenOver).toBe(false);
    expect(acquisition.lease.signal.aborted).toBe(false);
    expect(acquisition.lease.connection).toBe(server.current);
  });

  it('runs what goes beside it first, on the connection of the lease', async () => {
    const { server, locks } = world.process();
    let seen: Promise<Outcome<unknown>> | undefined;
    let where: Connection | undefined;
    const attempt = locks.attempt(server, LOCK, (connection) => {
      where = connection;
      seen = connection.get(LOCK);
    });
    const acquisition = await attempt;
    if (acquisition.kind !== 'held') throw new Error('not held');
    expect(await seen).toEqual({ kind: 'refused', reason: 'missing' });
    expect(acquisition.lease.connection).toBe(where);
  });

  it('is busy while another one holds it, and asks to be asked again soon, then later', async () => {
    await world.process().hold();
    const contender = world.process();
    const waits: number[] = [];
    for (let times = 0; times < 10; times++) {
      const acquisition = await contender.attempt();
      if (acquisition.kind !== 'busy') throw new Error('not busy');
      waits.push(acquisition.retryAfterMs);
    }
    expect(waits[0]).toBeLessThanOrEqual(1);
    expect(waits.at(-1)).toBeGreaterThanOrEqual(25);
    expect(Math.max(...waits)).toBeLessThanOrEqual(50);
    expect(new Set(waits).size).toBe(waits.length);
  });

  it('gets through at once when the holder has released it', async () => {
    const lease = await world.process().hold();
    const contender = world.process();
    expect((await contender.attempt()).kind).toBe('busy');
    await lease.release();
    expect((await contender.attempt()).kind).toBe('held');
  });

  it('gives each key a lease of its own', async () => {
    const process = world.process();
    await process.hold('toril:lock:a');
    await process.hold('toril:lock:b');
    expect(world.store.names()).toEqual(['toril:lock:a', 'toril:lock:b']);
  });

  it('takes the length that it is given', async () => {
    const lease = await world.process().hold(LOCK, 5000);
    expect(lease.durationMs).toBe(5000);
    expect(world.store.peek(LOCK)?.value.toString()).toMatch(/ 5000$/);
  });

  it('says so if somebody else keeps a value under the name of the lock', async () => {
    world.store.put(LOCK, Buffer.from('mine'));
    const acquisition = await world.process().attempt();
    expect(acquisition).toMatchObject({ kind: 'unavailable', cause: { code: 'FOREIGN_VALUE' } });
    expect(world.store.peek(LOCK)?.value.toString()).toBe('mine');
  });

  it('says so if memcached has no room', async () => {
    world.store.full(true);
    expect(await world.process().attempt()).toMatchObject({
      kind: 'unavailable',
      cause: { code: 'MEMCACHED_REFUSED' },
    });
  });

  it('says so if the server is out of reach', async () => {
    const { server, locks } = world.process();
    server.down(true);
    const acquisition = await world.clock.until(locks.attempt(server, LOCK, () => {}));
    expect(acquisition).toMatchObject({
      kind: 'unavailable',
      cause: { code: 'MEMCACHED_UNREACHABLE' },
    });
  });

  it('starts anew on the next connection if the first one ended before anything was sent', async () => {
    const { server, locks } = world.process();
    const first = await server.connection();
    const seen: Connection[] = [];
    const attempt = locks.attempt(server, LOCK, (connection) => void seen.push(connection));
    await Promise.resolve(); // the request is made, but not yet sent
    first.destroy();
    expect((await attempt).kind).toBe('held');
    expect(seen).toEqual([first, server.current]);
  });

  it('gives a lease back that was over when its answer came', async () => {
    const { server, locks } = world.process({
      oneWayMs: () => 60,
      leaseMs: 100,
      requestDeadlineMs: 5000,
    });
    const acquisition = await world.clock.until(locks.attempt(server, LOCK, () => {}));
    expect(acquisition).toMatchObject({
      kind: 'unavailable',
      cause: { code: 'MEMCACHED_TIMED_OUT' },
    });
    await world.clock.advance(120);
    expect(world.store.peek(LOCK)).toBeUndefined();
  });

  it('ends with the locks', async () => {
    const process = world.process();
    await process.locks.close();
    expect(await process.attempt()).toMatchObject({
      kind: 'unavailable',
      cause: { code: 'CLOSED' },
    });
  });

  it('gives a lease back that arrives after the locks were closed', async () => {
    const { server, locks } = world.process({ oneWayMs: () => 5 });
    await server.connection();
    const attempt = locks.attempt(server, LOCK, () => {});
    await world.clock.advance(5);
    const closing = locks.close();
    expect(await world.clock.until(attempt)).toMatchObject({
      kind: 'unavailable',
      cause: { code: 'CLOSED' },
    });
    await world.clock.until(closing);
    await world.clock.advance(10);
    expect(world.store.peek(LOCK)).toBeUndefined();
  });
});

describe('acquiring a lease whose answer is missing', () => {
  /** An attempt whose request has been sent and then met `fate` on its way. */
  async function cutAttempt(cut: { lands: number; afterMs?: number }) {
    const process = world.process({ oneWayMs: () => 10 });
    const { server, locks, clock } = process;
    await server.connection();
    const seen: Connection[] = [];
    const sentMs = clock.monotonicMs();
    const attempt = locks.attempt(server, LOCK, (connection) => void seen.push(connection));
    await world.clock.advance(1);
    expect(server.unexecuted).toBe(1);
    server.cut(cut);
    const acquisition = await world.clock.until(attempt);
    return { process, acquisition, seen, sentMs };
  }

  it('finds it to be ours on a new connection, and counts trust from the first sending', async () => {
    const { process, acquisition, seen, sentMs } = await cutAttempt({ lands: 1 });
    if (acquisition.kind !== 'held') throw new Error(`${acquisition.kind}, not held`);
    const { lease } = acquisition;
    expect(seen).toHaveLength(2);
    expect(lease.connection).toBe(seen[1]);
    expect(lease.connection).toBe(process.server.current);
    const passedMs = process.clock.monotonicMs() - sentMs;
    expect(passedMs).toBeGreaterThan(20);
    expect(lease.trustLeftMs()).toBe(LEASE_MS - passedMs);
  });

  it('renews a lease that it has found so', async () => {
    const { acquisition } = await cutAttempt({ lands: 1 });
    if (acquisition.kind !== 'held') throw new Error(`${acquisition.kind}, not held`);
    await world.clock.advance(5 * LEASE_MS);
    expect(acquisition.lease.trustLeftMs()).toBeGreaterThan(0);
  });

  it('does not hold it if the request never arrived', async () => {
    const { process, acquisition } = await cutAttempt({ lands: 0 });
    expect(acquisition.kind).toBe('busy');
    await process.hold();
  });

  it('does not hold it if another one came first', async () => {
    const process = world.process({ oneWayMs: () => 10 });
    const { server, locks } = process;
    await server.connection();
    const attempt = locks.attempt(server, LOCK, () => {});
    await world.clock.advance(1);
    const other = await world.process().hold();
    server.cut({ lands: 1 });
    expect((await world.clock.until(attempt)).kind).toBe('busy');
    expect(other.trustLeftMs()).toBeGreaterThan(0);
  });

  it('takes its own late request over at once: nobody holds that lease', async () => {
    const { process, acquisition } = await cutAttempt({ lands: 1, afterMs: 100 });
    expect(acquisition.kind).toBe('busy');
    await world.clock.advance(100);
    expect(world.store.peek(LOCK)).toBeDefined();
    const start = world.clock.monotonicMs();
    const lease = await process.contend();
    expect(lease.takenOver).toBe(true);
    expect(world.clock.monotonicMs() - start).toBeLessThan(100);
  });

  it('is unavailable as long as it cannot be found out', async () => {
    const process = world.process({ oneWayMs: () => 10 });
    const { server, locks } = process;
    await server.connection();
    const attempt = locks.attempt(server, LOCK, () => {});
    await world.clock.advance(1);
    server.down(true, { lands: 1 });
    expect(await world.clock.until(attempt)).toMatchObject({
      kind: 'unavailable',
      cause: { code: 'MEMCACHED_UNREACHABLE' },
    });
    server.down(false);
    const lease = await process.contend();
    expect(lease.takenOver).toBe(true);
  });
});
