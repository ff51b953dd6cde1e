/** What a replay finds out about single jobs: those that failed then, results, and what nobody looked at. */
import { DelayedError } from 'bullmq';
import { describe, expect, test } from 'vitest';
import { type AnyUpdate, defineUpdate } from '../../../../src/updates/update.ts';
import { record, type RecordOptions } from '../../../../src/history/record.ts';
import { replay } from '../../../../src/history/replay/replay.ts';
import type { ReplayOptions } from '../../../../src/history/replay/replay-options.ts';
import type { RecordedCommit, RecordedJob } from '../../../../src/history/recording/recording.ts';
import type { ReplayReport } from '../../../../src/history/replay/report.ts';
import { createTestBed, type TestBedOptions } from '../../../../src/testing.ts';
import { linesOf as recordingOf } from '../../../support/recorded.ts';

interface Draft {
  readonly key: string;
  readonly cents: number;
}
interface Balance {
  cents: number;
}

/** Changes what it is given before it refuses: a replay must not go on with that. */
const withdraw = (floor: number, settings: Partial<AnyUpdate> = {}): AnyUpdate => ({
  ...defineUpdate({
    name: 'withdraw',
    key: ({ key }: Draft) => key,
    initial: (): Balance => ({ cents: 100 }),
    apply: (balance: Balance, { cents }: Draft) => {
      balance.cents -= cents;
      if (balance.cents < floor) throw new Error(`not below ${floor}`);
      return balance;
    },
  }),
  ...settings,
});
const ATTEMPTED = [30, 500, 20, 60];

async function linesOf(
  updates: readonly AnyUpdate[],
  drafts: readonly (readonly [string, number])[],
  { bed: options = {}, ...recording }: RecordOptions & { bed?: Partial<TestBedOptions> } = {},
): Promise<string[]> {
  const bed = createTestBed({ ...options, updates });
  for (const [key, cents] of drafts) {
    await bed.enqueue(updates[0] as AnyUpdate, { key, cents });
    await bed.drain();
  }
  const lines: string[] = [];
  for await (const line of record(bed.queue, recording)) lines.push(`${line}\n`);
  return lines;
}

const drafts = ATTEMPTED.map((cents) => ['k', cents] as const);

async function replayed(
  then: AnyUpdate,
  now: AnyUpdate,
  options: ReplayOptions = {},
): Promise<ReplayReport> {
  return replay(await linesOf([then], drafts), [now], options);
}

describe('a job that failed then', () => {
  test('is tried again, on the value that it had', async () => {
    const report = await replayed(withdraw(0), withdraw(0));
    expect(report).toMatchObject({ verdict: 'agrees', checked: 4, complete: true });
    expect(report.failures).toEqual({
      ...{ failed: 2, failAgain: 2, failOtherwise: 0, succeedNow: 0, causedOutside: 0 },
      ...{ untried: {}, examples: [] },
    });
  });

  test('and would succeed now, does not agree, and is named', async () => {
    const report = await replayed(withdraw(0), withdraw(-10));
    expect(report).toMatchObject({ verdict: 'differs', agrees: false });
    expect(report.keys).toMatchObject([{ verdict: 'differs', difference: undefined }]);
    expect(report.failures).toMatchObject({ failed: 2, failAgain: 1, succeedNow: 1 });
    expect(report.failures?.examples).toMatchObject([
      { line: 3, job: { id: '2' }, now: { code: 'Error', message: 'not below -10' } },
      { line: 5, job: { id: '4' }, now: undefined },
    ]);
  });

  test('by an error of BullMQ for a job that was moved, fails again with what a worker made of it', async () => {
    const moving = withdraw(0, {
      apply: () => {
        throw new DelayedError();
      },
    });
    const { failures } = await replayed(moving, moving);
    expect(failures).toMatchObject({ failOtherwise: 0, examples: [] });
    expect(failures?.failAgain).toBeGreaterThan(0);
  });

  test('and fails with another error, is told, but agrees', async () => {
    const other = withdraw(0, {
      apply: (balance: Balance, draft: Draft) => {
        if (balance.cents < draft.cents) throw new RangeError('no funds');
        return { cents: balance.cents - draft.cents };
      },
    });
    const report = await replayed(withdraw(0), other);
    expect(report).toMatchObject({ agrees: true, failures: { failAgain: 2, failOtherwise: 2 } });
  });

  test('and succeeds with the former updates too, failed for a cause outside', async () => {
    let isDown = true;
    const rates = (factor: number): AnyUpdate =>
      withdraw(0, {
        apply: ({ cents }: Balance, draft: Draft) => {
          if (isDown && draft.cents === 500) throw new Error('no rates');
          return { cents: cents - draft.cents * factor };
        },
      });
    const lines = await linesOf([rates(1)], drafts);
    isDown = false;
    expect(await replay(lines, [rates(1)])).toMatchObject({ agrees: false });
    expect(await replay(lines, [rates(1)], { former: [rates(1)] })).toMatchObject({
      agrees: true,
      failures: { succeedNow: 0, causedOutside: 1 },
    });
    // Former updates that do not repeat the key's history have no say.
    const stranger = await replay(lines, [rates(1)], { former: [rates(2)] });
    expect(stranger).toMatchObject({ agrees: false, failures: { succeedNow: 1 } });
  });

  test('and was asynchronous, is tried again, too', async () => {
    const later = (update: AnyUpdate): AnyUpdate => ({
      ...update,
      apply: async (...args: Parameters<AnyUpdate['apply']>) => {
        await Promise.resolve();
        return update.apply(...args);
      },
    });
    expect(await replayed(withdraw(0), later(withdraw(0)))).toMatchObject({ agrees: true });
    expect(await replayed(withdraw(0), later(withdraw(-10)))).toMatchObject({
      agrees: false,
      failures: { succeedNow: 1 },
    });
  });

  test('is not tried where the update has no part in it, or must not be run', async () => {
    const bed = createTestBed({ updates: [withdraw(0, { onExhausted: 'cascade' })] });
    const job = (cents: number): Promise<unknown> =>
      bed.enqueue(bed.registry.require('withdraw'), { key: 'k', cents });
    await job(500);
    await job(1);
    await bed.drain();
    const lines: string[] = [];
    for await (const line of record(bed.queue)) lines.push(`${line}\n`);
    expect(await replay(lines, [withdraw(0)])).toMatchObject({
      failures: { failed: 2, failAgain: 1, untried: { cascaded: 1 } },
    });
    const strict = withdraw(0, { strict: true });
    expect(await replay(await linesOf([strict], drafts), [strict])).toMatchObject({
      verdict: 'not-checked',
      failures: { failed: 2, untried: { 'strict-update': 2 } },
    });
  });
});

describe('results', () => {
  const giving = (result: AnyUpdate['result'] | undefined): AnyUpdate =>
    withdraw(-1_000, result && { result });
  const cents = giving((balance: Balance) => balance.cents);
  const long = giving((balance: Balance) => 'é'.repeat(150) + String(balance.cents));

  test.each([
    ['short', cents],
    ['long', long],
  ])('that are %s are compared', async (_, update) => {
    expect(await replayed(update, update)).toMatchObject({
      agrees: true,
      results: { compared: 4, differ: 0, notRecorded: 0, examples: [] },
    });
    const other = giving(() => 'other');
    const { results, ...report } = await replayed(update, other);
    expect(report).toMatchObject({ verdict: 'differs', checked: 4 });
    expect(results).toMatchObject({ compared: 4, differ: 4 });
    expect(results?.examples[0]).toMatchObject({ line: 2, job: { id: '1' }, actual: '"other"' });
    expect(results?.examples[0]?.expected).toBe(update === cents ? '70' : undefined);
  });

  test('that vanish, or appear, differ', async () => {
    expect(await replayed(cents, giving(undefined))).toMatchObject({
      agrees: false,
      results: { differ: 4, examples: [{ expected: '70', actual: undefined }, {}, {}] },
    });
    expect(await replayed(giving(undefined), cents)).toMatchObject({
      agrees: false,
      results: { differ: 4, examples: [{ expected: undefined, actual: '70' }, {}, {}] },
    });
  });

  test('that were not recorded are counted, and compared with those of the former updates', async () => {
    const lines = withoutResults(await linesOf([cents], drafts));
    const none = { compared: 0, differ: 0, notRecorded: 4 };
    expect(await replay(lines, [cents])).toMatchObject({ agrees: true, results: none });
    expect(await replay(lines, [cents], { former: [cents] })).toMatchObject({
      agrees: true,
      results: { compared: 4, differ: 0, notRecorded: 0 },
    });
    for (const now of [giving(() => 'other'), giving(undefined)]) {
      expect(await replay(lines, [now], { former: [cents] })).toMatchObject({
        agrees: false,
        results: { differ: 4 },
      });
    }
  });
});

/** As if a Toril had written it that did not record results. */
function withoutResults(lines: readonly string[]): string[] {
  const commits = lines.flatMap((line) => {
    const { commit } = JSON.parse(line) as { commit?: RecordedCommit };
    return commit === undefined ? [] : commit;
  });
  const plain = (job: RecordedJob): RecordedJob => {
    const { result: _, resultHash: __, ...rest } = job;
    return rest;
  };
  return recordingOf(commits.map((commit) => ({ ...commit, jobs: commit.jobs.map(plain) })));
}

describe('the former updates', () => {
  const adding = (factor: number): AnyUpdate =>
    withdraw(0, {
      apply: ({ cents }: Balance, { cents: n }: Draft) => ({ cents: cents + n * factor }),
    });

  test('are not believed where they do not give the recorded hash', async () => {
    const lines = await linesOf([adding(1)], [['k', 5]], { bed: {} });
    const wrong = await replay(lines, [adding(2)], { former: [adding(100)] });
    expect(wrong.keys[0]?.difference).toMatchObject({ formerRepeats: false });
    expect(JSON.stringify(wrong)).not.toContain('600');
    const right = await replay(lines, [adding(2)], { former: [adding(1)] });
    expect(right.keys[0]?.difference).toMatchObject({
      formerRepeats: true,
      expected: { json: '{"cents":105}' },
      actual: { json: '{"cents":110}' },
    });
  });

  test('that fail on what they are said to have done are not believed either', async () => {
    const failing = withdraw(1_000_000);
    const report = await replay(await linesOf([adding(1)], [['k', 5]]), [adding(2)], {
      former: [failing],
    });
    expect(report.keys[0]?.difference).toMatchObject({ formerRepeats: false });
  });
});

describe('what nobody looked at', () => {
  const settings = (report: ReplayReport): string[] => report.notLookedAt.map(({ what }) => what);

  test('is listed, if a change of it could have touched the recording', async () => {
    const calm = await replay(await linesOf([withdraw(0)], [['k', 1]]), [withdraw(0)]);
    expect(settings(calm)).toEqual(['expireSeconds', 'refused jobs']);
    const failed = await replayed(withdraw(0), withdraw(0));
    expect(settings(failed)).toEqual(['onFailure', 'onExhausted', 'expireSeconds', 'refused jobs']);
  });

  test('is named where the former updates show that it was changed', async () => {
    const now = withdraw(0, { onExhausted: 'hold', expireSeconds: 5 });
    const report = await replayed(withdraw(0), now, { former: [withdraw(0)] });
    const changed = report.notLookedAt.filter((one) => one.changed.length > 0);
    expect(changed).toMatchObject([
      { what: 'onExhausted', changed: ['withdraw'] },
      { what: 'expireSeconds', changed: ['withdraw'] },
    ]);
  });

  test('is the adopting of foreign values, where one was adopted', async () => {
    const adopting = withdraw(0, { adopt: () => ({ cents: 50 }) });
    const bed = createTestBed({ updates: [adopting] });
    bed.fault.writeForeign('k', '50');
    await bed.enqueue(adopting, { key: 'k', cents: 1 });
    await bed.drain();
    const lines: string[] = [];
    for await (const line of record(bed.queue)) lines.push(`${line}\n`);
    expect(settings(await replay(lines, [adopting]))).toContain('adopt');
  });
});

describe('a strict commit', () => {
  const text = 'x'.repeat(300);
  const plus = (name: string, by: number, more: Partial<AnyUpdate> = {}): AnyUpdate => ({
    ...defineUpdate({
      name,
      key: ({ key }: Draft) => key,
      initial: () => ({ n: 0, text }),
      apply: (value: { n: number; text: string }) => ({ ...value, n: value.n + by }),
    }),
    ...more,
  });
  const pay = plus('pay', 1, { strict: true });

  test('of a large value does not hide what comes behind it', async () => {
    const bed = createTestBed({ updates: [pay, plus('add', 1)] });
    const enqueue = async (name: string): Promise<void> => {
      await bed.enqueue(bed.registry.require(name), { key: 'k', cents: 0 });
      await bed.drain();
    };
    for (const name of ['pay', 'add', 'pay', 'add', 'add']) await enqueue(name);
    const lines: string[] = [];
    for await (const line of record(bed.queue)) lines.push(`${line}\n`);
    expect(await replay(lines, [pay, plus('add', 1)])).toMatchObject({
      verdict: 'not-checked',
      checked: 3,
      unchecked: { 'strict-update': 2 },
    });
    const report = await replay(lines, [pay, plus('add', 2)]);
    expect(report).toMatchObject({ verdict: 'differs', keys: [{ difference: { line: 3 } }] });
    const allowed = await replay(lines, [pay, plus('add', 1)], {
      allowUnchecked: ['strict-update'],
    });
    expect(allowed).toMatchObject({ verdict: 'agrees', complete: false });
  });
});
