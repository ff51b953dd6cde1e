/** Transactions on a test bed: what its assertions say of them, and its faults. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  defineInvariant,
  defineTransaction,
  DELETE_CELL,
  defineUpdate,
} from '../../../src/index.ts';
import {
  createTestBed,
  expectExactlyOnce,
  expectInOrder,
  expectInvariants,
  expectSequentialFold,
  type TestBed,
  WORKER_MOMENTS,
} from '../../../src/testing.ts';
import { bedProperty } from '../../../src/testing/fast-check.ts';

interface Transfer {
  readonly from: string;
  readonly to: string;
  readonly by: number;
}
const transfer = defineTransaction({
  name: 'transfer',
  keys: ({ from, to }: Transfer) => [from, to],
  initial: () => 10,
  apply: ([from, to], { by }) => {
    if (from < by) throw new Error('not covered');
    return [from === by ? DELETE_CELL : from - by, to + by];
  },
  result: ([from]) => from ?? 0,
});
const double = defineUpdate({
  name: 'double',
  key: ({ key }: { key: string }) => key,
  initial: () => 10,
  apply: (value: number) => value * 2,
});
const updates = [transfer, double];

async function addSome(bed: TestBed): Promise<void> {
  for (const [from, to, by] of [
    ['a', 'b', 3],
    ['b', 'c', 13],
    ['c', 'a', 30],
    ['b', 'a', 1],
  ] as const) {
    await bed.enqueue(transfer, { from, to, by }, { attempts: 2 });
    await bed.enqueue(double, { key: from });
  }
}

async function expectAll(bed: TestBed): Promise<void> {
  expectExactlyOnce(bed);
  expectInOrder(bed);
  await expectSequentialFold(bed);
  await expectSequentialFold(bed, 'b');
}

test('one that sorts the keys of its context fails: each value would go to another key', async () => {
  const sorting = defineTransaction({
    ...{ name: 'sorting', keys: () => ['b', 'a'], initial: (key: string) => key },
    apply: (values, _data, { keys }) => {
      (keys as string[]).sort();
      return [...values];
    },
  });
  const bed = createTestBed({ updates: [sorting] });
  await bed.enqueue(sorting, {});
  await bed.drain();
  expect(bed.jobs()).toMatchObject([{ error: { message: expect.stringContaining('read only') } }]);
  expect([bed.value('a'), bed.value('b')]).toEqual([undefined, undefined]);
});

test('they are in the journal of each of their keys', async () => {
  const positive = defineInvariant({
    name: 'positive',
    value: (value) => (value as number) >= 0,
  });
  const bed = createTestBed({ updates, invariants: [positive] });
  await addSome(bed);
  await bed.drain();
  await expectAll(bed);
  expectInvariants(bed);
  expect([bed.value('a'), bed.value('b'), bed.value('c')]).toEqual([15, 38, 46]);
  expect(bed.history('a')).toEqual(['1', '2', '7']);
  expect(bed.history('b')).toEqual(['1', '3', '4', '7', '8']);
});

test('the sum of an invariant is asked for when a transaction has changed all its keys', async () => {
  const constant = defineInvariant({
    name: 'constant',
    total: { of: (value) => value as number, holds: (_total, { change }) => change === 0 },
  });
  const values = { a: 10, b: 10, c: 10 };
  const bed = createTestBed({ updates, invariants: [constant], values });
  await bed.enqueue(transfer, { from: 'a', to: 'b', by: 10 });
  await bed.enqueue(transfer, { from: 'b', to: 'c', by: 7 });
  await bed.drain();
  expectInvariants(bed);
  await bed.enqueue(double, { key: 'b' });
  await expect(bed.drain()).rejects.toThrow('constant');
});

test('one that is not deterministic is found out, at each of its keys', async () => {
  let calls = 0;
  const moody = defineTransaction({
    name: 'moody',
    keys: ({ from, to }: Transfer) => [from, to],
    initial: () => 0,
    apply: () => [++calls, calls],
  });
  const bed = createTestBed({ updates: [moody] });
  await bed.enqueue(moody, { from: 'a', to: 'b', by: 1 });
  await bed.drain();
  for (const key of ['a', 'b']) {
    await expect(expectSequentialFold(bed, key)).rejects.toThrow(
      `the value of "${key}" is not what its job make of it one after the other: `,
    );
  }
});

test('one that gives up leaves its place to those behind it', async () => {
  const hurried = defineTransaction({
    name: 'hurried',
    keys: ({ from, to }: Transfer) => [from, to],
    onBlocked: { failAfterMs: 100 },
    initial: () => 0,
    apply: (values) => values,
  });
  const bed = createTestBed({ updates: [hurried, double], workers: 2 });
  for (const key of ['a', 'b']) await bed.enqueue(double, { key });
  const job = await bed.enqueue(hurried, { from: 'a', to: 'c', by: 1 });
  await bed.enqueue(double, { key: 'c' });
  bed.fault.crashWorker(undefined, 'before-take'); // the lease of a or b stays behind
  await bed.enqueue(double, { key: 'b' });
  await bed.drain();
  expect(bed.job(job).error).toMatchObject({ code: 'JOINT_BLOCKED' });
  await expectAll(bed);
});

describe('with faults', () => {
  test.each(WORKER_MOMENTS)('a worker that dies %s leaves nothing half-done', async (when) => {
    const bed = createTestBed({ updates, workers: 2 });
    await addSome(bed);
    bed.fault.crashWorker(undefined, when);
    await bed.drain();
    await expectAll(bed);
    expect([bed.value('a'), bed.value('b'), bed.value('c')]).toEqual([15, 38, 46]);
  });

  test.each(WORKER_MOMENTS)('one that dies %s leaves no new key without its cell', async (when) => {
    const bed = createTestBed({ updates, workers: 2 });
    bed.fault.crashWorker(undefined, when);
    await bed.enqueue(transfer, { from: 'a', to: 'b', by: 3 });
    await bed.drain();
    expect([bed.value('a'), bed.value('b')]).toEqual([7, 13]);
  });

  test('memcached away and empty, cells evicted, a stalled worker: nothing is half-done', async () => {
    const bed = createTestBed({ updates, workers: 2 });
    bed.fault.memcachedDown(true);
    await addSome(bed);
    await bed.advance(5_000);
    bed.fault.memcachedDown(false);
    bed.fault.freezeWorker(0);
    await bed.advance(30_000);
    bed.fault.thawWorker();
    bed.fault.evictCell('b');
    await bed.drain();
    await expectAll(bed);
  });
});

test('any commands on a bed with transactions leave it exact', async () => {
  const keys = fc.uniqueArray(fc.constantFrom('a', 'b', 'c'), { minLength: 2, maxLength: 2 });
  await fc.assert(
    bedProperty({
      bed: { updates, workers: 2 },
      jobs: [
        {
          update: transfer,
          data: fc
            .tuple(keys, fc.nat({ max: 12 }))
            .map(([[from = '', to = ''], by]) => ({ from, to, by })),
        },
        { update: double, data: fc.record({ key: fc.constantFrom('a', 'b', 'c') }) },
      ],
    }),
    { numRuns: 8 },
  );
});

test('a bed with transactions keeps copies, as a worker does', () => {
  expect(() => createTestBed({ updates: [transfer], durableCopies: false })).toThrow(
    /durableCopies cannot be false in a worker with transactions/,
  );
});
