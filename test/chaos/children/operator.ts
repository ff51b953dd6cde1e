/**
 * An operator who looks after lanes that stand still because their cell is not what Redis knows: after a replica
 * took the primary's place, or if another data set has written there. Redis is true for this one, always.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../../../src/base/clock.ts';
import { systemRandom } from '../../../src/base/random.ts';
import { cellStanding } from '../../../src/workers/inspecting/cell-standing.ts';
import { Queue } from '../../../src/index.ts';
import { MemcachedLeaseLocks } from '../../../src/lock/lease-locks.ts';
import { openServers } from '../../../src/memcached/open-servers.ts';
import { trustCopy } from '../../../src/workers/trust/trust.ts';
import { nowUs } from '../history.ts';
import { memcached, orders, ready, recorder, redisConnection, serve } from './orders.ts';

const PAUSE_MS = 1_000;
const WAIT_MS = 5_000;
const SETTLED: ReadonlySet<string | undefined> = new Set([
  'REDIS_WENT_BACK',
  'CELL_OF_ANOTHER_REDIS',
]);

const queue = new Queue(orders.queue, { connection: redisConnection });
queue.on('error', () => undefined);
const { servers: addresses, protocol, locks: lockForm } = memcached;
const settings = { servers: addresses, protocol, locks: lockForm };
const servers = openServers(settings, systemClock, systemRandom);
const locks = new MemcachedLeaseLocks({ clock: systemClock, random: systemRandom });
const context = {
  queue: queue.qualifiedName,
  servers,
  locks,
  lanes: queue.inRedis.lanes,
  clock: systemClock,
  waitMs: WAIT_MS,
};

async function lookAfter(key: string): Promise<void> {
  const { code } = await cellStanding(key, queue, servers);
  if (!SETTLED.has(code)) return;
  const sinceUs = nowUs();
  const { kind } = await trustCopy(context, key);
  recorder.note({ e: 'settled', key, sinceUs, code: code as string, end: kind });
}

async function lookAfterAll(): Promise<never> {
  for (;;) {
    for (const key of orders.keys) await lookAfter(key).catch(() => undefined); // next time
    await sleep(PAUSE_MS);
  }
}

void lookAfterAll();
serve(() => Promise.resolve());
ready();
