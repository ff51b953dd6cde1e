/** Once acquire has returned, no write of an older holder lands any more. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { UncommittedError } from '../../../src/lock/strict/lease-session.ts';
import type { HeldKey } from '../../../src/lock/strict/held-keys.ts';
import type { MemcachedServer } from '../../../src/memcached/server.ts';
import { jsonCodec, NOBODY } from '../../support/lock-codec.ts';
import { LEASE_MS, LockWorld } from '../../support/lock-world.ts';
import { withoutBump, withoutReplaceCas } from '../../support/lock-twins.ts';

const ONE_WAY_MS = 10;
/** From asking for a lease to the write being on its way: two round trips, and half of one way. */
const WRITE_SENT_MS = 4 * ONE_WAY_MS + ONE_WAY_MS / 2;

let world: LockWorld;

beforeEach(() => {
  world = new LockWorld();
});
afterEach(() => world.close());

const cell = (value: unknown, token = 1) =>
  jsonCodec.encode(value, { key: 'k', ...NOBODY, token, previous: undefined });
const plain = (server: MemcachedServer): MemcachedServer => server;

/**
 * A holder's write is on its way when its connection is cut; it lands 5 s later. By then its
 * successor has acquired the lease. What does the cell hold while the successor works?
 */
async function lateWrite(wrap: (server: MemcachedServer) => MemcachedServer, cellExists: boolean) {
  if (cellExists) {
    const { value, flags } = cell('before');
    world.store.put('k', value, flags);
  }
  const older = world.process({ oneWayMs: () => ONE_WAY_MS, wrap });
  await older.server.connection();
  const write = older.strict
    .withLease('k', (held: HeldKey<string>) => held.write("the older holder's"))
    .catch((error: unknown) => error as UncommittedError);
  await world.clock.advance(WRITE_SENT_MS);
  older.server.cut({ lands: 1, afterMs: 5000 });
  const fate = await world.clock.until(write);

  const next = world.process({ wrap });
  let seen: unknown;
  let during: unknown;
  const run = next.strict.withLease('k', async (held: HeldKey<string>) => {
    seen = held.value;
    expect(world.clock.monotonicMs()).toBeLessThan(5000);
    await new Promise<void>((resolve) => void world.clock.after(6000, resolve));
    during = world.valueOf('k');
    held.write('the successor’s');
  });
  const outcome = await world.clock.until(
    run.then(
      () => 'written',
      (error: UncommittedError) => error.code,
    ),
  );
  return { fate, seen, during, outcome };
}

describe('a write of an older holder that arrives late', () => {
  it('is refused', async () => {
    const { fate, seen, during, outcome } = await lateWrite(plain, true);
    expect(fate).toMatchObject({ code: 'LEASE_LOST' });
    expect(seen).toBe('before');
    expect(during).toBe('before');
    expect(outcome).toBe('written');
    expect(world.valueOf('k')).toBe('the successor’s');
  });

  it('is refused as well where the cell was missing', async () => {
    const { seen, during, outcome } = await lateWrite(plain, false);
    expect(seen).toBeUndefined();
    expect(during).toBeUndefined();
    expect(outcome).toBe('written');
  });

  it('twin: without the new CAS it lands under the successor’s hands', async () => {
    const { seen, during, outcome } = await lateWrite(withoutBump, true);
    expect(seen).toBe('before');
    expect(during).toBe("the older holder's");
    expect(outcome).toBe('LEASE_LOST'); // the second fence, the CAS of the successor's own write
  });
});

describe('a holder that goes on after it was succeeded', () => {
  /** It is frozen before it has written anything, and knows of nothing when it is thawed. */
  async function thawedWrite(wrap: (server: MemcachedServer) => MemcachedServer) {
    const { value, flags } = cell(0);
    world.store.put('k', value, flags);
    const older = world.process();
    // The lowest level, where no clock tells that the lease is over: what does memcached itself say?
    const lease = await older.hold('toril:lock:k');
    const connection = await wrap(older.server).connection();
    const read = await connection.get('k');
    if (read.kind !== 'done') throw new Error('no cell');
    older.clock.freeze();
    const next = world.process();
    await world.clock.until(next.strict.withLease('k', (held: HeldKey<number>) => held.write(1)));
    older.clock.thaw();
    await world.clock.until(connection.replace('k', cell('stale'), read.value.cas));
    await lease.release();
    return world.valueOf('k');
  }

  it('cannot write', async () => {
    expect(await thawedWrite(plain)).toBe(1);
  });

  it('twin: without the CAS it overwrites its successor', async () => {
    expect(await thawedWrite((server) => withoutReplaceCas(server, () => true))).toBe('stale');
  });
});

describe('closing a cell to older holders', () => {
  it('sees a write that landed after the cell was read', async () => {
    const process = world.process({ oneWayMs: () => ONE_WAY_MS });
    await process.server.connection();
    const { value, flags } = cell('before');
    world.store.put('k', value, flags);
    const run = process.strict.withLease('k', ({ value: seen }) => seen);
    await world.clock.advance(1.5 * ONE_WAY_MS);
    const late = cell('landed late');
    world.store.put('k', late.value, late.flags);
    expect(await world.clock.until(run)).toBe('landed late');
  });

  it('finds a cell that was missing when it was read', async () => {
    const process = world.process({ oneWayMs: () => ONE_WAY_MS });
    await process.server.connection();
    const run = process.strict.withLease('k', ({ value }) => value);
    await world.clock.advance(1.5 * ONE_WAY_MS);
    const late = cell('landed late');
    world.store.put('k', late.value, late.flags);
    expect(await world.clock.until(run)).toBe('landed late');
  });

  it('gets by without a cell that was evicted after it was read', async () => {
    const process = world.process({ oneWayMs: () => ONE_WAY_MS });
    await process.server.connection();
    const { value, flags } = cell('before');
    world.store.put('k', value, flags);
    const run = process.strict.withLease('k', (held) => held.value);
    await world.clock.advance(1.5 * ONE_WAY_MS);
    world.store.evict('k');
    expect(await world.clock.until(run)).toBeUndefined();
  });

  it('starts anew if the lease is lost meanwhile, before the function runs', async () => {
    const process = world.process({ oneWayMs: () => ONE_WAY_MS });
    await process.server.connection();
    let runs = 0;
    const run = process.strict.withLease('k', () => ++runs);
    await world.clock.advance(1.5 * ONE_WAY_MS);
    const owner = world.store.peek('toril:lock:k')?.value.toString();
    world.store.evict('toril:lock:k');
    expect(await world.clock.until(run)).toBe(1);
    expect(owner).toBeDefined();
  });

  it('gives up on a cell that the server cannot take', async () => {
    const process = world.process({ oneWayMs: () => ONE_WAY_MS });
    await process.server.connection();
    const failure = process.strict.withLease('k', () => {}).catch((error: unknown) => error);
    await world.clock.advance(1.5 * ONE_WAY_MS);
    world.store.full(true);
    expect(await world.clock.until(failure)).toMatchObject({ code: 'MEMCACHED_REFUSED' });
  });

  it('draws the token before it proves that the lease is held, so that no later holder has a lower one', async () => {
    // The first holder's draw takes so long that its lease is over and the second one is done.
    const slow = world.process();
    const draw = world.tokens.drawToken.bind(world.tokens);
    let draws = 0;
    world.tokens.drawToken = async () => {
      if (++draws === 1) {
        slow.clock.freeze();
        await new Promise<void>((resolve) => void world.clock.after(10 * LEASE_MS, resolve));
        slow.clock.thaw();
      }
      return draw();
    };
    const order: number[] = [];
    const first = slow.strict.withLease('k', ({ token }) => void order.push(token));
    const second = world.process().strict.withLease('k', ({ token }) => void order.push(token));
    await world.clock.until(Promise.all([first, second]));
    expect(order).toHaveLength(2);
    expect(order[0]).toBeLessThan(order[1] ?? 0);
  });
});
