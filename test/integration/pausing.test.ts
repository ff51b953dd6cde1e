/** What a queue or a worker that is paused, or limited, leaves alone. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Job } from 'bullmq';
import { describe, expect, it } from 'vitest';
import { eventually } from '../support/memcached.ts';
import { type Line, log } from '../support/updates.ts';
import { enqueueLog, entries, expectExact, type Stage, stage } from '../support/workers.ts';

const numbers = async ({ cells }: Stage, key: string): Promise<number[]> =>
  ((await cells.get<Line[]>(key)) ?? []).map(([n]) => n);

describe('a queue that is paused', () => {
  it('applies none of its waiting jobs, not even along with one that is active', async () => {
    const here = stage();
    const key = here.key();
    const jobs = await enqueueLog(here, entries(key, 3, { takesMs: 200 }));
    const [first] = jobs;
    await here.worker({ concurrency: 1 });
    await eventually('the first is active', async () => (await first?.getState()) === 'active');
    await here.queue.pause();
    await here.finished([first as Job]);
    await sleep(500);
    expect(await numbers(here, key)).toEqual([0]);
    await here.queue.resume();
    expect(await expectExact(here, key, await here.finished(jobs))).toEqual([0, 1, 2]);
  });
});

describe('a worker that is paused', () => {
  it('begins nothing more, and goes on when it is resumed', async () => {
    const here = stage();
    const key = here.key();
    const worker = await here.worker({ concurrency: 2 });
    const jobs = await enqueueLog(here, entries(key, 60, { takesMs: 10 }));
    await eventually('some are done', async () => (await here.queue.getCompletedCount()) > 3);
    await worker.pause();
    const done = (await numbers(here, key)).length;
    expect(done).toBeLessThan(60);
    await sleep(200);
    expect((await numbers(here, key)).length).toBe(done);
    void worker.resume();
    expect(await expectExact(here, key, await here.finished(jobs))).toHaveLength(60);
  });
});

describe('a rate limit', () => {
  it('is kept, though whole lanes could be applied at once', async () => {
    const here = stage();
    const key = here.key();
    await here.worker({ concurrency: 8, limiter: { max: 5, duration: 200 } });
    const startedMs = performance.now();
    const jobs = await enqueueLog(here, entries(key, 30));
    await here.finished(jobs.slice(0, 1));
    expect((await numbers(here, key)).length).toBeLessThanOrEqual(10);
    const finished = await here.finished(jobs);
    expect(performance.now() - startedMs).toBeGreaterThan(900);
    expect(await expectExact(here, key, finished)).toHaveLength(30);
  });

  it('lets a lane go on though its jobs are delivered in another order', async () => {
    const here = stage();
    const key = here.key();
    const jobs = [
      await here.queue.enqueue(log, { key, n: 0 }, { priority: 10 }),
      ...(await enqueueLog(
        here,
        Array.from({ length: 15 }, (_, n) => ({ key, n: n + 1 })),
        { priority: 1 },
      )),
    ];
    await here.worker({ concurrency: 4, limiter: { max: 5, duration: 100 } });
    expect(await expectExact(here, key, await here.finished(jobs, 15_000))).toHaveLength(16);
  });
});
