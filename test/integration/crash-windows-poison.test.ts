/** A job that kills the process that applies it takes down itself, and nobody else. */
import type { Job } from 'bullmq';
import { describe, expect, it } from 'vitest';
import { startProcess, type ProcessOptions } from '../support/processes.ts';
import { log, move } from '../support/updates.ts';
import { entries, expectExact, type Stage, stage } from '../support/workers.ts';

/** Keeps one worker process alive, as a supervisor would, until the jobs are finished. Returns how many died. */
async function superviseUntil(
  here: Stage,
  jobs: readonly Job[],
  options: ProcessOptions,
): Promise<{ deaths: number; finished: Job[] }> {
  let deaths = 0;
  let over = false;
  const supervision = (async () => {
    while (!over) {
      const child = await startProcess(here, {
        lockDuration: 500,
        stalledInterval: 200,
        ...options,
      });
      const ended = child.exited().then(() => (deaths += over ? 0 : 1));
      while (!over && !child.hasEnded)
        await Promise.race([ended, new Promise((r) => setTimeout(r, 50))]);
      if (over) await child.kill();
    }
  })();
  try {
    const finished = await here.finished(jobs, 110_000);
    return { deaths, finished };
  } finally {
    over = true;
    await supervision;
  }
}

describe('a job that kills its process', () => {
  it('fails for good, and its neighbours complete without an attempt', async () => {
    const here = stage();
    const key = here.key();
    const jobs = await here.queue.enqueueBulk(
      entries(key, 20).map((entry) => ({
        update: log,
        data: entry.n === 7 ? { ...entry, poison: true } : entry,
        options: { attempts: 1 },
      })),
    );
    const { deaths, finished } = await superviseUntil(here, jobs, {
      concurrency: 4,
      // Whoever is delivered after a death finds the lease of the dead, and gives its slot back.
      patienceMs: 1,
    });
    expect(finished[7]?.failedReason).toMatch(
      /died or froze 2 times while it applied only this job/,
    );
    const others = finished.filter((_, n) => n !== 7);
    expect(await expectExact(here, key, finished)).toEqual(others.map(({ data }) => data.n));
    expect(others.map((job) => job.attemptsMade)).toEqual(others.map(() => 1));
    // How often it kills until then has no bound that we can promise yet: 3 to 24 were seen. A key whose
    // holder died is not held up for it, since pods die more often than jobs kill.
    console.log(`the process died ${deaths} times before the job was found out`);
  });

  it('is found out, though others are delivered before it and die of it again and again', async () => {
    const here = stage();
    const key = here.key();
    const jobs = await here.queue.enqueueBulk([
      { update: log, data: { key, n: 0, poison: true }, options: { priority: 10 } },
      { update: log, data: { key, n: 1 }, options: { priority: 1 } },
    ]);
    // As if the process had been restarted too slowly to have both jobs in hand at once.
    await here.redis.hset(here.redisKey(jobs[1]?.id as string), 'stc', 3);
    const { finished } = await superviseUntil(here, jobs, { concurrency: 1 });
    expect(finished[0]?.failedReason).toMatch(/died or froze 2 times/);
    expect(await expectExact(here, key, finished)).toEqual([1]);
    expect(finished[1]).toMatchObject({ attemptsMade: 1, stalledCounter: 3 });
  });

  it('fails for good also if it changes several keys, and is met at each of them', async () => {
    const here = stage({ updates: [move] });
    const keys = ['a', 'b', 'c', 'd'].map((name) => here.key(name));
    const jobs = await here.queue.enqueueBulk(
      Array.from({ length: 16 }, (_, n) => ({
        update: move,
        data: { keys: [keys[n % 4], keys[(n + 1 + (n % 3)) % 4]], n, poison: n === 5 },
        options: { attempts: 1 },
      })),
    );
    const { deaths, finished } = await superviseUntil(here, jobs, {
      concurrency: 4,
      patienceMs: 1,
      updates: ['move'],
    });
    expect(finished[5]?.failedReason).toMatch(
      /died or froze 2 times while it applied only this job/,
    );
    const others = finished.filter((_, n) => n !== 5);
    expect(others.map((job) => [job.attemptsMade, job.failedReason])).toEqual(
      others.map(() => [1, undefined]),
    );
    for (const key of keys) {
      const its = others.filter(({ data }) => data.keys.includes(key));
      expect((await here.cells.read(key))?.value).toEqual(its.map(({ data }) => data.n));
    }
    console.log(`the process died ${deaths} times before the transaction was found out`);
  });

  it('is found out also if it changes several keys, and is met where none of those waits that died of it', async () => {
    const here = stage({ updates: [move] });
    const [a, b, c] = ['a', 'b', 'c'].map((name) => here.key(name)) as [string, string, string];
    const jobs = await here.queue.enqueueBulk([
      { update: move, data: { keys: [a, b], n: 0, poison: true }, options: { priority: 10 } },
      { update: move, data: { keys: [c, a], n: 1 }, options: { priority: 1 } },
    ]);
    await here.redis.hset(here.redisKey(jobs[1]?.id as string), 'stc', 3);
    const { deaths, finished } = await superviseUntil(here, jobs, {
      concurrency: 1,
      updates: ['move'],
    });
    expect(finished[0]?.failedReason).toMatch(/died or froze 2 times/);
    expect(finished[1]?.failedReason).toBeUndefined();
    expect((await here.cells.read(a))?.value).toEqual([1]);
    expect((await here.cells.read(b))?.value).toBeUndefined();
    console.log(`the process died ${deaths} times`);
  });
});
