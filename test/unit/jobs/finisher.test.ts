import { describe, expect, test } from 'vitest';
import { systemClock } from '../../../src/base/clock.ts';
import { Finisher } from '../../../src/jobs/bullmq/fast-path/finisher.ts';
import type { Answers } from '../../../src/jobs/bullmq/fast-path/slot-calls.ts';

const CONCURRENCY = 64;

/** A Redis that answers when it is told to; so many jobs are being worked on in all. */
function stage(active: { jobs: number }) {
  const calls: { readonly jobs: number; answer(): void }[] = [];
  const moment = { soon: () => undefined as void, nowMs: 0 };
  const looks: number[] = [];
  const finisher = new Finisher({
    clock: {
      ...systemClock,
      monotonicMs: () => moment.nowMs,
      soon: (callback) => void (moment.soon = callback),
    },
    takesJobs: () => true,
    tellTime: () => undefined,
    settings: ['30000', ''],
    concurrency: CONCURRENCY,
    activeJobs: () => {
      looks.push(moment.nowMs);
      return Promise.resolve(active.jobs);
    },
    calls: {
      finish: (jobs) =>
        new Promise<Answers>((resolve) => {
          const answers = jobs.map(() => undefined);
          calls.push({
            jobs: jobs.length,
            answer: () => resolve({ nowMs: 1_704_067_200_000, answers }),
          });
        }),
    },
  });
  /** A full house of jobs at once; resolves when all are completed. Returns the sizes of the calls, as they were under way together. */
  const completeAll = async (): Promise<number[][]> => {
    const together: number[][] = [];
    const ended = Promise.all(
      Array.from({ length: CONCURRENCY }, (_, n) =>
        finisher.complete({
          ...{ jobId: String(n), token: 'token', result: 'null' },
          ...{ fetchNext: false, remove: false },
        }),
      ),
    );
    moment.soon();
    while (calls.length > 0) {
      const underWay = calls.splice(0);
      together.push(underWay.map(({ jobs }) => jobs));
      for (const { answer } of underWay) answer();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await ended;
    return together;
  };
  return { moment, looks, completeAll };
}

describe('a finisher', () => {
  test('alone, it keeps two calls under way', async () => {
    const { completeAll } = stage({ jobs: CONCURRENCY });
    await completeAll();
    expect(await completeAll()).toEqual([
      [16, 16],
      [16, 16],
    ]);
  });

  test('while others have jobs, too, it keeps one, and a larger one', async () => {
    const { completeAll } = stage({ jobs: CONCURRENCY + 1 });
    await completeAll();
    expect(await completeAll()).toEqual([[32], [32]]);
  });

  test('looks for others now and then, and finds that they are gone', async () => {
    const active = { jobs: 2 * CONCURRENCY };
    const { moment, looks, completeAll } = stage(active);
    await completeAll();
    active.jobs = CONCURRENCY;
    moment.nowMs = 49;
    expect(await completeAll()).toEqual([[32], [32]]);
    moment.nowMs = 50;
    await completeAll();
    expect(await completeAll()).toEqual([
      [16, 16],
      [16, 16],
    ]);
    expect(looks).toEqual([0, 50]);
  });
});
