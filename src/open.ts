/** Where users' options become cells and locks without a queue: the composition root beside Queue and Worker. */
import type { ConnectionOptions } from 'bullmq';
import { systemClock } from './base/clock.ts';
import { systemRandom } from './base/random.ts';
import { CellsWithCopies } from './cells/cells-with-copies.ts';
import { RedisCopies } from './cells/copies.ts';
import { TorilError } from './errors.ts';
import { lockCodec } from './cells/lock-codec.ts';
import { RedisTokens } from './lock/strict/tokens.ts';
import { createLocks, type Locks } from './lock/strict/with-lease.ts';
import { openServers } from './memcached/open-servers.ts';
import { closeServers, type OpenCells, openCells as openCellsAlone } from './open-cells.ts';
import { LEASE_DEFAULT_MS } from './lock/lease.ts';
import { longestDeadlineMs, type MemcachedSetting } from './memcached/options.ts';
import { checkLeaseAgainstDeadline, refuseMisspelt } from './options.ts';
import { OpenRedis } from './redis/redis-connection.ts';

export type { OpenCells };

export interface OpenCellsOptions {
  readonly memcached?: MemcachedSetting | undefined;
  /**
   * Where the durable copies of one queue's values are: asked for a key whose cell is missing, out of reach, or
   * another queue's or Redis'. Default: readers see what memcached has.
   */
  readonly copies?: CopiesOptions | undefined;
}

export interface CopiesOptions {
  /** Whatever `Queue` and `Worker` take; a client of yours stays open. */
  readonly connection: ConnectionOptions;
  /** The queue's name. */
  readonly queue: string;
  /** As in BullMQ. Default `bull`. */
  readonly prefix?: string | undefined;
}

/**
 * Reads cells; needs memcached only, unless copies are asked for. Connects when it is first used.
 * @throws TorilError INVALID_OPTIONS
 */
export function openCells(options: OpenCellsOptions): OpenCells {
  const { memcached, copies } = options;
  if (copies === undefined) return openCellsAlone({ memcached });
  const { connection, queue, prefix = 'bull' } = copies;
  if (typeof queue !== 'string' || queue === '')
    throw new TorilError('INVALID_OPTIONS', 'copies.queue must be the name of a queue.');
  const servers = openServers(memcached, systemClock, systemRandom);
  const client = new OpenRedis(connection);
  const cells = new CellsWithCopies(
    servers,
    new RedisCopies({ client, clock: systemClock, prefix, queue }),
  );
  const close = async (): Promise<void> => {
    await Promise.all([closeServers(servers, servers.close()), client.close()]);
  };
  return Object.assign(cells, { close });
}

export interface OpenLocksOptions {
  readonly memcached?: MemcachedSetting | undefined;
  /**
   * Where fencing tokens are drawn: whatever `Queue` and `Worker` take (options, `{ url }`, a client of
   * ioredis, a Cluster). A client of yours stays open. An empty object means localhost, as with BullMQ;
   * options that name no server are refused.
   */
  readonly connection: ConnectionOptions;
  /** Locks that guard the same things share a name. Default `locks`. */
  readonly name?: string | undefined;
  /** Of the Redis key, as in BullMQ. Default `bull`. */
  readonly prefix?: string | undefined;
  /** Milliseconds that a lease lasts without renewal. Default 10,000. */
  readonly leaseMs?: number | undefined;
  /** Milliseconds to wait for a lease. Default 30,000. */
  readonly waitMs?: number | undefined;
}

/**
 * The strict lock as a feature of its own: no queue, no jobs.
 * @throws TorilError INVALID_OPTIONS
 */
export function openLocks(options: OpenLocksOptions): Locks {
  refuseMisspelt('openLocks', options, [
    ...['memcached', 'connection', 'name', 'prefix', 'leaseMs', 'waitMs'],
  ]);
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
      await redis.close();
      await closeServers(
        servers,
        locks.close().then(() => servers.close()),
      );
    },
  };
}
