/** Slices of recordings with transactions, and recordings of one key: they have what their transactions need. */
import { describe, expect, test } from 'vitest';
import { shrink } from '../../../src/history/cutting/shrink.ts';
import { slice, type SliceOptions } from '../../../src/history/cutting/slice.ts';
import { copyOfRecording } from '../../../src/history/recording/copy.ts';
import { Masking } from '../../../src/history/recording/mask.ts';
import type { RecordedCommit } from '../../../src/history/recording/recording.ts';
import { replay } from '../../../src/history/replay/replay.ts';
import { Bank, move, transfer, updates, withTransfer } from '../../support/joint-recorded.ts';

const NONE = { full: [] };

async function sliced(bank: Bank, options: SliceOptions): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of slice(bank.lines(), options)) lines.push(`${line}\n`);
  return lines;
}

/** Key and ids of jobs of each line; a line that is there for its value only has none. */
const told = (lines: readonly string[]): string[] =>
  lines
    .map((line) => (JSON.parse(line) as { commit?: RecordedCommit }).commit)
    .flatMap((commit) =>
      commit === undefined ? [] : `${commit.key} ${commit.jobs.map(({ id }) => id).join(',')}`,
    );

describe('a slice of one key', () => {
  const short = (): Bank =>
    new Bank()
      .deposit('ada', 100)
      .deposit('bob', 50)
      .deposit('bob', 1)
      .deposit('cid', 9)
      .transfer([move('ada', 'bob', 30)])
      .deposit('bob', 2)
      .deposit('cid', 1)
      .transfer([move('bob', 'ada', 3)]);

  test('has other keys where its transactions need them: their last value, and no jobs of theirs', async () => {
    const lines = await sliced(short(), { keys: ['ada'] });
    expect(told(lines)).toEqual(['ada 1', 'bob ', 'ada 5', 'bob ', 'bob ', 'bob 8', 'ada ']);
    const report = await replay(lines, updates);
    expect(report).toMatchObject({ verdict: 'agrees', complete: true });
    expect(report.keys.map(({ last }) => last?.json)).toEqual(['73', '80']);
  });

  test('follows hashes back to a value that was recorded, through other transactions as well', async () => {
    const bank = new Bank()
      .deposit('cid', 9)
      .deposit('dan', 5)
      .deposit('bob', 50)
      .deposit('bob', 1, NONE)
      .transfer([move('bob', 'cid', 4)], NONE)
      .deposit('dan', 5)
      .deposit('ada', 100)
      .deposit('bob', 1, NONE)
      .transfer([move('ada', 'bob', 30)], NONE);
    const lines = await sliced(bank, { keys: ['ada'] });
    expect(told(lines)).toEqual([
      'cid ',
      'bob ',
      'bob 4',
      'bob 5',
      'cid ',
      'ada 7',
      'bob 8',
      'ada 9',
      'bob ',
    ]);
    expect(await replay(lines, updates)).toMatchObject({ verdict: 'agrees', complete: true });
  });

  test('of one job has its whole commit, and a deleted value as none', async () => {
    const bank = short()
      .close(move('ada', 'bob', 0))
      .deposit('cid', 1)
      .transfer([move('bob', 'ada', 5)]);
    const lines = await sliced(bank, { jobs: ['11'] });
    expect(told(lines)).toContain('bob 11');
    const report = await replay(lines, updates, { allowUnchecked: ['before-start'] });
    expect(report).toMatchObject({ verdict: 'agrees' });
    expect(report.keys.map(({ key, last }) => `${key} ${last?.json}`).toSorted()).toEqual([
      'ada 5',
      'bob 148',
    ]);
  });

  test('of a recording in which it has no transaction is what it was', async () => {
    expect(told(await sliced(short(), { keys: ['cid'] }))).toEqual(['cid 4', 'cid 7']);
  });
});

describe('what does not know transactions says so', () => {
  const bank = (): Bank => new Bank().deposit('ada', 100).transfer([move('ada', 'bob', 30)]);
  const changed = withTransfer({ ...transfer, apply: () => [1, 2] });

  test('shrink', async () => {
    await expect(shrink(bank().lines(), { old: updates, new: changed })).rejects.toMatchObject({
      ...{ code: 'NOTHING_RECORDED', message: expect.stringContaining('not looked at') },
    });
    const twice = updates.map((one) =>
      one.name === 'deposit' ? { ...one, apply: (value: number) => value * 2 } : one,
    );
    const behind = bank().deposit('bob', 5);
    const { jobs, oldRepeats } = await shrink(behind.lines(), {
      old: updates,
      new: twice,
      key: 'bob',
    });
    expect([jobs, oldRepeats]).toEqual([['3'], true]);
  });

  test('a mask that makes values anew', async () => {
    const masked = async (used?: typeof updates): Promise<number> => {
      let lines = 0;
      for await (const _ of copyOfRecording(
        bank().lines(),
        new Masking({ data: (data) => data }, used),
      ))
        lines += 1;
      return lines;
    };
    await expect(masked(updates)).rejects.toMatchObject({
      ...{ code: 'RECORDING_MASKED', message: expect.stringContaining('a transaction') },
    });
    expect(await masked()).toBe(5);
  });
});
