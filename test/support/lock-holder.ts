/**
 * The main file of a process that holds a lease, for tests that kill or freeze it. Started by
 * lock-child.ts with its orders as JSON; talks to its parent over Node's channel.
 */
import { createIORedisClient } from 'bullmq';
import { Redis } from 'ioredis';
import { type Clock, systemClock } from '../../src/base/clock.ts';
import { systemRandom } from '../../src/base/random.ts';
import { UncommittedError } from '../../src/lock/strict/lease-session.ts';
import { RedisTokens } from '../../src/lock/strict/tokens.ts';
import type { HeldKey } from '../../src/lock/strict/held-keys.ts';
import { createLocks } from '../../src/lock/strict/with-lease.ts';
import { openServers } from '../../src/memcached/open-servers.ts';
import type { MemcachedServers } from '../../src/memcached/servers.ts';
import { jsonCodec } from './lock-codec.ts';
import { withoutReplaceCas } from './lock-twins.ts';

export interface HolderOrders {
  readonly memcached: string;
  readonly redis: string;
  readonly queue: string;
  readonly key: string;
  readonly leaseMs: number;
  /** What it writes once the parent says so. */
  readonly value: string;
  /**
   * Its clock stands still: it never finds out by itself that its lease is over, like a process that
   * was frozen between looking at the clock and writing.
   */
  readonly blind?: boolean;
  /** The evil twin: its writes do not look at the CAS. */
  readonly careless?: boolean;
  /** Instead of holding: adds one to the value as often as this. */
  readonly increments?: number;
}

export type HolderReport =
  | { readonly event: 'held'; readonly token: number }
  | { readonly event: 'ended'; readonly code: string; readonly writes: readonly string[] };

const orders = JSON.parse(process.argv[2] ?? '') as HolderOrders;
const blindClock: Clock = {
  ...systemClock,
  monotonicMs: () => 0,
  after: () => ({ cancel: () => {} }),
};

function report(message: HolderReport): void {
  process.send?.(message);
}

function careless(servers: MemcachedServers): MemcachedServers {
  const [server] = servers.all;
  if (server === undefined) throw new Error('no server');
  const wrapped = withoutReplaceCas(server, (name) => name === orders.key);
  return { ...servers, all: [wrapped], serverFor: () => wrapped, close: () => servers.close() };
}

const parentSaysWrite = new Promise<void>((resolve) => {
  process.on('message', (message) => {
    if (message === 'write') resolve();
  });
});

const redis = new Redis(orders.redis);
const servers = openServers(orders.memcached, systemClock, systemRandom);
const locks = createLocks({
  memcached: orders.careless === true ? careless(servers) : servers,
  tokens: new RedisTokens({
    client: createIORedisClient(redis),
    prefix: 'toril-test',
    queue: orders.queue,
  }),
  codec: jsonCodec,
  clock: orders.blind === true ? blindClock : systemClock,
  leaseMs: orders.leaseMs,
});

async function work(): Promise<void> {
  for (let n = 0; n < (orders.increments ?? 0); n++) {
    await locks.withLease(orders.key, (held: HeldKey<number>) => held.write((held.value ?? 0) + 1));
  }
  if (orders.increments !== undefined) return;
  await locks.withLease(orders.key, async (held: HeldKey<string>) => {
    report({ event: 'held', token: held.token });
    await parentSaysWrite;
    held.write(orders.value);
  });
}

let ended: HolderReport = { event: 'ended', code: 'COMMITTED', writes: [] };
try {
  await work();
} catch (error) {
  if (!(error instanceof UncommittedError)) throw error;
  ended = { event: 'ended', code: error.code, writes: [...error.writes.values()] };
}
report(ended);
await locks.close();
await servers.close();
await redis.quit();
process.disconnect();
