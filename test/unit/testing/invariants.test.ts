/** Invariants on a test bed: asked with what the workers committed, whatever went wrong on the way. */
import { describe, expect, test } from 'vitest';
import { type AnyInvariant, defineInvariant } from '../../../src/history/invariants/invariant.ts';
import {
  createTestBed,
  ExpectationError,
  expectInvariants,
  type TestBed,
  type TestBedOptions,
  torilMatchers,
  VacuousExpectationError,
  WORKER_MOMENTS,
} from '../../../src/testing.ts';
import { DELETE_CELL, defineUpdate } from '../../../src/updates/update.ts';

interface Move {
  readonly account: string;
  readonly cents: number;
}

const move = defineUpdate({
  name: 'move',
  key: ({ account }: Move) => account,
  initial: () => ({ cents: 0 }),
  apply: (value: { cents: number }, { cents }: Move) => ({ cents: value.cents + cents }),
  result: (value) => value?.cents,
});
const close = defineUpdate({
  name: 'close',
  key: ({ account }: Move) => account,
  apply: () => DELETE_CELL as typeof DELETE_CELL,
});
const strict = defineUpdate({ ...move, schema: undefined, name: 'strict', strict: true });
/** Another result each time: only what was committed is true. */
let calls = 0;
const unrepeatable = defineUpdate({
  ...move,
  schema: undefined,
  name: 'unrepeatable',
  apply: () => ({ cents: ++calls }),
});
const slow = defineUpdate({
  ...move,
  schema: undefined,
  name: 'slow',
  apply: async (value: { cents: number }, { cents }: Move) => {
    await Promise.resolve();
    return { cents: value.cents + cents };
  },
});
const updates = [move, close, strict, unrepeatable, slow];

interface Seen {
  readonly key: string;
  readonly before: unknown;
  readonly after: unknown;
  readonly id: string;
  readonly result: unknown;
}

function watched(options: Partial<TestBedOptions> = {}): { bed: TestBed; steps: Seen[] } {
  const steps: Seen[] = [];
  const watch: AnyInvariant = {
    name: 'watch',
    step: ({ key, before, after, job: { id }, result }) =>
      steps.push({ key, before, after, id, result }) > 0,
  };
  const { invariants = [], ...more } = options;
  return { bed: createTestBed({ updates, ...more, invariants: [watch, ...invariants] }), steps };
}

const add = (bed: TestBed, account: string, cents: number, update = move) =>
  bed.enqueue(update, { account, cents });

const neverNegative = defineInvariant<{ cents: number }>({
  name: 'never negative',
  value: ({ cents }) => cents >= 0 || `${cents} cents`,
});

describe('a bed with invariants', () => {
  test('asks them of each job, with the values before and after it and its result', async () => {
    const { bed, steps } = watched();
    for (const cents of [1, 2, 3]) await add(bed, 'ada', cents);
    await bed.enqueue(close, { account: 'ada', cents: 0 });
    await add(bed, 'ada', 9, slow as never);
    await bed.drain();
    expectInvariants(bed);
    expect(steps.map(({ before, after, id, result }) => [id, before, after, result])).toEqual([
      ['1', undefined, { cents: 1 }, 1],
      ['2', { cents: 1 }, { cents: 3 }, 3],
      ['3', { cents: 3 }, { cents: 6 }, 6],
      ['4', { cents: 6 }, undefined, undefined],
      ['5', undefined, { cents: 9 }, 9],
    ]);
  });

  test('fails while it runs, at the first that is broken, with the job; and says so again when asked', async () => {
    const bed = createTestBed({ updates, invariants: [neverNegative] });
    for (const cents of [5, -2, -4, 20]) await add(bed, 'ada', cents);
    await expect(bed.drain()).rejects.toThrow(
      'the invariant "never negative" does not hold after job 3 (move) of "ada": -1 cents (before it: {"cents":3}; after it: {"cents":-1}).',
    );
    expect(() => expectInvariants(bed)).toThrow(ExpectationError);
    expect(() => expectInvariants(bed)).toThrow(/after job 3 \(move\)/);
    await bed.drain(); // told once
    expect(torilMatchers.toHoldInvariants(bed).pass).toBe(false);
  });

  test.each(WORKER_MOMENTS)('asks once of each job, though a worker crashes %s', async (moment) => {
    const { bed, steps } = watched({ seed: moment });
    for (const cents of [1, 2, 3]) await add(bed, 'ada', cents);
    bed.fault.crashWorker(undefined, moment);
    await bed.advance(100);
    for (const cents of [4, 5]) await add(bed, 'ada', cents, strict as never);
    await bed.drain();
    expectInvariants(bed);
    expect(steps.map(({ id }) => id)).toEqual(['1', '2', '3', '4', '5']);
    expect(steps.map(({ after }) => (after as { cents: number }).cents)).toEqual([1, 3, 6, 10, 15]);
  });

  test('asks with what was committed, not with what another call would give', async () => {
    const { bed, steps } = watched();
    await add(bed, 'ada', 0, unrepeatable as never);
    bed.fault.crashWorker(undefined, 'before-commit');
    await bed.drain();
    expect(steps).toHaveLength(1);
    expect(steps[0]?.after).toEqual(bed.value('ada'));
  });

  test('asks of the value that a job meets: given, adopted, restored, or none, since it was lost', async () => {
    const adopting = defineUpdate({
      ...move,
      schema: undefined,
      name: 'adopting',
      adopt: (foreign: Buffer) => ({ cents: Number(foreign.toString()) }),
    });
    const { bed, steps } = watched({
      updates: [...updates, adopting],
      values: { given: { cents: 7 } },
      durableCopies: false,
    });
    await add(bed, 'given', 1);
    bed.fault.writeForeign('foreign', '40');
    await add(bed, 'foreign', 2, adopting as never);
    await bed.drain();
    await add(bed, 'lost', 1);
    await bed.drain();
    bed.fault.evictCell('lost');
    await add(bed, 'lost', 2);
    await bed.drain();
    expect(steps.map(({ key, before, after }) => [key, before, after])).toEqual([
      ['given', { cents: 7 }, { cents: 8 }],
      ['foreign', { cents: 40 }, { cents: 42 }],
      ['lost', undefined, { cents: 1 }],
      ['lost', undefined, { cents: 2 }],
    ]);
  });

  test('has a total over all keys, also of what the bed begins with', async () => {
    const constant: AnyInvariant = {
      name: 'constant',
      total: {
        of: ({ cents }: { cents: number }) => cents,
        holds: (total, { change, keys }) =>
          (total === 30 && change === 0) || `${total}, ${change}, ${keys}`,
        when: 'end',
      },
    };
    const bed = createTestBed({
      updates,
      invariants: [constant],
      values: { ada: { cents: 10 }, bob: { cents: 20 }, zoe: { cents: 0 } },
    });
    await add(bed, 'ada', -10);
    await bed.drain();
    expect(() => expectInvariants(bed)).toThrow('20, -10, 3');
    await add(bed, 'bob', 10);
    await bed.drain();
    expectInvariants(bed); // asked for the end, as it is now
  });
});

describe('is never vacuous:', () => {
  const refused = (bed: TestBed, why: RegExp): void => {
    expect(() => expectInvariants(bed)).toThrow(VacuousExpectationError);
    expect(() => expectInvariants(bed)).toThrow(why);
    expect(() => torilMatchers.toHoldInvariants(bed)).toThrow(VacuousExpectationError);
  };

  test('a bed without invariants, without jobs, without any that it is about', async () => {
    refused(createTestBed({ updates }), /has no invariants/);
    expect(() => createTestBed({ updates, invariants: [] })).toThrow(/invariants is empty/);
    const bed = createTestBed({
      updates,
      invariants: [neverNegative, { name: 'zoe', keys: /zoe/, value: () => true }],
    });
    refused(bed, /"never negative" \(never-asked\), "zoe" \(never-asked\)/);
    await add(bed, 'ada', 1);
    refused(bed, /never negative/);
    await bed.drain();
    refused(bed, /not asked: "zoe" \(never-asked\)\.$/);
  });

  test('a fault that has not happened', async () => {
    const { bed } = watched();
    await add(bed, 'ada', 1);
    await bed.drain();
    bed.fault.crashWorker(undefined, 'after-commit');
    refused(bed, /a fault has not happened yet/);
  });

  test.each<[string, AnyInvariant['value'], RegExp]>([
    ['throws', () => JSON.parse('{') as never, /threw: .*\(job 1 \(move\) of "ada"\)/],
    ['waits', (async () => true) as never, /a promise \(job 1 \(move\) of "ada"\)/],
    ['gives no answer', (() => undefined) as never, /undefined: /],
    ['changes what it is given', (value) => ((value as { cents: number }).cents = 1) > 0, /threw/],
  ])('one that %s', async (_, value, message) => {
    const bed = createTestBed({ updates, invariants: [{ name: 'mine', value: value as never }] });
    await add(bed, 'ada', 1);
    const drained = bed.drain();
    await expect(drained).rejects.toMatchObject({ code: 'INVARIANT_UNUSABLE' });
    await expect(drained).rejects.toThrow(message);
    expect(() => expectInvariants(bed)).toThrow(message);
    expect(() => torilMatchers.toHoldInvariants(bed)).toThrow(message);
  });

  test('one that is misspelt', () => {
    const misspelt = { name: 'x', vaule: () => true } as never;
    expect(() => createTestBed({ updates, invariants: [misspelt] })).toThrow(/a member vaule/);
  });
});
