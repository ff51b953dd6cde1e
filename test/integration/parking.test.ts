/** Jobs that give their worker slots back: they lose nothing by it, not even time. */
import type { Job } from 'bullmq';
import { describe, expect, it } from 'vitest';
import { eventually } from '../support/memcached.ts';
import { log } from '../support/updates.ts';
import { enqueueLog, entries, expectExact, stage, type Stage } from '../support/workers.ts';

async function expectUncharged(here: Stage, key: string, jobs: readonly Job[]): Promise<Job[]> {
  const finished = await here.finished(jobs);
  expect(await expectExact(here, key, finished)).toEqual(jobs.map((_, n) => n));
  expect(new Set(finished.map((job) => job.attemptsMade))).toEqual(new Set([1]));
  return finished;
}

describe('jobs of a slow key', () => {
  it('are delayed until about their turn, and hold no worker slots', async () => {
    const here = stage();
    await here.worker({ concurrency: 4, closeMs: 100 });
    await enqueueLog(here, entries(here.key(), 100, { takesMs: 200 }));
    await eventually(
      'almost all are delayed',
      async () => (await here.queue.getDelayedCount()) > 90,
    );
    await eventually('few are active', async () => (await here.queue.getActiveCount()) <= 2);
  });

  it('are done no later for it: whoever is decided is delivered at once', async () => {
    const here = stage();
    const key = here.key();
    await here.worker({ concurrency: 4 });
    const startedMs = performance.now();
    await expectUncharged(here, key, await enqueueLog(here, entries(key, 60, { takesMs: 30 })));
    expect(performance.now() - startedMs).toBeLessThan(60 * 30 * 1.5 + 500);
  });

  it('with several workers and in every order of delivery are applied in order', async () => {
    const here = stage();
    const key = here.key();
    for (let i = 0; i < 3; i++) await here.worker({ concurrency: 4, patienceMs: 5 });
    const jobs = await here.queue.addBulk(
      entries(key, 90, { takesMs: 10 }).map((data) => ({
        name: 'log',
        data,
        opts: [{}, { priority: 1 + (data.n % 7) }, { lifo: true }][data.n % 3] as object,
      })),
    );
    await expectUncharged(here, key, jobs);
  });

  it('get on though the worker that parked them has died', async () => {
    const here = stage();
    const key = here.key();
    const first = await here.worker({ concurrency: 4, closeMs: 0 });
    const jobs = await enqueueLog(here, entries(key, 40, { takesMs: 50 }));
    await eventually('most are parked', async () => (await here.queue.getDelayedCount()) > 20);
    await first.close(true);
    await here.worker({ concurrency: 4 });
    await expectUncharged(here, key, jobs);
  });

  it('can be removed, promoted and obliterated while they are parked', async () => {
    const here = stage();
    const key = here.key();
    const worker = await here.worker({ concurrency: 2 });
    const jobs = await enqueueLog(here, entries(key, 12, { takesMs: 60 }));
    await eventually('most are parked', async () => (await here.queue.getDelayedCount()) > 6);
    await jobs[10]?.remove();
    await jobs[11]?.promote();
    const finished = await here.finished(jobs.filter((_, n) => n !== 10));
    expect(await expectExact(here, key, finished)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11]);
    await enqueueLog(here, entries(key, 12, { takesMs: 60 }));
    await worker.close();
    await here.queue.obliterate({ force: true });
    expect(await here.queue.getJobCounts()).toMatchObject({ delayed: 0, waiting: 0 });
  });

  it('are parked before they are delivered; the first one and those of others keep their places', async () => {
    const here = stage();
    const jobs = await enqueueLog(
      here,
      Array.from({ length: 12 }, (_, n) => ({ key: here.key(n % 3 === 0 ? 'other' : 'slow'), n })),
    );
    await here.queue.backend.parkAhead(here.key('slow'), 50, 50, 1_000);
    const numbers = (some: readonly Job[]): number[] => some.map(({ data }) => data.n as number);
    expect(numbers(await here.queue.getWaiting())).toEqual([0, 1, 3, 6, 9]);
    expect(numbers(await here.queue.getDelayed())).toEqual([2, 4, 5, 7, 8, 10, 11]);
    await here.worker();
    expect(await here.finished(jobs)).toHaveLength(12);
  });
});

describe('a job that BullMQ delivers while another process holds its key', () => {
  it('comes back in time, whoever has applied it meanwhile', async () => {
    const here = stage();
    const key = here.key();
    for (let i = 0; i < 2; i++) await here.worker({ concurrency: 1, patienceMs: 1 });
    const jobs = await enqueueLog(here, entries(key, 30, { takesMs: 20 }));
    const late = await here.queue.enqueue(log, { key, n: 30 }, { delay: 100 });
    await expectUncharged(here, key, [...jobs, late]);
  });
});
