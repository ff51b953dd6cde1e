/** Slices of recordings with transactions, and recordings of one key: they have what their transactions need. */
import { describe, expect, test } from 'vitest';
import { shrink, type Shrunk } from '../../../src/history/cutting/shrink.ts';
import { slice, type SliceOptions } from '../../../src/history/cutting/slice.ts';
import type { RecordedCommit } from '../../../src/history/recording/recording.ts';
import { replay } from '../../../src/history/replay/replay.ts';
import type { AnyUpdate } from '../../../src/updates/update.ts';
import { Bank, move, type Move, updates } from '../../support/joint-recorded.ts';

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

describe('shrinking', () => {
  const changed = (name: string, apply: unknown): AnyUpdate[] =>
    updates.map((one) => (one.name === name ? ({ ...one, apply } as AnyUpdate) : one));
  /** It goes wrong where the payer has more than 100. */
  const rich = changed('transfer', ([from, to]: [number, number], { cents }: Move) => {
    if (from < cents) throw new Error('no cover');
    return [from - cents, from > 100 ? to : to + cents];
  });
  const withNewlines = (lines: readonly string[]): string[] => lines.map((line) => `${line}\n`);

  async function shrunk(bank: Bank, changes: AnyUpdate[], key?: string): Promise<Shrunk> {
    const small = await shrink(bank.lines(), { old: updates, new: changes, key });
    const lines = withNewlines(small.lines);
    expect(await replay(lines, updates)).toMatchObject({
      ...{ agrees: true, complete: true, jobs: small.jobs.length },
    });
    const report = await replay(lines, changes);
    expect(report.verdict).toBe('differs');
    const [different] = report.keys.flatMap(({ difference }) => difference ?? []);
    expect(different?.jobs.map(({ id }) => id)).toEqual(small.jobs.slice(-1));
    return small;
  }

  const long = (): Bank => {
    const bank = new Bank().deposit('ada', 12).deposit('bob', 90).deposit('eve', 500);
    for (let n = 0; n < 12; n++)
      bank
        .deposit('dan', 5)
        .transfer([move('dan', 'cid', 1), move('eve', 'cid', 0)])
        .transfer([move('ada', 'cid', 1), move('cid', 'bob', 1)]);
    return bank.transfer([move('bob', 'ada', 60), move('cid', 'dan', 2), move('ada', 'dan', 59)]);
  };

  test('keeps whole transactions, and the jobs of other keys on which their values rest', async () => {
    const poor = changed('transfer', ([from, to]: [number, number], { cents }: Move) => {
      if (from < cents) throw new Error('no cover');
      return [from - cents, cents === 59 ? to : to + cents];
    });
    const { jobs, key, keys, line, oldRepeats } = await shrunk(long(), poor);
    expect(oldRepeats).toBe(true);
    // Without cover it would fail alike with both. Bob's deposit covers it, by way of a transfer.
    expect([jobs, key, keys]).toEqual([['2', '64', '66'], 'ada', ['bob', 'ada', 'dan']]);
    expect(line).toBe(long().commits.length - 2);
  });

  const saved = (): Bank => {
    const bank = new Bank();
    for (let n = 0; n < 40; n++) bank.deposit('ada', 3).deposit('bob', 1);
    return bank.transfer([move('bob', 'ada', 1), move('ada', 'bob', 5)]);
  };

  test('gives one transaction and the values of all its keys, where a few jobs are not enough', async () => {
    const { jobs, lines } = await shrunk(saved(), rich);
    expect(jobs).toEqual(['82']);
    expect(told(lines)).toEqual(['bob 82', 'ada ']);
    expect(lines.slice(1, 3).map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { commit: { keys: ['bob', 'ada'], origin: { adopted: 39 }, value: 44 } },
      { commit: { head: expect.any(String), origin: { adopted: 121 }, value: 116 } },
    ]);
  });

  test('ends its search in time, and says so: the square of the jobs is too many', async () => {
    const bank = new Bank();
    for (let n = 0; n < 1_000; n++) bank.deposit('ada', 1).transfer([move('ada', 'bob', 1)]);
    bank.deposit('ada', 1_000).transfer([move('bob', 'ada', 1_000)]);
    const few = changed('transfer', ([from, to]: [number, number], { cents }: Move) => {
      if (from < cents) throw new Error('no cover');
      return [from - cents, cents === 1_000 ? to : to + cents];
    });
    const { jobs, lines, timedOut } = await shrink(bank.lines(), {
      ...{ old: updates, new: few, searchMs: 50 },
    });
    expect([timedOut, jobs]).toEqual([true, ['2002']]);
    expect(await replay(withNewlines(lines), updates)).toMatchObject({ agrees: true });
    expect((await replay(withNewlines(lines), few)).verdict).toBe('differs');
    expect(await shrink(long().lines(), { old: updates, new: rich })).toMatchObject({
      timedOut: false,
    });
  });

  test.each([0, -1, Number.NaN, '5' as unknown as number])(
    'refuses to search for %s',
    async (ms) => {
      const search = shrink(saved().lines(), { old: updates, new: rich, searchMs: ms });
      await expect(search).rejects.toMatchObject({ code: 'INVALID_OPTIONS' });
    },
  );

  test('of one key finds its first transaction, whatever differs at others before', async () => {
    const bank = saved()
      .deposit('eve', 9)
      .transfer([move('eve', 'cid', 1)])
      .transfer([move('ada', 'cid', 7)]);
    const small = await shrunk(bank, rich, 'cid');
    expect([small.jobs, small.key, small.keys]).toEqual([['85'], 'ada', ['ada', 'cid']]);
    const other = shrink(bank.lines(), { old: updates, new: rich, key: 'eve' });
    await expect(other).rejects.toMatchObject({
      ...{ code: 'NOTHING_RECORDED', message: expect.stringContaining('the key "eve"') },
    });
  });

  test('goes on behind what nobody can fold, and from a value that was deleted', async () => {
    const bank = new Bank()
      .deposit('ada', 500, { change: (one) => ({ ...one, origin: 'unknown' }), ...NONE })
      .transfer([move('ada', 'bob', 1)], { full: ['ada'] })
      .transfer([move('ada', 'bob', 1)], NONE)
      .close(move('ada', 'bob', 0))
      .deposit('ada', 300)
      .transfer([move('ada', 'cid', 1)]);
    const { jobs, oldRepeats } = await shrunk(bank, rich);
    expect([jobs, oldRepeats]).toEqual([['5', '6'], true]);
  });

  test('says if the old version is not what was run, also of a key that a transaction came from', async () => {
    const twice = changed(
      'deposit',
      (value: number, { cents }: { cents: number }) => value + 2 * cents,
    );
    const bank = new Bank().deposit('ada', 70).transfer([move('ada', 'bob', 1)]);
    const { jobs, oldRepeats } = await shrink(bank.lines(), {
      old: twice,
      new: changed('transfer', () => [1, 2]),
    });
    expect([jobs, oldRepeats]).toEqual([['1'], false]);
    const later = await shrink(bank.deposit('bob', 3).lines(), {
      old: twice,
      new: twice.map((one) =>
        one.name === 'deposit'
          ? {
              ...one,
              apply: (value: number, { cents }: { cents: number }) =>
                value + (cents === 3 ? 0 : 2 * cents),
            }
          : one,
      ),
    });
    expect([later.jobs, later.key, later.oldRepeats]).toEqual([['3'], 'bob', false]);
  });

  test('takes asynchronous transactions', async () => {
    const slow = (all: readonly AnyUpdate[]): AnyUpdate[] =>
      all.map((one) => {
        const { apply } = one as unknown as { apply: (...args: unknown[]) => unknown };
        return { ...one, apply: async (...args: unknown[]) => apply(...args) } as AnyUpdate;
      });
    const bank = new Bank()
      .deposit('eve', 90)
      .deposit('cid', 9)
      .transfer([move('cid', 'eve', 1), move('eve', 'cid', 2)])
      .deposit('eve', 20)
      .transfer([move('eve', 'cid', 5)]);
    const small = await shrink(bank.lines(), { old: slow(updates), new: slow(rich) });
    expect(await shrink(bank.lines(), { old: updates, new: rich })).toEqual(small);
    expect([small.jobs, small.keys]).toEqual([
      ['1', '5', '6'],
      ['eve', 'cid'],
    ]);
  });
});
