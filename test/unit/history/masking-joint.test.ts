/** Masked recordings with transactions: their values are made anew from masked data, so that a replay can still check them. */
import { describe, expect, test } from 'vitest';
import { copyOfRecording } from '../../../src/history/recording/copy.ts';
import { type Mask, type MaskedJob, Masking } from '../../../src/history/recording/mask.ts';
import type { RecordedCommit } from '../../../src/history/recording/recording.ts';
import { replay } from '../../../src/history/replay/replay.ts';
import { Bank, move, type Move, updates } from '../../support/joint-recorded.ts';
import { linesOf } from '../../support/recorded.ts';

/** Every amount is 1. */
const ONES: Mask = { data: (data) => ({ ...(data as object), cents: 1 }) };

async function masked(lines: readonly string[], mask: Mask, used?: typeof updates) {
  const copied: string[] = [];
  for await (const line of copyOfRecording(lines, new Masking(mask, used)))
    copied.push(`${line}\n`);
  return copied;
}

const commitsOf = (lines: readonly string[]): RecordedCommit[] =>
  lines.flatMap((line) => (JSON.parse(line) as { commit?: RecordedCommit }).commit ?? []);

const bank = (): Bank =>
  new Bank()
    .deposit('ada', 7_100)
    .deposit('bob', 7_050)
    .transfer([move('ada', 'bob', 7_030), move('bob', 'cid', 7_077)])
    .deposit('cid', 7_002)
    .transfer([move('cid', 'ada', 7_011)], { full: ['ada'] })
    .close(move('bob', 'ada', 0))
    .transfer([move('ada', 'bob', 7_001)]);

describe('a masked recording with transactions', () => {
  test('replays: values, hashes and results are those of the masked data', async () => {
    const lines = await masked(bank().lines(), ONES, updates);
    expect(lines.join('')).not.toContain('"cents":7');
    expect(lines.join('')).not.toMatch(/"(value|result)":7\d\d\d/);
    const plain = await replay(bank().lines(), updates);
    const report = await replay(lines, updates);
    expect(plain).toMatchObject({ verdict: 'agrees', complete: true });
    expect(report).toMatchObject({
      ...{ verdict: 'agrees', complete: true, checked: plain.checked },
      results: { compared: 4, differ: 0, notRecorded: 0 },
    });
    expect(report.keys.map(({ key, last }) => `${key} ${last?.json}`)).toEqual([
      'ada 1',
      'bob 1',
      'cid 1',
    ]);
    // Nothing else has changed, and each line is where it was.
    const shape = (commit: RecordedCommit): unknown => {
      const { hash: _, value, jobs, ...rest } = commit;
      const ids = jobs.map(({ id, result }) => `${id} ${result === undefined}`);
      return { ...rest, isFull: value !== undefined, ids };
    };
    expect(commitsOf(lines).map(shape)).toEqual(bank().commits.map(shape));
  });

  test('leaves out the data of a job that failed, and would not with its masked data', async () => {
    const failing = new Bank()
      .deposit('ada', 5)
      .transfer([move('ada', 'bob', 9), move('ada', 'bob', 2)])
      .deposit('eve', 1, { change: failed });
    const kept = await masked(failing.lines(), ONES, updates);
    expect(await replay(kept, updates)).toMatchObject({
      verdict: 'agrees',
      failures: { failed: 2, succeedNow: 0, untried: { 'data-gone': 2 } },
    });
    const again = await masked(failing.lines().slice(), { data: (data) => data }, updates);
    expect(await replay(again, updates)).toMatchObject({ failures: { failAgain: 1 } });
  });

  test('is told all keys of a job, once per job', async () => {
    const told: MaskedJob[] = [];
    await masked(bank().lines(), { data: (data, job) => (told.push(job), data) }, updates);
    expect(told.map(({ jobId }) => jobId)).toEqual(['1', '2', '3', '4', '5', '6', '7', '8']);
    expect(told[3]).toEqual({ key: 'bob', keys: ['bob', 'cid'], jobId: '4', update: 'transfer' });
    expect(told[0]).toEqual({ key: 'ada', jobId: '1', update: 'deposit' });
  });

  const with_ = (name: string, changes: object): typeof updates =>
    updates.map((one) => (one.name === name ? { ...one, ...changes } : one));
  test.each<[string, Mask, typeof updates, RegExp]>([
    [
      'updates that do not make the true values',
      ONES,
      with_('transfer', { apply: () => [1, 2] }),
      /do not give the value that was recorded \(commit \d+ of "ada"\)/,
    ],
    [
      'updates that do not give the true results',
      ONES,
      with_('transfer', { result: () => 'other' }),
      /the result of job 3 that was recorded/,
    ],
    [
      'a mask that changes keys',
      {
        data: (data) =>
          'from' in (data as object) ? { ...(data as Move), to: 'eve', cents: 1 } : data,
      },
      updates,
      /belongs to other keys/,
    ],
    [
      'a mask with which an applied job fails',
      { data: (data) => ({ ...(data as Move), cents: 'from' in (data as object) ? 9 : 1 }) },
      updates,
      /no cover/,
    ],
  ])('is not made with %s', async (_, mask, used, message) => {
    await expect(masked(bank().lines(), mask, used)).rejects.toMatchObject({
      ...{ code: 'RECORDING_MASKED', message: expect.stringMatching(message) },
    });
  });

  test('has the gaps of the true one: lines that are missing, keys whose value is not known', async () => {
    const { commits } = bank();
    const allowUnchecked = ['before-start', 'commits-missing', 'other-key'] as const;
    const cut = (from: number, count: number): string[] =>
      linesOf(commits.toSpliced(from, count), { format: 2 });
    const cases = [
      cut(0, 1), // ada's beginning
      cut(3, 1), // one line of the first transfers
      cut(2, 1), // its head
      cut(6, 2), // a whole one
      cut(9, 4),
      linesOf(commits.slice(0, -1), { format: 2 }),
    ];
    for (const lines of cases) {
      for (const mask of [ONES, { ...ONES, value: (value: unknown) => value }]) {
        const copied = await masked(lines, mask, updates);
        expect(commitsOf(copied).map(({ id }) => id)).toEqual(commitsOf(lines).map(({ id }) => id));
        const report = await replay(copied, updates, { allowUnchecked });
        expect(report.verdict).toBe('agrees');
        expect(report.checked).toBeGreaterThan(0);
      }
    }
  });

  test('without the updates has no values, and cannot be replayed', async () => {
    const lines = await masked(bank().lines(), ONES);
    expect(commitsOf(lines)).toHaveLength(bank().commits.length);
    expect(new Set(commitsOf(lines).map(({ hash }) => hash))).toEqual(new Set(['', '-']));
    expect(JSON.stringify(commitsOf(lines))).not.toMatch(/"(value|result)":/);
    await expect(replay(lines, updates)).rejects.toMatchObject({ code: 'RECORDING_MASKED' });
  });
});

function failed(commit: RecordedCommit): RecordedCommit {
  const outcome = { kind: 'failed', code: 'Error', message: 'mine', cascades: false } as const;
  return {
    ...commit,
    jobs: commit.jobs.map((job) => ({ ...job, outcome })),
    hash: '-',
    value: undefined,
  };
}
