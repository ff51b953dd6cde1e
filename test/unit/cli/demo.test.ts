/** The demo's judge: whatever is planted, it must find; and its plan, which must be repeatable. */
import { describe, expect, test } from 'vitest';
import { auditJobs, auditValues, type FinishedJob } from '../../../src/cli/demo/audit.ts';
import type { DemoJob, Ledger } from '../../../src/cli/demo/demo-updates.ts';
import { makePlan } from '../../../src/cli/demo/plan.ts';
import { demoReport, isRight } from '../../../src/cli/demo/report.ts';
import type { DemoResult } from '../../../src/cli/demo/run.ts';

const { jobs, keys } = makePlan({ jobs: 200, keys: 5, seed: 'a', prefix: 'k' });

/** What the update makes of some jobs of one key, in this order. */
function ledgerOf(applied: readonly DemoJob[]): Ledger {
  const numbers = applied.map(({ number }) => number);
  return {
    numbers,
    hash: applied.reduce((hash, { amount }) => (hash * 31 + amount) % 1_000_000_007, 1),
  };
}

function ofKey(key: string): DemoJob[] {
  return jobs.filter((job) => job.key === key);
}

function rightValues(): Map<string, unknown> {
  return new Map(keys.map((key) => [key, ledgerOf(ofKey(key))]));
}

function rightJobs(): FinishedJob[] {
  return jobs.map(({ number, key }) => {
    const before = ofKey(key).filter((job) => job.number <= number);
    const result = { count: before.length, hash: ledgerOf(before).hash };
    return { id: String(number + 1), number, state: 'completed', result, attemptsMade: 1 };
  });
}

const once = (): Map<string, number> => new Map(rightJobs().map(({ id }) => [id, 1]));

/** The values with those of the first key made of other jobs. */
function doctored(change: (right: DemoJob[]) => DemoJob[]): Map<string, unknown> {
  const key = keys[0] as string;
  return rightValues().set(key, ledgerOf(change(ofKey(key))));
}

describe('the plan', () => {
  test('is the same for the same seed', () => {
    const again = makePlan({ jobs: 200, keys: 5, seed: 'a', prefix: 'k' });
    const other = makePlan({ jobs: 200, keys: 5, seed: 'b', prefix: 'k' });
    expect(again.jobs).toEqual(jobs);
    expect(other.jobs).not.toEqual(jobs);
  });

  test('has a hot key, and ends with one job for each key', () => {
    const large = makePlan({ jobs: 20_000, keys: 100, seed: 'a', prefix: 'k' });
    const hot = large.jobs.filter(({ key }) => key === large.keys[0]).length;
    expect(hot).toBeGreaterThan(3_700);
    expect(hot).toBeLessThan(4_300);
    expect(new Set(large.jobs.slice(-100).map(({ key }) => key)).size).toBe(100);
  });

  test('can be of one key', () => {
    expect(makePlan({ jobs: 1, keys: 1, seed: 'a', prefix: 'k' }).jobs).toHaveLength(1);
  });
});

describe('the values', () => {
  test('are right if they are', () => {
    expect(auditValues(jobs, rightValues())).toEqual({
      lost: 0,
      doubled: 0,
      reordered: 0,
      wrongKeys: [],
    });
  });

  const swapped = ([a, b, ...rest]: DemoJob[]): DemoJob[] => [b as DemoJob, a as DemoJob, ...rest];
  const toEnd = ([first, ...rest]: DemoJob[]): DemoJob[] => [...rest, first as DemoJob];
  test.each<[string, (right: DemoJob[]) => DemoJob[], object]>([
    ['a lost job', (right) => right.slice(1), { lost: 1, doubled: 0, reordered: 0 }],
    ['a lost end', (right) => right.slice(0, -3), { lost: 3, doubled: 0, reordered: 0 }],
    [
      'a job applied again at once',
      ([first, ...rest]) => [first as DemoJob, first as DemoJob, ...rest],
      { lost: 0, doubled: 1, reordered: 0 },
    ],
    [
      'a job applied again at the end',
      (right) => [...right, right[0] as DemoJob],
      { lost: 0, doubled: 1, reordered: 0 },
    ],
    ['two that changed places', swapped, { lost: 0, doubled: 0, reordered: 1 }],
    ['one that came last', toEnd, { lost: 0, doubled: 0, reordered: 1 }],
    [
      'one in place of another',
      ([, second, ...rest]) => [second as DemoJob, second as DemoJob, ...rest],
      { lost: 1, doubled: 1, reordered: 0 },
    ],
  ])('tell of %s', (_, change, counts) => {
    expect(auditValues(jobs, doctored(change))).toEqual({ ...counts, wrongKeys: [keys[0]] });
  });

  test('tell of a job that went to another key', () => {
    const [from, to] = [keys[0] as string, keys[1] as string];
    const stray = ofKey(from)[0] as DemoJob;
    const values = doctored((right) => right.slice(1));
    values.set(to, ledgerOf([...ofKey(to), stray]));
    const { lost, wrongKeys } = auditValues(jobs, values);
    expect({ lost, wrongKeys: wrongKeys.toSorted() }).toEqual({ lost: 1, wrongKeys: [from, to] });
  });

  test('tell of a hash that does not fit, and of values that are missing or no ledgers', () => {
    const right = ledgerOf(ofKey(keys[0] as string));
    const values = rightValues().set(keys[0] as string, { ...right, hash: right.hash + 1 });
    values.delete(keys[1] as string);
    values.set(keys[2] as string, null).set(keys[3] as string, 'x');
    const { wrongKeys, lost } = auditValues(jobs, values);
    expect(wrongKeys.toSorted()).toEqual(keys.slice(0, 4));
    expect(lost).toBe(keys.slice(1, 4).flatMap(ofKey).length);
  });
});

describe("BullMQ's own records", () => {
  test('are right if they are', () => {
    expect(auditJobs(jobs, rightJobs(), once())).toEqual({
      notCompleted: 0,
      completedAgain: 0,
      wrongResults: 0,
      attemptsCharged: 0,
    });
  });

  const spoil = (index: number, change: Partial<FinishedJob>): FinishedJob[] =>
    rightJobs().map((job, at) => (at === index ? { ...job, ...change } : job));

  test.each<[string, FinishedJob[], object]>([
    ['a job that is gone', rightJobs().slice(1), { notCompleted: 1 }],
    ['a job that failed', spoil(3, { state: 'failed' }), { notCompleted: 1 }],
    ["another job's result", spoil(3, { result: rightJobs()[4]?.result }), { wrongResults: 1 }],
    ['no result', spoil(3, { result: null }), { wrongResults: 1 }],
    ['an attempt that was charged', spoil(3, { attemptsMade: 2 }), { attemptsCharged: 1 }],
  ])('tell of %s', (_, found, counts) => {
    expect(auditJobs(jobs, found, once())).toMatchObject(counts);
  });

  test('tell of a job that was completed twice', () => {
    expect(auditJobs(jobs, rightJobs(), once().set('7', 2))).toMatchObject({ completedAgain: 1 });
  });
});

describe('the verdict', () => {
  const right: DemoResult = {
    ...auditValues(jobs, rightValues()),
    ...auditJobs(jobs, rightJobs(), once()),
    ...{ seconds: 1, jobsPerSecond: 200, drained: true, memcachedRestarted: true },
    ...{ takeovers: 1, refusedCommits: 1, recoveredCommits: 1, restoredCells: 5, lostLeases: 1 },
  };

  test('is good only if nothing is wrong', () => {
    expect(isRight(right)).toBe(true);
    expect(demoReport(200, 5, right)).toContain('Every value is exact');
  });

  test.each<Partial<DemoResult>>([
    { lost: 1 },
    { doubled: 1 },
    { reordered: 1 },
    { wrongKeys: ['k0'] },
    { notCompleted: 1 },
    { completedAgain: 1 },
    { wrongResults: 1 },
    { attemptsCharged: 1 },
    { drained: false },
  ])('is bad with %j', (wrong) => {
    const result = { ...right, ...wrong };
    expect(isRight(result)).toBe(false);
    expect(demoReport(200, 5, result)).toContain('WRONG');
  });
});
