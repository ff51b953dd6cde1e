/**
 * A load for tests of servers that fail: jobs of several keys, each of which may be attempted once. Whatever
 * fails meanwhile, all of them complete, with exact values.
 */
import type { Job } from 'bullmq';
import { expect } from 'vitest';
import type { WorkerEventName, Worker } from '../../src/index.ts';
import { eventually } from './memcached.ts';
import { enqueueLog, entries, expectExact, type Stage } from './workers.ts';

const KEYS = 5;
const JOBS_PER_KEY = 120;
/** Milliseconds that each update takes, so that faults come while jobs are applied. */
const TAKES_MS = 5;

export const keysOf = (here: Stage): string[] =>
  Array.from({ length: KEYS }, (_, n) => here.key(n));

/** Jobs of several keys in turn. */
export function enqueueMany(here: Stage): Promise<Job[]> {
  const all = keysOf(here).flatMap((key) => entries(key, JOBS_PER_KEY, { takesMs: TAKES_MS }));
  return enqueueLog(
    here,
    all.toSorted((a, b) => a.n - b.n),
    { attempts: 1 },
  );
}

/** One more job of each key, behind these. */
export async function enqueueMore(here: Stage, jobs: Job[]): Promise<void> {
  const n = jobs.length / KEYS;
  const more = keysOf(here).map((key) => ({ key, n, takesMs: TAKES_MS }));
  jobs.push(...(await enqueueLog(here, more, { attempts: 1 })));
}

/**
 * No job was charged, and the values are exact. A cell that was lost when its lane was empty may be missing:
 * the key's next job restores it.
 */
export async function expectUncharged(here: Stage, jobs: Job[]): Promise<void> {
  await here.finished(jobs);
  const missing = await missingCells(here);
  await expectAllExact(
    here,
    jobs,
    keysOf(here).filter((key) => !missing.includes(key)),
  );
  await enqueueMore(here, jobs);
  await expectAllExact(here, jobs, keysOf(here));
}

async function missingCells(here: Stage): Promise<string[]> {
  const missing: string[] = [];
  for (const key of keysOf(here)) {
    if ((await here.cells.get(key)) === undefined) missing.push(key);
  }
  return missing;
}

async function expectAllExact(
  here: Stage,
  jobs: readonly Job[],
  keys: readonly string[],
): Promise<void> {
  const finished = await here.finished(jobs);
  expect(finished.filter((job) => job.failedReason != null)).toEqual([]);
  expect(new Set(finished.map((job) => job.attemptsMade))).toEqual(new Set([1]));
  for (const key of keys) {
    const own = finished.filter(({ data }) => data.key === key);
    expect(await expectExact(here, key, own)).toEqual(own.map((_, n) => n));
  }
}

/** Some of the jobs have been applied, many have not. */
export function underWay(here: Stage): Promise<void> {
  return goesOn(here, 40);
}

/** So many more jobs than now are completed, or all. */
export async function goesOn(here: Stage, more = 20): Promise<void> {
  const before = await here.queue.getCompletedCount();
  await eventually(
    'some jobs are completed',
    async () => {
      const { completed, waiting, active } = await here.queue.getJobCounts();
      return (completed ?? 0) > before + more || (waiting ?? 0) + (active ?? 0) === 0;
    },
    20_000,
  );
}

export const count = (workers: readonly Worker[], name: WorkerEventName): number =>
  workers.reduce((sum, { counts }) => sum + (counts[name] ?? 0), 0);
