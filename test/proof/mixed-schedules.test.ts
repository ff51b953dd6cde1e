/**
 * Jobs of one key and of several, in any schedule, with failures, delays, retries, crashes and lost cells, against what they come
 * to one after the other. The values tell which jobs made them, so nothing of the product is asked for their order.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { UnrecoverableError } from 'bullmq';
import { defineTransaction, defineUpdate } from '../../src/index.ts';
import { createTestBed, expectInOrder, type TestBed, WORKER_MOMENTS } from '../../src/testing.ts';
import type { JobView } from '../../src/testing/views.ts';

const SEED = 18;
const RUNS = 60;
const KEYS = ['a', 'b', 'c'] as const;
const START = 100;
const GIVES_UP_MS = 300;

interface Data {
  readonly keys: readonly string[];
  readonly cents: number;
  /** Attempts that fail. */
  readonly fails: number;
}
interface Account {
  readonly cents: number;
  readonly jobs: readonly string[];
}

/** What each kind makes of the cents of its keys; undefined: it is refused. */
const KINDS: Readonly<
  Record<string, (cents: readonly number[], by: number) => number[] | undefined>
> = {
  deposit: ([own = 0], by) => [own + by],
  interest: ([own = 0]) => [own + Math.floor(own / 4)],
  withdraw: ([own = 0], by) => (own < by ? undefined : [own - by]),
  transfer: ([from = 0, to = 0], by) => (from < by ? undefined : [from - by, to + by]),
  hurried: ([from = 0, to = 0], by) => (from < by ? undefined : [from - by, to + by]),
  share: ([from = 0, ...to], by) =>
    from < by * to.length ? undefined : [from - by * to.length, ...to.map((cents) => cents + by)],
};
const SIZES: Readonly<Record<string, number>> = { transfer: 2, hurried: 2, share: 3 };
const AGAIN = ['withdraw', 'share'];

const initial = (): Account => ({ cents: START, jobs: [] });
const common = { initial, onFailure: 'block' } as const;

function applied(
  name: string,
  accounts: readonly Account[],
  { cents, fails }: Data,
  { jobId, attempt }: { readonly jobId: string; readonly attempt: number },
): Account[] {
  if (attempt <= fails) throw new Error('own failure');
  const made = KINDS[name]?.(
    accounts.map((account) => account.cents),
    cents,
  );
  if (made === undefined) throw new UnrecoverableError('no cover');
  return accounts.map(({ jobs }, at) => ({ cents: made[at] ?? 0, jobs: [...jobs, jobId] }));
}

const updates = Object.keys(KINDS).map((name) => {
  const settings = { ...common, name, ...(AGAIN.includes(name) && { onFailure: 'skip' as const }) };
  return SIZES[name] === undefined
    ? defineUpdate({
        ...settings,
        key: ({ keys }: Data) => keys[0] ?? '',
        apply: (account: Account, data, context) =>
          applied(name, [account], data, context)[0] as Account,
        result: (account) => account?.cents,
      })
    : defineTransaction({
        ...settings,
        ...(name === 'hurried' && { onBlocked: { failAfterMs: GIVES_UP_MS } }),
        keys: ({ keys }: Data) => keys,
        apply: (accounts, data, context) => applied(name, accounts, data, context),
        result: ([account]) => account?.cents,
      });
});

/** One thing that is done to a bed. */
type Step = (bed: TestBed) => unknown;

const job: fc.Arbitrary<Step> = fc
  .record({
    update: fc.constantFrom(...updates),
    keys: fc.shuffledSubarray([...KEYS], { minLength: 3 }),
    cents: fc.constantFrom(1, 7, 40, 90),
    fails: fc.constantFrom(0, 0, 0, 1, 2),
    attempts: fc.constantFrom(1, 2, 3),
    backoff: fc.constantFrom(0, 10, 500),
    delay: fc.constantFrom(0, 0, 0, 20, 700),
  })
  .map(({ update, keys, cents, fails, attempts, backoff, delay }) => {
    const data: Data = { keys: keys.slice(0, SIZES[update.name] ?? 1), cents, fails };
    const options = { attempts, backoff, delay };
    return named(`${update.name} ${JSON.stringify({ ...data, ...options })}`, (bed) =>
      bed.enqueue(update as never, data as never, options),
    );
  });
const others: fc.Arbitrary<Step> = fc.oneof(
  fc.constantFrom(1, 50, 400, 5_000).map((ms) => named(`advance ${ms}`, (bed) => bed.advance(ms))),
  fc
    .constantFrom(...WORKER_MOMENTS)
    .map((when) => named(`crash ${when}`, (bed) => bed.fault.crashWorker(undefined, when))),
  fc.constantFrom(...KEYS).map((key) => named(`evict ${key}`, (bed) => bed.fault.evictCell(key))),
);
const schedules = fc.array(
  fc.oneof({ weight: 3, arbitrary: job }, { weight: 1, arbitrary: others }),
  {
    minLength: 4,
    maxLength: 24,
  },
);

/** As a counterexample shows it. */
function named(name: string, step: Step): Step {
  return Object.assign(step, { [fc.toStringMethod]: () => name });
}

async function carriedOut(steps: readonly Step[]): Promise<TestBed> {
  const bed = createTestBed({ updates, workers: 2, concurrency: 4 });
  for (const step of steps) await step(bed);
  await bed.drain();
  bed.fault.disarm();
  return bed;
}

const accountOf = (bed: TestBed, key: string): Account =>
  (bed.value(key) as Account | undefined) ?? initial();
const dataOf = ({ data }: JobView): Data => data as Data;

/** One order of all jobs in which each account has its own. @throws if there is none: then nothing is all or nothing */
function orderOf(
  accounts: ReadonlyMap<string, Account>,
  jobs: ReadonlyMap<string, JobView>,
): JobView[] {
  const left = new Map([...accounts].map(([key, account]) => [key, [...account.jobs]]));
  const order: JobView[] = [];
  for (;;) {
    const heads = [...left.values()].flatMap(([first]) => first ?? []);
    if (heads.length === 0) return order;
    const next = heads
      .map((id) => jobs.get(id) as JobView)
      .find((one) => dataOf(one).keys.every((key) => left.get(key)?.[0] === one.id));
    if (next === undefined) throw new Error(`no order: ${JSON.stringify([...left])}`);
    order.push(next);
    for (const key of dataOf(next).keys) left.get(key)?.shift();
  }
}

/** @throws if the accounts, or what is said of the jobs, is not what they come to one after the other */
function expectFolded(accounts: ReadonlyMap<string, Account>, views: readonly JobView[]): void {
  const cents = new Map<string, number>(KEYS.map((key) => [key, START]));
  const order = orderOf(accounts, new Map(views.map((view) => [view.id, view])));
  for (const { id, name, data, result } of order) {
    const { keys, cents: by } = data as Data;
    const made = KINDS[name]?.(
      keys.map((key) => cents.get(key) ?? 0),
      by,
    );
    expect(made, `job ${id} was refused`).toBeDefined();
    for (const [at, key] of keys.entries()) cents.set(key, made?.[at] ?? 0);
    expect(result, `the result of job ${id}`).toBe(made?.[0]);
  }
  for (const [key, account] of accounts) expect(account.cents, key).toBe(cents.get(key));
  const completed = views.filter(({ state }) => state === 'completed').map(({ id }) => id);
  expect(order.map(({ id }) => id).toSorted()).toEqual(completed.toSorted());
  for (const { id, name, state, error, data, attemptsMade } of views) {
    if (state === 'completed') continue;
    expect(state, `job ${id}`).toBe('failed');
    const { code } = error as { code?: string };
    if (code === 'JOINT_BLOCKED') expect(name).toBe('hurried');
    else if (error?.message !== 'no cover') {
      expect(error?.message).toBe('own failure');
      expect(attemptsMade).toBeLessThanOrEqual((data as Data).fails);
    }
  }
}

const seenOn = (bed: TestBed): Map<string, Account> =>
  new Map(KEYS.map((key) => [key, accountOf(bed, key)]));

describe('jobs of one key and of several, in any schedule', () => {
  test('come to what they do one after the other', { timeout: 300_000 }, async () => {
    const ends = new Map<string, number>();
    const property = fc.asyncProperty(schedules, async (steps) => {
      const bed = await carriedOut(steps);
      expectFolded(seenOn(bed), bed.jobs());
      expectInOrder(bed);
      for (const { state, error } of bed.jobs()) {
        const end = state === 'completed' ? state : ((error as { code?: string }).code ?? 'failed');
        ends.set(end, (ends.get(end) ?? 0) + 1);
      }
    });
    await fc.assert(property, { seed: SEED, numRuns: RUNS });
    // Else it says little: most jobs count, some fail, and some give up.
    expect(ends.get('completed')).toBeGreaterThan(RUNS * 4);
    expect(ends.get('failed')).toBeGreaterThan(RUNS);
    expect(ends.get('JOINT_BLOCKED')).toBeGreaterThan(0);
  });

  test('and an account that has half a transfer, one twice, or another order is seen', async () => {
    const bed = await carriedOut([]);
    const give = (name: string, keys: string[], cents: number): Promise<unknown> =>
      bed.enqueue(
        updates.find((one) => one.name === name) as never,
        { keys, cents, fails: 0 } as never,
      );
    await give('transfer', ['a', 'b'], 7);
    await give('interest', ['b'], 0);
    await give('transfer', ['b', 'a'], 1);
    await bed.drain();
    const [right, views] = [seenOn(bed), bed.jobs()];
    expectFolded(right, views);
    const b = accountOf(bed, 'b');
    for (const wrong of [
      { ...b, cents: b.cents - 7, jobs: b.jobs.slice(1) },
      { ...b, jobs: [...b.jobs, '1'] },
      { ...b, jobs: b.jobs.toReversed() },
      { ...b, jobs: [b.jobs[1], b.jobs[0], b.jobs[2]] as string[] },
    ])
      expect(() => expectFolded(new Map([...right, ['b', wrong]]), views)).toThrow();
  });
});
