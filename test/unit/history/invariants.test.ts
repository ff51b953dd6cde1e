/** Invariants over a recording: what holds, what does not and where first, and what could not be asked. */
import { describe, expect, test } from 'vitest';
import {
  type AnyInvariant,
  defineInvariant,
  type InvariantStep,
} from '../../../src/history/invariants/invariant.ts';
import { brokenText, type InvariantReport } from '../../../src/history/invariants/report.ts';
import { replay } from '../../../src/history/replay/replay.ts';
import type { ReplayOptions } from '../../../src/history/replay/replay-options.ts';
import type { ReplayReport } from '../../../src/history/replay/report.ts';
import type { RecordedCommit } from '../../../src/history/recording/recording.ts';
import { type AnyUpdate, DELETE_CELL, defineUpdate } from '../../../src/updates/update.ts';
import { type Account, type Amount, deposit, History, interest } from '../../support/recorded.ts';

const close = defineUpdate({
  name: 'close',
  key: ({ account }: Amount) => account,
  apply: () => DELETE_CELL as typeof DELETE_CELL,
});
const updates: readonly AnyUpdate[] = [deposit, interest, close];

const neverNegative = defineInvariant<Account>({
  name: 'never negative',
  value: ({ cents }) => cents >= 0 || `${cents} cents`,
});
const adds = defineInvariant<Account>({
  name: 'deposits add',
  step: ({ job, before, after }) =>
    job.update !== 'deposit' ||
    (after?.cents ?? 0) - (before?.cents ?? 0) === (job.data as Amount).cents,
});
/** Nothing is made of nothing: interest is. */
const constant = (name: string, when?: 'always' | 'end'): AnyInvariant =>
  defineInvariant<Account>({
    name,
    total: {
      of: ({ cents }) => cents,
      holds: (_, { change }) => change === 0,
      ...(when && { when }),
    },
  });

const traffic = (): History =>
  new History()
    .step('ada', [['deposit', 100]])
    .step('bob', [['deposit', 5]])
    .step('ada', [
      ['deposit', -30],
      ['deposit', -80],
      ['deposit', 40],
    ])
    .step('bob', [['deposit', -40]])
    .step('bob', [['deposit', 5]]);

async function run(
  history: History,
  invariants: readonly AnyInvariant[],
  options: ReplayOptions = {},
): Promise<ReplayReport & { readonly of: (name: string) => InvariantReport }> {
  const report = await replay(history.lines(), updates, { ...options, invariants });
  return {
    ...report,
    of: (name) => report.invariants.find((one) => one.name === name) as InvariantReport,
  };
}

describe('an invariant', () => {
  test('that holds is counted, and the replay agrees', async () => {
    const report = await run(traffic(), [adds]);
    expect(report).toMatchObject({ verdict: 'agrees', agrees: true });
    expect(report.invariants).toEqual([
      {
        name: 'deposits add',
        verdict: 'holds',
        ...{ asked: 7, breaks: 0, broken: undefined, unchecked: undefined, times: 0 },
      },
    ]);
  });

  test('that is broken is told with the first line and job, in the middle of a commit', async () => {
    const report = await run(traffic(), [neverNegative, adds]);
    expect(report).toMatchObject({ verdict: 'broken', agrees: false });
    const broken = report.of('never negative');
    expect(broken).toMatchObject({
      verdict: 'broken',
      breaks: 3, // ada's fourth job, bob's last two
      asked: 7,
      broken: { what: 'value', why: '-10 cents', moment: 'after', at: { line: 4, key: 'ada' } },
    });
    expect(broken.broken?.at?.job).toEqual({ id: '4', update: 'deposit' });
    expect(brokenText('never negative', broken.broken as never)).toMatch(
      /^the invariant "never negative" does not hold after line 4, job 4 \(deposit\) of "ada": -10 cents \(before it: \{"cents":70,.*; after it: \{"cents":-10,.*\)$/,
    );
    expect(report.of('deposits add').verdict).toBe('holds');
  });

  test('is asked of what the updates of today make, also where the key differs', async () => {
    const generous: AnyUpdate = { ...deposit, apply: () => ({ cents: -1, log: [] }) };
    const report = await replay(traffic().lines(), [generous, interest], {
      invariants: [neverNegative],
    });
    expect(report.verdict).toBe('differs');
    expect(report.invariants[0]?.broken?.at).toMatchObject({ line: 2, job: { id: '1' } });
  });

  test('is asked of asynchronous updates in the order of the file', async () => {
    const slow: AnyUpdate = {
      ...deposit,
      apply: async (value: Account, data: Amount, context) => {
        for (let turn = data.account === 'ada' ? 50 : 1; turn > 0; turn--) await Promise.resolve();
        return deposit.apply(value, data, context);
      },
    };
    const lines: number[] = [];
    const invariants: AnyInvariant[] = [
      { name: 'order', step: ({ line = 0 }: InvariantStep) => lines.push(line) > 0 },
    ];
    const report = await replay(traffic().lines(), [slow], { invariants });
    expect(report.verdict).toBe('agrees');
    expect(lines).toEqual([2, 3, 4, 4, 4, 5, 6]);
  });

  test('is not asked of jobs that failed, nor of values that are deleted', async () => {
    const history = new History()
      .step('ada', [['deposit', 1]])
      .amend((commit: RecordedCommit) => ({
        ...commit,
        jobs: [
          ...commit.jobs,
          {
            ...{ id: 'x', update: 'close', sequence: commit.watermark, attempt: 1 },
            data: { account: 'ada', cents: 0 }, // it would succeed today
            outcome: { kind: 'failed', code: 'INVALID_KEY', message: '', cascades: false },
          },
        ],
      }))
      .delete('ada');
    const seen: unknown[] = [];
    const report = await run(history, [
      { name: 'seen', step: ({ job, after }) => seen.push([job.id, after !== undefined]) > 0 },
      neverNegative,
    ]);
    expect(seen).toEqual([
      ['1', true],
      ['2', false],
    ]);
    expect(report.of('never negative').asked).toBe(1);
    expect(report.failures?.succeedNow).toBe(1);
  });

  test('gets values that it cannot change, and onJob those that it can', async () => {
    const spoils = {
      name: 'spoils',
      value: (value: Account) => delete (value as { log?: unknown }).log,
    };
    await expect(run(traffic(), [spoils])).rejects.toMatchObject({
      code: 'INVARIANT_UNUSABLE',
      message: expect.stringMatching(/"spoils" threw: .*\(line 2, job 1 \(deposit\) of "ada"\)/),
    });
    let after: unknown;
    const report = await run(traffic(), [neverNegative], {
      onJob: (job) => {
        (job.after as { cents: number }).cents = -999;
        after = job.after;
      },
    });
    expect(after).toMatchObject({ cents: -999 });
    expect(report.of('never negative').breaks).toBe(3);
  });
});

describe('an invariant that gives no answer is refused, with the place:', () => {
  const told = /\(line 2, job 1 \(deposit\) of "ada"\)/;
  test.each<[string, Omit<AnyInvariant, 'name'>, RegExp]>([
    ['it throws', { value: () => JSON.parse('{') as never }, /threw: /],
    [
      'it returns a promise',
      { step: (() => Promise.reject(new Error('x'))) as never },
      /a promise/,
    ],
    ['it returns nothing', { value: (() => undefined) as never }, /undefined: .*return\?/],
    ['it returns a number', { step: (() => 0) as never }, /returned a value of type number/],
    ['its filter throws', { keys: () => JSON.parse('{') as never, value: () => true }, /threw/],
    [
      'it counts fractions',
      { total: { of: () => 0.5, holds: () => true } },
      /0\.5 is no whole number/,
    ],
    [
      'its total gives no answer',
      { total: { of: () => 1, holds: (() => undefined) as never } },
      /returned undefined/,
    ],
  ])('%s', async (_, invariant, message) => {
    const refused = run(traffic(), [{ name: 'mine', ...invariant }]);
    await expect(refused).rejects.toMatchObject({ code: 'INVARIANT_UNUSABLE' });
    await expect(refused).rejects.toThrow(message);
    if (invariant.keys === undefined) await expect(refused).rejects.toThrow(told);
  });

  test('it counts with numbers and bigints', async () => {
    const of = ({ cents }: Account): number | bigint => (cents === 100 ? cents : BigInt(cents));
    const refused = run(traffic(), [{ name: 'mixed', total: { of, holds: () => true } }]);
    await expect(refused).rejects.toThrow(/numbers and bigints.*line 3, job 2/);
  });

  test.each<[string, unknown, RegExp]>([
    ['no name', { value: () => true }, /needs a name/],
    ['nothing to ask', { name: 'x' }, /says nothing/],
    ['a misspelt member', { name: 'x', vaule: () => true }, /a member vaule/],
    ['a member that is no function', { name: 'x', step: true }, /step of .* must be a function/],
    ['half a total', { name: 'x', total: { of: () => 1 } }, /two functions/],
    ['another time', { name: 'x', total: { of: () => 1, holds: () => true, when: 'now' } }, /when/],
    ['keys that are a text', { name: 'x', keys: 'a', value: () => true }, /regular expression/],
    ['an update', deposit, /a member key/],
    ['nothing', undefined, /is an object/],
  ])('it is defined with %s', async (_, invariant, message) => {
    expect(() => defineInvariant(invariant as never)).toThrow(message);
    await expect(run(traffic(), [invariant as never])).rejects.toMatchObject({
      code: 'INVALID_OPTIONS',
    });
  });

  test('there are none, or their option is misspelt', async () => {
    await expect(run(traffic(), [])).rejects.toThrow(/list of invariants is empty/);
    const misspelt = replay(traffic().lines(), updates, { invariant: [adds] } as never);
    await expect(misspelt).rejects.toMatchObject({ code: 'INVALID_OPTIONS' });
    await expect(misspelt).rejects.toThrow('replay has no option invariant.');
  });

  test('two have one name', async () => {
    await expect(run(traffic(), [adds, { ...adds }])).rejects.toThrow(/two invariants are named/);
  });
});

describe('an invariant that was never asked', () => {
  const of = { value: () => true };
  test('keeps the replay from agreeing', async () => {
    const report = await run(traffic(), [adds, { name: 'of nobody', keys: /^zoe$/, ...of }]);
    expect(report).toMatchObject({ verdict: 'not-checked', agrees: false });
    expect(report.of('of nobody')).toMatchObject({
      ...{ verdict: 'not-checked', asked: 0, unchecked: 'never-asked' },
    });
    expect(report.of('deposits add').verdict).toBe('holds');
  });

  test('was not meant to: a regular expression with a memory is asked for every key', async () => {
    const keys = /a|b/g;
    const report = await run(traffic(), [{ name: 'all', keys, ...of }]);
    expect(report.of('all').asked).toBe(7);
  });

  test('is one of a recording without commits', async () => {
    const report = await run(new History(), [neverNegative, constant('sum', 'end')]);
    expect(report.verdict).toBe('not-checked');
    expect(report.invariants.map(({ unchecked }) => unchecked)).toEqual([
      'never-asked',
      'never-asked',
    ]);
  });
});

describe('a total over all keys', () => {
  const moves = (): History =>
    new History()
      .step('ada', [['deposit', 100]], { full: true })
      .step('ada', [['deposit', -30]])
      .step('bob', [['deposit', 30]])
      .step('ada', [['deposit', -70]])
      .step('bob', [['deposit', 70]]);
  const hundred: AnyInvariant = {
    name: 'a hundred in all',
    total: {
      of: ({ cents }: Account) => cents,
      holds: (total, { keys }) => total === 100 || `${total} in ${keys}`,
      when: 'end',
    },
  };

  test('is asked after each job, or behind the last one', async () => {
    const report = await run(moves(), [{ ...hundred, name: 'at the end' }, hundred]);
    expect(report.verdict).toBe('agrees');
    expect(report.of('at the end')).toMatchObject({ asked: 1, verdict: 'holds' });
    const always = { ...hundred, total: { ...hundred.total, when: 'always' } } as AnyInvariant;
    const broken = (await run(moves(), [always])).of('a hundred in all');
    expect(broken).toMatchObject({
      ...{ asked: 5, breaks: 2 },
      broken: { what: 'total', why: '70 in 1', total: '70', change: '70', at: { line: 3 } },
    });
  });

  test('that is wrong at the end is told without a job', async () => {
    const wrong = { ...hundred.total, holds: () => false } as AnyInvariant['total'];
    const { broken } = (await run(moves(), [{ name: 'wrong', total: wrong as never }])).of('wrong');
    expect(broken).toMatchObject({ at: undefined, total: '100' });
    expect(brokenText('wrong', broken as never)).toBe(
      'the invariant "wrong" does not hold behind all jobs (the total is 100, changed by 100)',
    );
  });

  test('counts in bigints, and what is deleted no more', async () => {
    const big = defineInvariant<Account>({
      name: 'big',
      total: {
        of: ({ cents }) => BigInt(cents) * 10n ** 20n,
        holds: (total) => total === 0n,
        when: 'end',
      },
    });
    const report = await run(new History().step('ada', [['deposit', 3]]).delete('ada'), [big]);
    expect(report.of('big')).toMatchObject({ verdict: 'holds', asked: 1 });
  });

  test('goes from the values with which the recording begins: what it has changed since', async () => {
    const before = new History()
      .unrecorded('ada', [['deposit', 70]])
      .unrecorded('bob', [['deposit', 30]])
      .step('ada', [['deposit', -30]], { full: true })
      .step('bob', [['deposit', 30]], { full: true })
      .step('ada', [['deposit', -5]])
      .step('bob', [['deposit', 5]]);
    const report = await run(before, [constant('constant', 'end')], {
      allowUnchecked: ['before-start'],
    });
    expect(report.of('constant')).toMatchObject({ verdict: 'holds', asked: 1 });
    expect(report.verdict).toBe('agrees');
    const always = await run(before, [constant('constant')], { allowUnchecked: ['before-start'] });
    expect(always.of('constant')).toMatchObject({ verdict: 'broken', asked: 2, breaks: 1 });
  });

  test('is not known while a value is not: that is told', async () => {
    const history = moves()
      .unrecorded('ada', [['deposit', 1]])
      .step('ada', [['deposit', 1]]);
    const report = await run(history, [hundred]);
    expect(report.of('a hundred in all')).toMatchObject({
      ...{ verdict: 'not-checked', asked: 0, unchecked: 'values-unknown', times: 1 },
    });
    expect(report.verdict).toBe('not-checked');
  });

  test('is not known of one key, or of a recording of one', async () => {
    const one = await run(moves(), [hundred, neverNegative], { key: 'bob' });
    expect(one.of('a hundred in all')).toMatchObject({ asked: 0, unchecked: 'not-all-keys' });
    expect(one.of('never negative').verdict).toBe('holds');
    expect(one.verdict).toBe('not-checked');
    const lines = moves().lines({ key: 'bob' });
    const recorded = await replay(lines, updates, { invariants: [hundred] });
    expect(recorded.invariants[0]?.unchecked).toBe('not-all-keys');
  });

  test('knows a value that is recorded, though its job cannot be run', async () => {
    const strict = [{ ...deposit, name: 'deposit' }, interest].map((update) =>
      update === interest ? { ...interest, strict: true } : update,
    );
    const history = new History()
      .step('ada', [['deposit', 50]])
      .step('ada', [['interest', 0]], { full: true });
    const [report] = (
      await replay(history.lines(), strict, {
        invariants: [
          {
            name: 'sum',
            value: ({ cents }: Account) => cents !== 55 || 'five more',
            total: { of: ({ cents }: Account) => cents, holds: () => true, when: 'end' },
          },
        ],
      })
    ).invariants;
    expect(report).toMatchObject({ verdict: 'broken', asked: 3, unchecked: undefined });
    expect(report?.broken?.at).toEqual({ line: 3, key: 'ada' });
    expect(brokenText('sum', report?.broken as never)).toContain(
      'does not hold line 3, the value of "ada": five more',
    );
  });
});
