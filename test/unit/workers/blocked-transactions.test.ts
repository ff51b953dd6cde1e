/** A transaction that is not to wait for ever (`onBlocked`): it gives up in time, and whoever waits for it hears of it at once. */
import { expect, test } from 'vitest';
import { defineTransaction, defineUpdate } from '../../../src/index.ts';
import { createTestBed } from '../../../src/testing.ts';

const FAIL_AFTER_MS = 1_000;

const hold = defineUpdate({
  name: 'hold',
  key: ({ key }: { key: string }) => key,
  initial: () => 0,
  onExhausted: 'hold',
  apply: (): number => {
    throw new Error('on purpose');
  },
});
const add = defineUpdate({
  name: 'add',
  key: ({ key }: { key: string }) => key,
  initial: () => 0,
  apply: (value: number) => value + 1,
});
const moving = (name: string, onBlocked: 'wait' | { failAfterMs: number }) =>
  defineTransaction({
    name,
    keys: ({ keys }: { keys: readonly string[] }) => keys,
    initial: () => 0,
    apply: (values) => values.map((value) => value + 1),
    onBlocked,
  });
const impatient = moving('impatient', { failAfterMs: FAIL_AFTER_MS });
const patient = moving('patient', 'wait');

test.each([
  ['at its first key', ['a', 'b']],
  ['at another one than that at which it waits', ['c', 'a', 'b']],
])('gives up in time, and all its lanes go on then, met %s', async (_, keys) => {
  const bed = createTestBed({ updates: [hold, add, impatient], workers: 2, concurrency: 4 });
  await bed.enqueue(hold, { key: 'b' });
  await bed.advance(100);
  const job = await bed.enqueue(impatient, { keys });
  const others = await bed.enqueueBulk(
    keys.filter((key) => key !== 'b').map((key) => ({ update: add, data: { key } })),
  );
  const jobs = [job, ...others];
  await bed.advance(FAIL_AFTER_MS - 10);
  expect(jobs.map((one) => bed.job(one).state)).not.toContain('failed');
  expect(others.map((one) => bed.job(one).state)).not.toContain('completed');
  await bed.advance(20);
  expect(jobs.map((one) => bed.job(one).state)).toEqual([
    'failed',
    ...others.map(() => 'completed'),
  ]);
  expect(bed.job(job).error).toMatchObject({ code: 'JOINT_BLOCKED' });
});

test('says what it has waited for, also where that is at no key of its own', async () => {
  const bed = createTestBed({ updates: [hold, patient, impatient] });
  await bed.enqueue(hold, { key: 'c' });
  await bed.advance(100);
  await bed.enqueue(patient, { keys: ['b', 'c'] });
  const job = await bed.enqueue(impatient, { keys: ['a', 'b'] });
  await bed.advance(2 * FAIL_AFTER_MS);
  expect(bed.job(job).error?.message).toMatch(
    /^it has waited at "a" for 1\d{3} ms for the jobs before it that wait for "c" \(onBlocked\)/,
  );
  expect(bed.lane('b').length).toBe(1);
});
