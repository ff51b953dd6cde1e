/**
 * The order of a key's jobs is the order in which they entered its lane: across retries, crashes and
 * several processes. The value is a log that notes each job's sequence, and each job returns its place
 * in it, so that whatever was lost, doubled or reordered shows.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Job } from 'bullmq';
import { describe, expect, it, onTestFinished } from 'vitest';
import { seededFraction } from '../../src/base/random.ts';
import { startLockPerJob } from '../support/lock-per-job.ts';
import { startProcess, type WorkerProcess } from '../support/processes.ts';
import { type Entry, log } from '../support/updates.ts';
import { descents, expectExact, type Stage, stage } from '../support/workers.ts';

const KEYS = 10;
const JOBS_PER_KEY = 150;
const PROCESSES = 4;
const KILLS = 6;
const ATTEMPTS = { attempts: 4, backoff: 20 };

/** One key gets a third of all jobs; every twentieth job fails once or twice before it succeeds. */
function traffic(here: Stage, seed: string): Entry[] {
  const fraction = seededFraction(seed);
  const counts = new Map<string, number>();
  return Array.from({ length: KEYS * JOBS_PER_KEY }, () => {
    const key = here.key(fraction() < 0.33 ? 'hot' : Math.floor(fraction() * KEYS));
    const n = counts.get(key) ?? 0;
    counts.set(key, n + 1);
    return { key, n, failures: fraction() < 0.05 ? 1 + Math.floor(fraction() * 2) : 0 };
  });
}

const byKey = (jobs: readonly Job[]): Map<string, Job[]> => {
  const groups = new Map<string, Job[]>();
  for (const job of jobs) {
    const { key } = job.data as Entry;
    groups.set(key, [...(groups.get(key) ?? []), job]);
  }
  return groups;
};

describe('the order of updates', () => {
  it('is kept by 4 processes, some of which are killed, through retries', async () => {
    const here = stage();
    const options = { concurrency: 8 };
    const processes: WorkerProcess[] = await Promise.all(
      Array.from({ length: PROCESSES }, () => startProcess(here, options)),
    );
    const jobs: Job[] = [];
    const producing = (async () => {
      for (const data of traffic(here, 'order')) {
        jobs.push(await here.queue.enqueue(log, data, ATTEMPTS));
        if (jobs.length % 10 === 0) await sleep(10);
      }
    })();
    for (let kill = 0; kill < KILLS; kill++) {
      await sleep(250);
      await processes[kill % PROCESSES]?.kill();
      processes[kill % PROCESSES] = await startProcess(here, options);
    }
    await producing;
    const finished = await here.finished(jobs, 90_000);
    for (const [key, own] of byKey(finished)) {
      expect(await expectExact(here, key, own)).toEqual(own.map((_, n) => n));
      expect(own.map((job) => job.attemptsMade)).toEqual(own.map(({ data }) => 1 + data.failures));
    }
  });

  it('is lost by plain BullMQ with a lock per job, under the same traffic', async () => {
    const here = stage();
    const peers = Array.from({ length: PROCESSES }, () =>
      startLockPerJob(here.name, here.redisUrl, here.memcached, 8),
    );
    onTestFinished(async () => {
      await Promise.all(peers.map((peer) => peer.close()));
    });
    const entries = traffic(here, 'order')
      .filter(({ key }) => key === here.key('hot'))
      .slice(0, 300);
    const jobs = await here.queue.addBulk(
      entries.map((data) => ({ name: 'log', data, opts: ATTEMPTS })),
    );
    await here.finished(jobs);
    const lines = await (peers[0] as (typeof peers)[0]).valueOf(here.key('hot'));
    expect(lines).toHaveLength(entries.length);
    expect(descents(lines.map(([n]) => n))).toBeGreaterThan(10);
  });

  it('is that of enqueueing, over concurrent producers', async () => {
    const here = stage();
    const key = here.key();
    await here.worker({ concurrency: 16 });
    const jobs = await Promise.all(
      Array.from({ length: 400 }, async (_, n) => {
        await sleep(n % 7);
        return here.queue.enqueue(log, { key, n });
      }),
    );
    const finished = await here.finished(jobs);
    const order = await expectExact(here, key, finished);
    // BullMQ counts its ids up in the order of its adds.
    const idOf = new Map(finished.map((job) => [job.data.n as number, Number(job.id)]));
    expect(descents(order.map((n) => idOf.get(n) as number))).toBe(0);
  });
});
