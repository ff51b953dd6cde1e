/** Where users' options become cells and locks without a queue: the composition root beside Queue and Worker. */
import { Redis, type RedisOptions } from 'ioredis';
import { systemClock } from './base/clock.ts';
import { systemRandom } from './base/random.ts';
import { Cells } from './cells/cells.ts';
import { lockCodec } from './cells/lock-codec.ts';
import { RedisTokens } from './lock/tokens.ts';
import { createLocks, type Locks } from './lock/with-lease.ts';
import { openServers } from './memcached/open-servers.ts';
import { LEASE_DEFAULT_MS } from './lock/lease.ts';
import { longestDeadlineMs, type MemcachedSetting } from './memcached/options.ts';
import { checkLeaseAgainstDeadline } from './options.ts';

export interface OpenCells extends Cells {
  close(): Promise<void>;
}

/**
 * Reads cells; needs memcached only. Connects when it is first used.
 * @throws TorilError INVALID_OPTIONS
 */
export function openCells(options: { readonly memcached: MemcachedSetting }): OpenCells {
  const servers = openServers(options.memcached, systemClock, systemRandom);
  return Object.assign(new Cells(servers), { close: () => servers.close() });
}

export interface OpenLocksOptions {
  readonly memcached: MemcachedSetting;
  /** Where fencing tokens are drawn: ioredis options, or a client of yours, which stays open. */
  readonly connection: RedisOptions | Redis;
  /** Locks that guard the same things share a name. Default `locks`. */
  readonly name?: string;
  /** Of the Redis key, as in BullMQ. Default `bull`. */
  readonly prefix?: string;
  /** Milliseconds that a lease lasts without renewal. Default 10,000. */
  readonly leaseMs?: number;
  /** Milliseconds to wait for a lease. Default 30,000. */
  readonly waitMs?: number;
}

/**
 * The strict lock as a feature of its own: no queue, no jobs.
 * @throws TorilError INVALID_OPTIONS
 */
export function openLocks(options: OpenLocksOptions): Locks {
  const { connection, name = 'locks', prefix = 'bull', leaseMs, waitMs } = options;
  checkLeaseAgainstDeadline(leaseMs ?? LEASE_DEFAULT_MS, longestDeadlineMs(options.memcached));
  const servers = openServers(options.memcached, systemClock, systemRandom);
  const shared = connection instanceof Redis;
  const client = shared
    ? connection
    : new Redis({ ...connection, replyMapping: 'legacy', maxRetriesPerRequest: null });
  if (!shared) client.on('error', () => undefined); // every draw waits for the next connection
  const locks = createLocks({
    memcached: servers,
    tokens: new RedisTokens({ client, prefix, queue: name }),
    codec: lockCodec,
    ...(leaseMs !== undefined && { leaseMs }),
    ...(waitMs !== undefined && { waitMs }),
  });
  return {
    withLease: locks.withLease.bind(locks) as Locks['withLease'],
    async close() {
      await locks.close();
      await servers.close();
      if (!shared) client.disconnect();
    },
  };
}
