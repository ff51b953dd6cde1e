/** Replaying recordings of a history that is right, and of ones with gaps; with updates that are right, and not. */
import { describe, expect, test } from 'vitest';
import { type AnyUpdate, DELETE_CELL, defineUpdate } from '../../../../src/updates/update.ts';
import { replay } from '../../../../src/history/replay/replay.ts';
import type { ReplayOptions } from '../../../../src/history/replay/replay-options.ts';
import type { KeyReport, ReplayReport } from '../../../../src/history/replay/report.ts';
import type { RecordedCommit } from '../../../../src/history/recording/recording.ts';
import {
  type Account,
  type Amount,
  deposit,
  History,
  interest,
  linesOf,
} from '../../../support/recorded.ts';

const close = defineUpdate({
  name: 'close',
  key: ({ account }: Amount) => account,
  apply: () => DELETE_CELL as typeof DELETE_CELL,
});
const updates: readonly AnyUpdate[] = [deposit, interest, close];
/** The planted bug: interest is rounded down. */
const stingy: AnyUpdate = {
  ...interest,
  apply: (account: Account, data: Amount, context) => {
    const right = interest.apply(account, data, context) as Account;
    return { ...right, cents: Math.floor(account.cents * 1.1) };
  },
};

const traffic = (): History =>
  new History()
    .step('ada', [['deposit', 100]])
    .step('bob', [['deposit', 5]])
    .step('ada', [['interest', 0]])
    .step('ada', [
      ['deposit', 7],
      ['interest', 0],
      ['deposit', 1],
    ])
    .step('bob', [['interest', 0]])
    .step('bob', [['deposit', 1]], { full: true });

function run(
  history: History,
  used: readonly AnyUpdate[] = updates,
  options: ReplayOptions = {},
): Promise<ReplayReport> {
  return replay(history.lines(), used, options);
}

function of(report: ReplayReport, key: string): KeyReport {
  return report.keys.find((one) => one.key === key) as KeyReport;
}

test.each([5, null, undefined, {}, true])('no recording: %s', async (input) => {
  await expect(replay(input as never, updates)).rejects.toMatchObject({ code: 'INVALID_OPTIONS' });
});

describe('a history that is right', () => {
  test('of an update that asks the time zone agrees here, and nowhere else', async () => {
    const hours = (update: AnyUpdate): AnyUpdate => ({
      ...update,
      result: () => new Date(0).getHours(),
    });
    const history = traffic();
    const told = await run(history, updates.map(hours), { verifyUpdates: true });
    expect(told.verdict).toBe('differs');
    expect(of(told, 'ada').difference?.failure).toContain('"result" of the update "deposit" gave');
    expect((await run(history, updates.map(hours))).verdict).toBe('agrees');
    expect((await run(history, updates, { verifyUpdates: true })).verdict).toBe('agrees');
  });

  test('agrees, every commit of it', async () => {
    const report = await run(traffic());
    expect(report).toMatchObject({
      agrees: true,
      complete: true,
      commits: 6,
      checked: 6,
      jobs: 8,
      unknownUpdates: [],
    });
    expect(report.keys).toMatchObject([
      { key: 'ada', verdict: 'agrees', start: 'beginning', commits: 3, checked: 3, gapsCount: 0 },
      { key: 'bob', verdict: 'agrees', start: 'beginning', commits: 3, checked: 3, gapsCount: 0 },
    ]);
  });

  test('agrees for one key, if only that is asked for', async () => {
    const report = await run(traffic(), updates, { key: 'bob' });
    expect(report).toMatchObject({ agrees: true, complete: true, commits: 3 });
    expect(report.keys.map(({ key }) => key)).toEqual(['bob']);
    await expect(run(traffic(), updates, { key: 'eve' })).rejects.toMatchObject({
      code: 'NOTHING_RECORDED',
      message: expect.stringContaining('no commit of the key "eve"'),
    });
  });

  test('agrees with asynchronous updates, too', async () => {
    const slow = updates.map(
      (update): AnyUpdate => ({
        ...update,
        apply: async (...args: Parameters<AnyUpdate['apply']>) => {
          await Promise.resolve();
          return update.apply(...args);
        },
      }),
    );
    expect(await run(traffic(), slow)).toMatchObject({ agrees: true, checked: 6 });
  });

  test('agrees across deletions', async () => {
    const history = traffic()
      .delete('ada')
      .step('ada', [['deposit', 3]]);
    // The key has begun anew, though not for the first time.
    history.amend((commit) => ({ ...commit, origin: 'nothing' }));
    expect(await run(history)).toMatchObject({ agrees: true, complete: true, checked: 8 });
  });

  test('passes over jobs that were not applied', async () => {
    const job = { id: '99', update: 'deposit', sequence: 1_767_225_600_900_000, attempt: 1 };
    const data = { account: 'ada', cents: 1_000 };
    const history = traffic().step('ada', [['deposit', 1]]);
    history.amend((commit) => ({
      ...commit,
      jobs: [
        { ...job, data, outcome: { kind: 'failed', code: 'X', message: '', cascades: false } },
        { ...job, data, outcome: { kind: 'moved' } },
        { ...job, outcome: { kind: 'withdrawn' } },
        ...commit.jobs,
      ],
    }));
    expect(await run(history)).toMatchObject({
      checked: 7,
      unchecked: {},
      failures: { failed: 1, succeedNow: 1 },
    });
  });

  test('begins with an adopted value', async () => {
    const history = new History().step('ada', [['deposit', 50]]);
    history.amend((commit) => ({ ...commit, origin: { adopted: { cents: 0, log: [] } } }));
    expect(await run(history)).toMatchObject({ agrees: true, complete: true });
  });

  test('tells how far it has come', async () => {
    const seen: number[] = [];
    await run(traffic(), updates, { onProgress: (commits) => seen.push(commits) });
    expect(seen).toEqual([0, 1, 2, 3, 4, 5, 6, 6]);
  });
});

describe('an update that was changed', () => {
  test('is caught at the first commit that differs, with its job', async () => {
    const report = await run(traffic(), [deposit, stingy, close]);
    expect(report.agrees).toBe(false);
    // 5 * 1.1 is rounded up, 100 * 1.1 and 117 * 1.1 are not rounded, or down.
    expect(of(report, 'ada')).toMatchObject({ verdict: 'differs' });
    const { difference, checked } = of(report, 'bob');
    expect(difference).toMatchObject({ line: 6, jobs: [{ id: '7', update: 'interest' }] });
    expect(checked).toBe(2);
    expect(JSON.parse(difference?.before.json ?? '')).toMatchObject({ cents: 5 });
  });

  test('is shown with both values at the next commit that has one', async () => {
    const { difference } = of(await run(traffic(), [deposit, stingy, close]), 'bob');
    expect(difference).toMatchObject({ line: 6, comparedAt: { line: 7 } });
    expect(JSON.parse(difference?.expected?.json ?? '')).toMatchObject({ cents: 7 });
    expect(JSON.parse(difference?.actual?.json ?? '')).toMatchObject({ cents: 6 });
    expect(difference?.diff).toContain('-  "cents": 7,\n+  "cents": 6,');
  });

  test('is not shown with both where no commit has a value any more', async () => {
    const history = new History().step('ada', [['deposit', 5]]).step('ada', [['interest', 0]]);
    const { difference } = of(await run(history, [deposit, stingy]), 'ada');
    expect(difference).toMatchObject({ line: 3, comparedAt: { line: 3 }, expected: undefined });
    expect(JSON.parse(difference?.actual?.json ?? '')).toMatchObject({ cents: 5 });
  });

  test('is found to the job among many, given the former updates', async () => {
    const history = new History().step('ada', [['deposit', 5]]).step('ada', [
      ['deposit', 10],
      ['interest', 0],
      ['interest', 0],
      ['deposit', 1],
    ]);
    const alone = of(await run(history, [deposit, stingy]), 'ada').difference;
    expect(alone?.jobs.map(({ id }) => id)).toEqual(['2', '3', '4', '5']);
    expect(alone?.expected).toBeUndefined();
    const report = await run(history, [deposit, stingy], { former: updates });
    const { difference } = of(report, 'ada');
    expect(difference).toMatchObject({ line: 3, jobs: [{ id: '3', update: 'interest' }] });
    expect(difference?.diff).toContain('-  "cents": 17,\n+  "cents": 16,');
  });

  test('is found when it throws, and when it changes another key', async () => {
    const refusing = {
      ...interest,
      apply: () => {
        throw new Error('no interest any more');
      },
    };
    const report = await run(traffic(), [deposit, refusing, close]);
    expect(of(report, 'ada').difference).toMatchObject({
      line: 4,
      failure: 'no interest any more',
      jobs: [{ id: '3' }],
      actual: undefined,
    });
    const moved = { ...interest, key: ({ account }: Amount) => `new-${account}` };
    expect(of(await run(traffic(), [deposit, moved, close]), 'bob').difference).toMatchObject({
      line: 6,
      failure: expect.stringContaining('another key'),
    });
  });

  test('is told even if what it got wrong is written over later', async () => {
    const history = new History()
      .step('ada', [['deposit', 5]])
      .step('ada', [['interest', 0]])
      .delete('ada');
    const { difference } = of(await run(history, [deposit, stingy, close]), 'ada');
    expect(difference).toMatchObject({ line: 3, comparedAt: { line: 4 } });
  });

  test('does not keep other keys from being told, but only the first ones with values', async () => {
    const history = new History();
    for (let n = 0; n < 30; n++) {
      history.step(`k${n}`, [['deposit', 5]]).step(`k${n}`, [['interest', 0]], { full: true });
    }
    const report = await run(history, [deposit, stingy]);
    expect(report.keys.every(({ verdict }) => verdict === 'differs')).toBe(true);
    expect(report.keys.filter(({ difference }) => difference?.diff !== undefined)).toHaveLength(20);
  });
});

describe('an update that is missing', () => {
  test('is named, and its key is not taken for right', async () => {
    const report = await run(traffic(), [deposit]);
    expect(report).toMatchObject({
      agrees: false,
      complete: false,
      unknownUpdates: ['interest'],
      keys: [
        { key: 'ada', verdict: 'unknown-update', gapsCount: 1 },
        { key: 'bob', verdict: 'unknown-update', gapsCount: 1 },
      ],
    });
    expect(of(report, 'ada').gaps).toMatchObject([
      { line: 4, reason: 'unknown-update', job: { id: '3', update: 'interest' } },
    ]);
  });

  test('is not run if it acts on the outside world', async () => {
    let runs = 0;
    const strict = {
      ...interest,
      strict: true,
      apply: () => {
        runs += 1;
        return { cents: 0, log: [] };
      },
    };
    const report = await run(traffic(), [deposit, strict, close]);
    expect(runs).toBe(0);
    expect(report).toMatchObject({
      ...{ verdict: 'not-checked', agrees: false, complete: false },
      unchecked: { 'strict-update': 4 },
    });
    expect(of(report, 'bob').verdict).toBe('unchecked');
    expect(of(report, 'bob').gaps).toMatchObject([{ line: 6, reason: 'strict-update' }]);
  });
});

describe('a recording with a gap', () => {
  test('says so, and goes on behind the next value', async () => {
    const history = new History()
      .step('ada', [['deposit', 1]])
      .unrecorded('ada', [['deposit', 2]])
      .step('ada', [['deposit', 3]])
      .step('ada', [['deposit', 4]], { full: true })
      .step('ada', [['interest', 0]]);
    const report = await run(history);
    expect(report).toMatchObject({ agrees: false, complete: false, commits: 4, checked: 2 });
    expect(report.unchecked).toEqual({ 'commits-missing': 2 });
    expect(await run(history, updates, { allowUnchecked: ['commits-missing'] })).toMatchObject({
      ...{ verdict: 'agrees', agrees: true, complete: false },
    });
    expect(of(report, 'ada')).toMatchObject({
      verdict: 'unchecked',
      start: 'beginning',
      gaps: [{ line: 3, reason: 'commits-missing' }],
      gapsCount: 1,
    });
  });

  test('is no gap if it only begins late: then at the first value', async () => {
    const history = new History()
      .unrecorded('ada', [['deposit', 1]])
      .step('ada', [['deposit', 2]])
      .step('ada', [['deposit', 3]], { full: true })
      .step('ada', [['deposit', 4]]);
    expect(of(await run(history), 'ada')).toMatchObject({
      start: 'checkpoint',
      commits: 3,
      checked: 1,
      gapsCount: 0,
      verdict: 'unchecked',
      unchecked: { 'before-start': 2 },
    });
    for (const [allowUnchecked, agrees] of [
      [['before-start'], true],
      [['strict-update'], false],
    ] as const)
      expect(await run(history, updates, { allowUnchecked })).toMatchObject({ agrees });
  });

  test('is one though what follows can be folded: nobody knows what the missing commits did', async () => {
    const history = new History()
      .step('ada', [['deposit', 1]])
      .unrecorded('ada', [['deposit', 2]])
      .delete('ada')
      .step('ada', [['deposit', 3]]);
    history.commits[1] = { ...(history.commits[1] as RecordedCommit), origin: 'nothing' };
    history.amend((commit) => ({ ...commit, origin: 'nothing' }));
    const empty: AnyUpdate = { ...close, initial: () => ({}) };
    const report = await run(history, [deposit, interest, empty]);
    expect(report).toMatchObject({
      verdict: 'not-checked',
      checked: 3,
      commits: 3,
      complete: false,
    });
  });

  test('is not right only because nothing could be checked', async () => {
    const history = new History().unrecorded('ada', [['deposit', 1]]).step('ada', [['deposit', 2]]);
    const report = await run(history);
    expect(report).toMatchObject({ agrees: false, complete: false, checked: 0 });
    expect(of(report, 'ada')).toMatchObject({ verdict: 'unchecked', start: undefined });
    const allowed = await run(history, updates, { allowUnchecked: ['before-start'] });
    expect(allowed.verdict).toBe('not-checked');
  });

  test('names a job that is gone, and one whose data are', async () => {
    const without = (...members: string[]): History =>
      traffic().amend((commit) => ({
        ...commit,
        jobs: commit.jobs.map((job) => {
          const rest = Object.entries(job).filter(([name]) => !members.includes(name));
          return Object.fromEntries(rest) as unknown as typeof job;
        }),
      }));
    expect(of(await run(without('update', 'data')), 'bob').gaps).toMatchObject([
      { line: 7, reason: 'job-gone', job: { id: '8' } },
    ]);
    expect(of(await run(without('data')), 'bob').gaps).toMatchObject([
      { line: 7, reason: 'data-gone', job: { id: '8' } },
    ]);
  });

  test('knows no start of a commit whose maker died', async () => {
    const history = traffic().amend((commit) => ({ ...commit, origin: 'unknown' }));
    const report = of(await run(history), 'bob');
    expect(report).toMatchObject({ gaps: [{ line: 7, reason: 'start-unknown' }], checked: 2 });
  });
});

describe('the live cells', () => {
  const live = (history: History, change: (key: string) => object | undefined) =>
    run(history, updates, {
      live: async (key) => {
        const changed = change(key);
        if (changed === undefined) return undefined;
        const token = history.commits.findLast((commit) => commit.key === key)?.token ?? 0;
        return { token, json: JSON.stringify(history.valueOf(key)), ...changed };
      },
    });
  const verdicts = (report: ReplayReport): unknown[] => report.keys.map((key) => key.live?.kind);

  test('are the same', async () => {
    const report = await live(traffic(), () => ({}));
    expect(report.agrees).toBe(true);
    expect(verdicts(report)).toEqual(['same', 'same']);
  });

  test('are different, newer, older, missing', async () => {
    const changes: Record<string, object | undefined> = {
      ada: { json: '{"cents":1,"log":[]}' },
      bob: { token: 2e15 },
    };
    const report = await live(traffic(), (key) => changes[key]);
    expect(report.agrees).toBe(false);
    expect(verdicts(report)).toEqual(['differs', 'newer']);
    expect(of(report, 'ada').live).toMatchObject({
      diff: expect.stringContaining('+  "cents": 1'),
    });
    expect(verdicts(await live(traffic(), () => undefined))).toEqual(['missing', 'missing']);
    const older = await live(traffic(), () => ({ token: 1 }));
    expect(older.agrees).toBe(true);
    expect(verdicts(older)).toEqual(['older', 'older']);
  });

  test('are missing rightly after a deletion', async () => {
    const history = traffic().delete('ada');
    const report = await live(history, (key) => (key === 'ada' ? undefined : {}));
    expect(verdicts(report)).toEqual(['same', 'same']);
  });
});

test('a key that no key can be is refused', async () => {
  await expect(run(traffic(), updates, { key: '' })).rejects.toMatchObject({ code: 'INVALID_KEY' });
});

test('a masked recording is refused', async () => {
  const lines = traffic().lines({ masked: true, replayable: false });
  await expect(replay(lines, updates)).rejects.toMatchObject({ code: 'RECORDING_MASKED' });
});

test('a file that is not there, or no file, is told', async () => {
  for (const file of ['/no/such/file.jsonl', '/tmp']) {
    await expect(replay(file, updates)).rejects.toMatchObject({
      code: 'BAD_FILE',
      message: expect.stringContaining(`${file} cannot be read`),
    });
  }
});

test('a history that was trimmed while it was recorded does not agree', async () => {
  const lines = linesOf(traffic().commits, {}, { torn: [3] });
  expect(await replay(lines, updates)).toMatchObject({
    ...{ verdict: 'not-checked', complete: false, torn: [3], checked: 6 },
  });
  const allowed = await replay(lines, updates, { allowUnchecked: ['commits-missing'] });
  expect(allowed.verdict).toBe('agrees');
});
