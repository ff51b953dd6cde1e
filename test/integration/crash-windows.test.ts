/**
 * Killed in the gap between two steps of a job's way: the next worker finds out what has happened,
 * and every job is in the value exactly once, with its own result and without an attempt charged.
 */
import { describe, expect, it } from 'vitest';
import { startProcess } from '../support/processes.ts';
import type { Step } from '../support/worker-process.ts';
import { enqueueLog, entries, expectExact, stage } from '../support/workers.ts';

const JOBS = 40;

const GAPS: readonly Step[] = [
  'acquired',
  'taken',
  'folded',
  'committed',
  'acknowledged',
  'completing',
  'completed',
];

describe('a worker that dies', () => {
  it.each(GAPS)('(%s) loses, doubles and charges nothing', async (at) => {
    const here = stage();
    const key = here.key();
    // Several commits: some jobs were applied before the fault, some are in it, some wait.
    const jobs = await enqueueLog(here, entries(key, JOBS), { attempts: 1 });
    const dying = await startProcess(here, {
      concurrency: 8,
      batchJobsMax: 10,
      batchesPerLease: 1,
      fault: { at, nth: 2, signal: 'SIGKILL' },
    });
    expect(await dying.exited()).toBe('SIGKILL');
    await here.worker({ concurrency: 8 });
    const finished = await here.finished(jobs);
    expect(finished.map((job) => job.failedReason)).toEqual(finished.map(() => undefined));
    expect(finished.map((job) => job.attemptsMade)).toEqual(finished.map(() => 1));
    const order = await expectExact(here, key, finished);
    expect(order).toEqual(entries(key, JOBS).map(({ n }) => n));
  });
});
