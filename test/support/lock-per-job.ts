/**
 * What users do without Toril: a plain BullMQ worker whose processor takes a lock in memcached (`add`),
 * reads the value, changes it, writes it back and deletes the lock. The twin that must fail.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Job, Worker } from 'bullmq';
import { systemClock } from '../../src/base/clock.ts';
import { systemRandom } from '../../src/base/random.ts';
import { openServers } from '../../src/memcached/open-servers.ts';
import type { MemcachedSetting } from '../../src/memcached/options.ts';
import type { Connection } from '../../src/memcached/server.ts';
import { type Entry, type Line, Refusal } from './updates.ts';

/** Milliseconds between two attempts to get the lock. */
const SPIN_MS = 2;
const LOCK_SECONDS = 5;

export interface LockPerJob {
  readonly worker: Worker;
  valueOf(key: string): Promise<Line[]>;
  close(): Promise<void>;
}

export function startLockPerJob(
  queue: string,
  redisUrl: string,
  memcached: MemcachedSetting,
  concurrency: number,
): LockPerJob {
  const servers = openServers(memcached, systemClock, systemRandom);
  const connect = (key: string): Promise<Connection> => servers.serverFor(key).connection();
  let applied = 0;

  async function process(job: Job<Entry>): Promise<number> {
    const { key, n, failures = 0, takesMs = 0 } = job.data;
    const connection = await connect(key);
    const lock = { value: Buffer.from(String(job.id)), flags: 0, ttlSeconds: LOCK_SECONDS };
    for (;;) {
      const held = await connection.add(`lock-of-${key}`, lock);
      if (held.kind === 'done') {
        try {
          if (job.attemptsMade < failures) throw new Refusal(`attempt of job ${n}`);
          const found = await connection.get(key);
          const lines =
            found.kind === 'done' ? (JSON.parse(found.value.value.toString()) as Line[]) : [];
          await sleep(takesMs);
          lines.push([n, Number(job.id), ++applied]);
          const item = { value: Buffer.from(JSON.stringify(lines)), flags: 0, ttlSeconds: 0 };
          if (found.kind === 'done') await connection.replace(key, item, found.value.cas);
          else await connection.add(key, item);
          return lines.length - 1;
        } finally {
          await connection.delete(`lock-of-${key}`, held.value);
        }
      }
      await sleep(SPIN_MS * Math.random());
    }
  }

  const worker = new Worker<Entry>(queue, process, { connection: { url: redisUrl }, concurrency });
  worker.on('error', () => undefined);
  return {
    worker,
    async valueOf(key) {
      const found = await (await connect(key)).get(key);
      return found.kind === 'done' ? (JSON.parse(found.value.value.toString()) as Line[]) : [];
    },
    async close() {
      await worker.close(true);
      await servers.close();
    },
  };
}
