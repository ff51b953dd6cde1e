/** Where users' options become cells and locks without a queue: the composition root beside Queue and Worker. */
import type { ConnectionOptions } from 'bullmq';
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
import { OpenRedis } from './redis-connection.ts';

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
  /**
   * Where fencing tokens are drawn: whatever `Queue` and `Worker` take (options, `{ url }`, a client of
   * ioredis, a Cluster). A client of yours stays open. An empty object means localhost, as with BullMQ;
   * options that name no server are refused.
   */
  readonly connection: ConnectionOptions;
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
  const redis = new OpenRedis(connection);
  const locks = createLocks({
    memcached: servers,
    tokens: new RedisTokens({ client: redis, prefix, queue: name }),
    codec: lockCodec,
    ...(leaseMs !== undefined && { leaseMs }),
    ...(waitMs !== undefined && { waitMs }),
  });
  return {
    withLease: locks.withLease.bind(locks) as Locks['withLease'],
    async close() {
      const closed = locks.close();
      await redis.close();
      await closed;
      await servers.close();
    },
  };
}
