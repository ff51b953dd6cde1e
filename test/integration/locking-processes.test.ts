/** The strict lock between real processes, over a real memcached and a real Redis. */
import { randomUUID } from 'node:crypto';
import { createIORedisClient } from 'bullmq';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ownPrefixOf } from '../../src/redis/own-keys.ts';
import { systemClock } from '../../src/base/clock.ts';
import { systemRandom } from '../../src/base/random.ts';
import { RedisTokens } from '../../src/lock/strict/tokens.ts';
import type { HeldKey } from '../../src/lock/strict/held-keys.ts';
import { createLocks, type Locks } from '../../src/lock/strict/with-lease.ts';
import { openServers } from '../../src/memcached/open-servers.ts';
import type { MemcachedServers } from '../../src/memcached/servers.ts';
import { gate } from '../support/gate.ts';
import { jsonCodec, NOBODY } from '../support/lock-codec.ts';
import { LockChild } from '../support/lock-child.ts';
import type { HolderOrders } from '../support/lock-holder.ts';
import {
  memcachedAddresses,
  type PrivateServer,
  redisUrl,
  startMemcached,
} from '../support/servers.ts';

const LEASE_MS = 1000;
/** What is promised: lease, takeover margin and polling, with room for a busy machine. */
const SUCCESSION_MS_MAX = 2000;

const redis = new Redis(redisUrl());
const queue = randomUUID();
const tokens = new RedisTokens({ client: createIORedisClient(redis), prefix: 'toril-test', queue });
const children: LockChild[] = [];
let key: string;
let servers: MemcachedServers;
let locks: Locks;

beforeEach(() => {
  key = `locking:${randomUUID()}`;
  open(memcachedAddresses()[0] ?? '');
});

afterEach(async () => {
  for (const child of children.splice(0)) await child.kill();
  await locks.close();
  await servers.close();
});

afterAll(async () => {
  await redis.del(`${ownPrefixOf(`toril-test:${queue}:`)}sequence`);
  await redis.quit();
});

function open(address: string): void {
  servers = openServers(address, systemClock, systemRandom);
  locks = createLocks({ memcached: servers, tokens, codec: jsonCodec, leaseMs: LEASE_MS });
}

function startChild(more: Partial<HolderOrders> = {}): LockChild {
  const child = new LockChild({
    memcached: memcachedAddresses()[0] ?? '',
    redis: redisUrl(),
    queue,
    key,
    leaseMs: LEASE_MS,
    value: 'from the child',
    ...more,
  });
  children.push(child);
  return child;
}

async function storedValue(): Promise<unknown> {
  const connection = await servers.serverFor(key).connection();
  const outcome = await connection.get(key);
  return outcome.kind === 'done' ? jsonCodec.decode(outcome.value, NOBODY) : outcome;
}

describe('after the death of a holder', () => {
  /** Milliseconds from the kill to the successor's entry. */
  async function succeed(waitsAlready: boolean): Promise<number> {
    const holder = startChild();
    const { token: deadToken } = await holder.report('held');
    let enteredMs = 0;
    const enter = (): Promise<void> =>
      locks.withLease(key, ({ token }) => {
        enteredMs = performance.now();
        expect(token).toBeGreaterThan(deadToken);
      });
    const waiting = waitsAlready ? enter() : undefined;
    // Requests of one connection run in order: by this answer, the successor has asked for the lock.
    await storedValue();
    await holder.kill();
    const killedMs = performance.now();
    await (waiting ?? enter());
    return enteredMs - killedMs;
  }

  it.each([
    ['who waits already', true],
    ['who comes afterwards', false],
  ])('a successor %s gets through within two seconds', async (who, waitsAlready) => {
    const tookMs: number[] = [];
    for (let n = 0; n < 5; n++) {
      key = `locking:${randomUUID()}`;
      tookMs.push(Math.round(await succeed(waitsAlready)));
    }
    console.log(
      `kill -9 of a holder with a lease of ${LEASE_MS} ms: a successor ${who} entered after ${tookMs.join(', ')} ms`,
    );
    expect(Math.max(...tookMs)).toBeLessThan(SUCCESSION_MS_MAX);
  });
});

describe('a holder that was frozen, is succeeded, and goes on', () => {
  /** What it says in the end, and what is stored. */
  async function goOn(more: Partial<HolderOrders>) {
    const holder = startChild(more);
    await holder.report('held');
    holder.freeze();
    await locks.withLease(key, (held: HeldKey<string>) => held.write('from the successor'));
    holder.tellToWrite();
    holder.thaw();
    const { code, writes } = await holder.report('ended');
    await holder.exited();
    return { code, writes, stored: await storedValue() };
  }

  it('finds its lease lost, and writes nothing', async () => {
    expect(await goOn({})).toEqual({
      code: 'LEASE_LOST',
      writes: [],
      stored: 'from the successor',
    });
  });

  it('is refused by memcached if it does not look at its clock', async () => {
    expect(await goOn({ blind: true })).toEqual({
      code: 'LEASE_LOST',
      writes: ['refused'],
      stored: 'from the successor',
    });
  });

  it('twin: without the CAS it overwrites its successor', async () => {
    expect(await goOn({ blind: true, careless: true })).toMatchObject({
      code: 'COMMITTED',
      stored: 'from the child',
    });
  });
});

describe('several processes', () => {
  it('lose no update among them', async () => {
    const increments = 200;
    const first = startChild({ increments });
    const second = startChild({ increments });
    let own = 0;
    for (; own < 100; own++) {
      await locks.withLease(key, (held: HeldKey<number>) => held.write((held.value ?? 0) + 1));
    }
    await Promise.all([first.report('ended'), second.report('ended')]);
    expect(await storedValue()).toBe(2 * increments + own);
  });
});

describe('a memcached that dies under a holder', () => {
  let memcached: PrivateServer;

  it('ends the lease at once, and starts anew with a lock for whoever is next', async () => {
    memcached = await startMemcached();
    await locks.close();
    await servers.close();
    open(memcached.address);
    const held = gate();
    const running = locks.withLease(key, (lease) => {
      held.open();
      return new Promise<never>((_, reject) => {
        lease.signal.addEventListener('abort', () => reject(lease.signal.reason as Error));
      });
    });
    await held.opened;
    const killedMs = performance.now();
    const ended = running.then(
      () => undefined,
      (error: unknown) => error,
    );
    await memcached.kill();
    expect(await ended).toMatchObject({ code: 'LEASE_LOST' });
    const tookMs = performance.now() - killedMs;
    await memcached.start();
    expect(await locks.withLease(key, () => 'next')).toBe('next');
    await memcached.stop();
    console.log(`memcached killed: the holder was told after ${tookMs.toFixed(1)} ms`);
    expect(tookMs).toBeLessThan(LEASE_MS / 2);
  });
});
