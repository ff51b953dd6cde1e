/**
 * What the lock and its cell cost a worker, alone: 64 loops that acquire a lease and read the cell
 * beside it, write the cell, and release, every key different; no Redis, no BullMQ.
 *
 *   node scripts/run.mjs --servers -- node --import tsx bench/lock-cost.ts
 */
import { systemClock } from '../src/base/clock.ts';
import { systemRandom } from '../src/base/random.ts';
import { MemcachedLeaseLocks } from '../src/lock/lease-locks.ts';
import { cellName, lockName } from '../src/memcached/item-names.ts';
import { openServers } from '../src/memcached/open-servers.ts';
import type { Item, Outcome } from '../src/memcached/server.ts';
import { median, percentile } from './statistics.ts';

const LOOPS = 64;
const JOBS_PER_ROUND = 10_000;
const WARM_UP_JOBS = 50_000;
const ROUNDS = 25;
const TTL_SECONDS = 60;
const VALUE: Buffer = Buffer.alloc(250, 'x');

const servers = openServers(
  process.env['TORIL_MEMCACHED'] ?? '127.0.0.1:11211',
  systemClock,
  systemRandom,
);
const locks = new MemcachedLeaseLocks({ clock: systemClock, random: systemRandom });
const keys = `lock-cost:${systemRandom.id()}`;
let started = 0;

async function job(key: string): Promise<void> {
  let reading: Promise<Outcome<Item>> | undefined;
  const name = cellName(key);
  const acquisition = await locks.attempt(servers.serverFor(key), lockName(key), (connection) => {
    reading = connection.get(name);
  });
  if (acquisition.kind !== 'held') throw new Error(`the lease is ${acquisition.kind}`);
  const { lease } = acquisition;
  const read = await reading;
  // As a worker with durable copies writes it.
  const item = { value: VALUE, flags: 1, ttlSeconds: TTL_SECONDS, isCopied: true, isLast: true };
  const writing =
    read?.kind === 'done'
      ? lease.connection.replace(name, item, read.value.cas)
      : lease.connection.add(name, item);
  void lease.release();
  const { kind } = await writing;
  if (kind !== 'done') throw new Error(`the write is ${kind}`);
}

async function round(jobs: number): Promise<void> {
  const end = started + jobs;
  const loop = async (): Promise<void> => {
    while (started < end) await job(`${keys}:${started++}`);
  };
  await Promise.all(Array.from({ length: LOOPS }, loop));
}

const cpuMicroseconds: number[] = [];
await round(WARM_UP_JOBS);
for (let count = 0; count < ROUNDS; count++) {
  const cpu = process.cpuUsage();
  await round(JOBS_PER_ROUND);
  const { user, system } = process.cpuUsage(cpu);
  cpuMicroseconds.push((user + system) / JOBS_PER_ROUND);
}
console.log(
  `CPU per job: median ${median(cpuMicroseconds).toFixed(1)} µs, ` +
    `lowest tenth ${percentile(cpuMicroseconds, 10).toFixed(1)} µs`,
);
await locks.close();
await servers.close();
