/** Joint commits that cannot be folded: values that are not known, lines that are missing or in other places. */
import { describe, expect, test } from 'vitest';
import type { RecordedCommit } from '../../../../src/history/recording/recording.ts';
import {
  Bank,
  deposit,
  type JointOptions,
  move,
  updates,
} from '../../../support/joint-recorded.ts';
import { linesOf } from '../../../support/recorded.ts';
import { changed, of, run, traffic } from './joint-replays.ts';

const without = ({ commits }: Bank, at: number): string[] =>
  linesOf(commits.toSpliced(at, 1), { format: 2 });

describe('a gap', () => {
  const lost = (commit: object): never => ({ ...commit, base: 5 }) as never;

  test('of one key is one of all keys of its commit, which go on behind it', async () => {
    const bank = new Bank()
      .deposit('ada', 100)
      .deposit('bob', 50)
      .deposit('bob', 1, { change: lost, full: [] })
      .transfer([move('ada', 'bob', 30)])
      .deposit('ada', 1);
    const report = await run(bank);
    expect(report).toMatchObject({ verdict: 'not-checked', checked: 3 });
    expect(of(report, 'ada')).toMatchObject({
      ...{ checked: 2, unchecked: { 'other-key': 1 }, last: { json: '71' } },
      gaps: [{ line: 5, reason: 'other-key' }],
    });
    expect(of(report, 'bob')).toMatchObject({ checked: 1, last: { json: '81' } });
    expect(
      await run(bank, updates, { allowUnchecked: ['other-key', 'commits-missing'] }),
    ).toMatchObject({ verdict: 'agrees' });
  });

  test('is a commit with a job that is gone, or of an update that is not registered', async () => {
    const gone = traffic();
    gone.commits[2] = {
      ...(gone.commits[2] as RecordedCommit),
      jobs: [{ id: '3', sequence: 1, attempt: 1, keys: ['ada', 'bob'] }],
    };
    expect(await run(gone)).toMatchObject({ verdict: 'not-checked', unchecked: { 'job-gone': 2 } });
    const unknown = await run(traffic(), [deposit]);
    expect(unknown).toMatchObject({ unknownUpdates: ['transfer'], verdict: 'not-checked' });
    expect(unknown.keys.map(({ verdict }) => verdict)).toEqual(Array(3).fill('unknown-update'));
  });

  test('is a commit of which a line is missing, wherever', async () => {
    for (const at of [2, 3, 5, 6, 7]) {
      const commits = traffic().commits.toSpliced(at, 1);
      const report = await run(linesOf(commits, { format: 2 }));
      expect(report.verdict, `line ${at + 2}`).toBe('not-checked');
      expect(report.unchecked['commits-missing'], `line ${at + 2}`).toBeGreaterThan(0);
      expect(report.complete).toBe(false);
    }
  });
});

describe('lines that are not those of one commit', () => {
  const three = (): Bank =>
    new Bank().deposit('ada', 100).transfer([move('ada', 'bob', 30), move('bob', 'cid', 10)]);

  test('are not folded as one: in another order, of another key, of another commit', async () => {
    const [ada, head, bob, cid] = three().commits as [
      RecordedCommit,
      RecordedCommit,
      RecordedCommit,
      RecordedCommit,
    ];
    for (const lines of [
      [ada, head, cid, bob],
      [ada, bob, head, cid],
      [ada, head, { ...bob, key: 'eve' }, cid],
      [ada, head, { ...bob, head: ada.id }, cid],
    ]) {
      const report = await run(linesOf(lines, { format: 2 }));
      expect(report).toMatchObject({
        ...{ verdict: 'not-checked', checked: 1, unchecked: { 'commits-missing': 3 } },
      });
    }
  });

  test('nor is what comes behind one of which a line is missing, as if it were that', async () => {
    const bank = three().deposit('bob', 1, {
      change: (commit) => ({ ...commit, base: 0, origin: { adopted: 20 } }),
    });
    const report = await run(without(bank, 2));
    expect(report).toMatchObject({ verdict: 'not-checked', checked: 2 });
    expect(of(report, 'ada').unchecked).toEqual({ 'commits-missing': 1 });
  });
});

describe('behind a difference', () => {
  const hidden = (last?: JointOptions): Bank =>
    new Bank()
      .deposit('ada', 100)
      .deposit('cid', 5)
      .transfer([move('ada', 'bob', 30)], { full: ['ada'] })
      .transfer([move('bob', 'cid', 10)], last);

  test('others are not folded with what today makes of the key', async () => {
    const report = await run(hidden(), changed);
    expect(of(report, 'bob')).toMatchObject({ verdict: 'differs', difference: { line: 5 } });
    expect(of(report, 'cid')).toMatchObject({
      verdict: 'unchecked',
      unchecked: { 'other-key': 1 },
    });
  });

  test('nor with what was recorded of it before commits that are missing', async () => {
    const bank = new Bank()
      .deposit('ada', 100)
      .transfer([move('ada', 'bob', 30)])
      .deposit('bob', 1)
      .transfer([move('bob', 'cid', 10)]);
    const report = await run(without(bank, 3), changed);
    expect(of(report, 'bob').verdict).toBe('differs');
    expect(of(report, 'cid')).toMatchObject({ checked: 0 });
  });

  test('how jobs end is not asked, as they met other values', async () => {
    const bank = new Bank()
      .deposit('ada', 30)
      .transfer([move('ada', 'bob', 30), move('bob', 'cid', 20), move('cid', 'ada', 31)]);
    const report = await run(bank, changed);
    expect(report.failures).toMatchObject({ failed: 1, failAgain: 0, succeedNow: 0 });
  });
});
