/** What a failing transaction costs the jobs of its keys: its own backoff, not more. In virtual time. */
import { expect, test } from 'vitest';
import { seededFraction } from '../../../src/base/random.ts';
import { defineTransaction } from '../../../src/index.ts';
import { createTestBed } from '../../../src/testing.ts';

interface Move {
  readonly from: string;
  readonly to: string;
  /** Attempts that fail before one succeeds. */
  readonly failures: number;
}

const JOBS = 150;
const ACCOUNTS = 10;
const FAILING_ONE_IN = 10;
const BACKOFF_MS = 20;

interface Course {
  readonly tookMs: number;
  /** Calls of each job that fails once. */
  readonly calls: readonly number[];
}

/** Moves among ten accounts, by four workers that have fewer slots together than there are jobs. */
async function moves(patienceMs: number): Promise<Course> {
  const calls = new Map<string, number>();
  const move = defineTransaction({
    name: 'move',
    keys: ({ from, to }: Move) => [from, to],
    initial: () => 0,
    apply: ([from, to], { failures }, { jobId, attempt }) => {
      if (failures > 0) calls.set(jobId, (calls.get(jobId) ?? 0) + 1);
      if (attempt <= failures) throw new Error(`attempt ${attempt}`);
      return [from - 1, to + 1];
    },
  });
  const bed = createTestBed({ updates: [move], workers: 4, concurrency: 8, patienceMs });
  const fraction = seededFraction('moves');
  const below = (count: number): number => Math.floor(fraction() * count);
  const startedMs = bed.now;
  await bed.enqueueBulk(
    Array.from({ length: JOBS }, () => {
      const from = below(ACCOUNTS);
      const to = (from + 1 + below(ACCOUNTS - 1)) % ACCOUNTS;
      const failures = below(FAILING_ONE_IN) === 0 ? 1 : 0;
      return {
        update: move,
        data: { from: `k${from}`, to: `k${to}`, failures },
        options: { attempts: 2, backoff: BACKOFF_MS },
      };
    }),
  );
  await bed.drain();
  return { tookMs: bed.now - startedMs, calls: [...calls.values()] };
}

test('has nobody wait but for its retry', async () => {
  const { tookMs, calls } = await moves(50);
  expect(calls.length).toBeGreaterThan(10);
  expect(tookMs).toBeLessThan(1_500);
});

test('is called where it was not delivered until one has seen that it fails', async () => {
  const { calls } = await moves(1);
  // Up to four workers may call one before it is marked.
  expect(Math.max(...calls)).toBeLessThanOrEqual(6);
});

test('is not kept waiting for a slot by those that wait for it, however patient', async () => {
  const { tookMs } = await moves(5_000);
  expect(tookMs).toBeLessThan(5_000);
});

test('is snoozed and called no more often the more jobs there are, if others go on without it', async () => {
  const cost = async (jobs: number): Promise<{ snoozes: number; calls: number }> => {
    const calls = new Map<string, number>();
    const move = defineTransaction({
      ...{ name: 'move', onFailure: 'skip' },
      keys: ({ from, to }: Move) => [from, to],
      initial: () => 0,
      apply: ([from, to], { failures }, { jobId, attempt }) => {
        calls.set(jobId, (calls.get(jobId) ?? 0) + 1);
        if (attempt <= failures) throw new Error(`attempt ${attempt}`);
        return [from - 1, to + 1];
      },
    });
    const bed = createTestBed({ updates: [move], workers: 4, concurrency: 16 });
    const fraction = seededFraction('skipped moves');
    const below = (count: number): number => Math.floor(fraction() * count);
    await bed.enqueueBulk(
      Array.from({ length: jobs }, () => {
        const from = below(6);
        const to = (from + 1 + below(5)) % 6;
        const data = { from: `k${from}`, to: `k${to}`, failures: below(10) < 3 ? 1 + below(2) : 0 };
        return { update: move, data, options: { attempts: 3, backoff: BACKOFF_MS } };
      }),
    );
    await bed.drain();
    const snoozes = bed.events.filter(({ type }) => type === 'jobSnoozed').length;
    return { snoozes: snoozes / jobs, calls: Math.max(...calls.values()) };
  };
  const [few, many] = [await cost(100), await cost(400)];
  expect(many.snoozes).toBeLessThan(1.5 * few.snoozes);
  expect(many.calls).toBeLessThanOrEqual(3 + 4); // each attempt, and once by each worker that did not know yet
});
