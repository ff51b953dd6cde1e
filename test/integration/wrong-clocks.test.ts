/**
 * The wall clock of this process is wrong by an hour, or jumps by an hour while it works: it is not compared with
 * Redis's, by which all that is kept there is noted.
 */
import type { Job } from 'bullmq';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { TorilBackend } from '../../src/jobs/bullmq/bull-backend.ts';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../support/memcached.ts';
import { enqueueLog, entries, type Stage, stage } from '../support/workers.ts';

const HOUR_MS = 3_600_000;
/** What a busy machine may add. */
const LATE_MS = 4_000;

/** This process's wall clock from now on. */
function setClock(aheadMs: number): void {
  vi.restoreAllMocks();
  const real = Date.now.bind(Date);
  vi.spyOn(Date, 'now').mockImplementation(() => real() + aheadMs);
  onTestFinished(() => void vi.restoreAllMocks());
}

async function redisMs({ redis }: Stage): Promise<number> {
  const [seconds, micros] = await redis.time();
  return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000);
}

/** When each job was started, in milliseconds after `sinceMs`. */
async function startedAfter(here: Stage, jobs: readonly Job[], sinceMs: number): Promise<number[]> {
  const times = await Promise.all(
    jobs.map(({ id }) => here.redis.hget(here.redisKey(id as string), 'processedOn')),
  );
  return times.map((time) => Number(time) - sinceMs);
}

describe.each([
  ['ahead', HOUR_MS],
  ['behind', -HOUR_MS],
])('a clock that is an hour %s', (_, aheadMs) => {
  it('neither starts delayed jobs early nor late, be it a worker or a producer', {
    tags: 'imitation',
  }, async () => {
    const here = stage();
    setClock(aheadMs);
    await here.worker();
    const sinceMs = await redisMs(here);
    const jobs = await enqueueLog(here, entries(here.key(), 2), { delay: 700 });
    await here.finished(jobs, 10_000);
    for (const afterMs of await startedAfter(here, jobs, sinceMs)) {
      expect(afterMs).toBeGreaterThanOrEqual(699);
      expect(afterMs).toBeLessThan(700 + LATE_MS);
    }
  });

  it('does not change when a job is tried again', { tags: 'imitation' }, async () => {
    const here = stage();
    setClock(aheadMs);
    await here.worker();
    const options = { attempts: 2, backoff: { type: 'fixed', delay: 500 } };
    const sinceMs = await redisMs(here);
    const jobs = await enqueueLog(here, entries(here.key(), 1, { failures: 1 }), options);
    await here.finished(jobs, 10_000);
    const [afterMs] = await startedAfter(here, jobs, sinceMs);
    expect(afterMs).toBeGreaterThanOrEqual(499);
    expect(afterMs).toBeLessThan(500 + LATE_MS);
  });

  it('does not change for how long a job is snoozed, nor what is noted of it', {
    tags: 'imitation',
  }, async () => {
    const here = stage();
    setClock(aheadMs);
    await here.worker({ concurrency: 8, patienceMs: 5 });
    const jobs = await enqueueLog(here, entries(here.key(), 16, { takesMs: 60 }));
    let snoozed: string[] = [];
    await eventually('some are snoozed', async () => {
      snoozed = await here.redis.zrange(here.redisKey('delayed'), '0', '-1', 'WITHSCORES');
      return snoozed.length > 0;
    });
    const nowMs = await redisMs(here);
    for (let at = 1; at < snoozed.length; at += 2)
      expect(Math.abs(Number(snoozed[at]) / 4096 - nowMs)).toBeLessThan(60_000);
    const finished = await here.finished(jobs);
    for (const { finishedOn = 0, processedOn = 0 } of finished) {
      expect(Math.abs(finishedOn - nowMs)).toBeLessThan(60_000);
      expect(Math.abs(processedOn - nowMs)).toBeLessThan(60_000);
    }
  });

  it('does not move the jobs of a cron pattern', { tags: 'imitation' }, async () => {
    const here = stage();
    setClock(aheadMs);
    const worker = await here.worker();
    const [data] = entries(here.key(), 1);
    const completed: Job[] = [];
    const three = new Promise<void>((resolve) => {
      worker.on('completed', (job) => {
        if (completed.push(job) === 3) resolve();
      });
    });
    const sinceMs = await redisMs(here);
    const template = { name: 'log', data };
    await here.queue.upsertJobScheduler('each-second', { pattern: '* * * * * *' }, template);
    await three;
    await here.queue.removeJobScheduler('each-second');
    const startedMs = await startedAfter(here, completed, 0);
    const firstMs = Math.ceil((sinceMs + 1) / 1000) * 1000;
    for (const [at, ms] of startedMs.entries()) {
      const dueMs = Number(completed[at]?.id?.split(':')[2]);
      expect(dueMs % 1000).toBe(0);
      expect(dueMs).toBeGreaterThanOrEqual(firstMs + at * 1000);
      expect(ms).toBeGreaterThanOrEqual(dueMs);
      expect(ms).toBeLessThan(dueMs + LATE_MS);
    }
  });

  it('lets a worker sleep until a delayed job is due', async () => {
    const here = stage();
    await enqueueLog(here, entries(here.key(), 1), { delay: 60_000 });
    setClock(aheadMs);
    const asked = vi.spyOn(TorilBackend.prototype, 'moveToActive');
    await here.worker();
    await eventually('it has asked', () => asked.mock.calls.length > 0);
    await sleep(500);
    expect(asked.mock.calls.length).toBeLessThan(10);
  });

  it('lets locks be renewed, also if it jumps while a job is worked on', async () => {
    const here = stage();
    const worker = await here.worker({ lockDuration: 600, stalledInterval: 200 });
    const jobs = await enqueueLog(here, entries(here.key(), 1, { takesMs: 2_500 }));
    let renewed = 0;
    worker.on('locksRenewed', () => void (renewed += 1));
    await eventually('it is active', async () => (await here.queue.getActiveCount()) === 1);
    setClock(aheadMs);
    await here.finished(jobs, 10_000);
    const [job] = await here.finished(jobs);
    expect(renewed).toBeGreaterThan(3);
    expect(job).toMatchObject({ attemptsStarted: 1, stalledCounter: 0 });
  });
});

it('a producer who says from when a job is delayed is taken at its word', async () => {
  const here = stage();
  await here.worker();
  const sinceMs = await redisMs(here);
  const jobs = await enqueueLog(here, entries(here.key(), 1), {
    delay: 60_000,
    timestamp: sinceMs - 59_500,
  });
  await here.finished(jobs, 10_000);
  const [afterMs] = await startedAfter(here, jobs, sinceMs);
  expect(afterMs).toBeGreaterThanOrEqual(499);
});
