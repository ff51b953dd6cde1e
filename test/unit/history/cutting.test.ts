/** Smaller recordings out of large ones: slices, and the smallest that shows a difference. */
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { shrink } from '../../../src/history/cutting/shrink.ts';
import { isSampled, slice, type SliceOptions } from '../../../src/history/cutting/slice.ts';
import { record } from '../../../src/history/record.ts';
import type { RecordingInput } from '../../../src/history/recording/input.ts';
import type { RecordedCommit } from '../../../src/history/recording/recording.ts';
import { replay } from '../../../src/history/replay/replay.ts';
import { defineInvariant } from '../../../src/history/invariants/invariant.ts';
import { type AnyUpdate, defineUpdate, type UpdateContext } from '../../../src/updates/update.ts';

import { createTestBed } from '../../../src/testing.ts';
import {
  type Account,
  type Amount,
  deposit,
  History,
  interest,
  linesOf,
} from '../../support/recorded.ts';

const updates: readonly AnyUpdate[] = [deposit, interest];
async function sliced(recording: RecordingInput, options: SliceOptions): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of slice(recording, options)) lines.push(line);
  return lines;
}
const withNewlines = (lines: readonly string[]): string[] => lines.map((line) => `${line}\n`);

describe('a slice', () => {
  const traffic = (): History => {
    const history = new History();
    for (let n = 0; n < 10; n++) {
      history.step('ada', [['deposit', n]], { full: n % 4 === 3 });
      history.step('bob', [['interest', n]]);
    }
    return history;
  };
  const cut = async (options: SliceOptions): Promise<{ tokens: number[]; agrees: boolean }> => {
    const lines = withNewlines(await sliced(traffic().lines(), options));
    const commits = lines.flatMap(
      (line) => (JSON.parse(line) as { commit?: RecordedCommit }).commit ?? [],
    );
    const report = await replay(lines, updates, { allowUnchecked: ['before-start'] });
    return { tokens: commits.map(({ token }) => token), agrees: report.agrees };
  };
  const { commits } = traffic();
  const of = (key: string): RecordedCommit[] => commits.filter((commit) => commit.key === key);
  const tokens = (some: readonly RecordedCommit[]): number[] => some.map(({ token }) => token);

  test('has what is wanted, in its order, and is a recording', async () => {
    expect(await cut({})).toEqual({ tokens: tokens(commits), agrees: true });
    expect(await cut({ keys: ['bob'] })).toEqual({ tokens: tokens(of('bob')), agrees: true });
  });

  test('has before a job what a replay needs to begin', async () => {
    const [job] = of('ada')[6]?.jobs ?? [];
    // The fourth has its value.
    expect(await cut({ jobs: [job?.id as string] })).toEqual({
      tokens: tokens(of('ada').slice(3, 7)),
      agrees: true,
    });
    const [last] = of('bob')[2]?.jobs ?? [];
    expect(await cut({ jobs: [last?.id as string] })).toEqual({
      tokens: tokens(of('bob').slice(0, 3)),
      agrees: true,
    });
  });

  test('is the same of a stream, which comes only once, and of what it was compressed to', async () => {
    const lines = traffic().lines();
    const expected = await sliced(lines, { keys: ['ada'] });
    const once = (function* () {
      yield* lines;
    })();
    expect(await sliced(once, { keys: ['ada'] })).toEqual(expected);
    const zipped = gzipSync(lines.join(''));
    expect(await sliced(Readable.from([zipped]), { keys: ['ada'] })).toEqual(expected);
  });

  test('says if the whole was trimmed while it was recorded', async () => {
    const torn = linesOf(commits, {}, { torn: [7] });
    const lines = withNewlines(await sliced(torn, { keys: ['ada'] }));
    expect(await replay(lines, updates)).toMatchObject({ verdict: 'not-checked', torn: [1] });
  });

  test('is cut by time, and by a share of the keys', async () => {
    const day = new History()
      .step('ada', [['deposit', 1]])
      .step('ada', [['deposit', 2]])
      .step('bob', [['deposit', 1]]);
    day.commits.forEach((commit, n) => void (day.commits[n] = { ...commit, id: `${1_000 * n}-0` }));
    const kept = async (options: SliceOptions): Promise<number> =>
      (await sliced(day.lines(), options)).length - 2;
    expect(await kept({ since: 2_000 })).toBe(1);
    expect(await kept({ since: 1_000, until: 2_000 })).toBe(2); // with the one it begins with
    expect(await kept({ until: 1_000 })).toBe(1);
    await expect(kept({ since: 9_000 })).rejects.toMatchObject({ code: 'NOTHING_RECORDED' });
    await expect(kept({ keys: ['eve'] })).rejects.toMatchObject({ code: 'NOTHING_RECORDED' });
    await expect(kept({ sample: 0 })).rejects.toMatchObject({ code: 'INVALID_OPTIONS' });
  });

  test('says that it is a part, so that no total over all keys is believed', async () => {
    const total = defineInvariant({
      name: 'a total',
      total: { of: ({ cents }: Account) => cents, holds: () => true },
    });
    const daily = traffic();
    daily.commits.forEach((one, n) => void (daily.commits[n] = { ...one, id: `${1_000 * n}-0` }));
    const asked = async (options: SliceOptions): Promise<string | undefined> => {
      const lines = withNewlines(await sliced(daily.lines(), options));
      const { verdict, invariants } = await replay(lines, updates, { invariants: [total] });
      expect(verdict).toBe(invariants[0]?.verdict === 'holds' ? 'agrees' : 'not-checked');
      return invariants[0]?.unchecked;
    };
    const half = [0.2, 0.4, 0.6, 0.8].find(
      (one) => isSampled('ada', one) !== isSampled('bob', one),
    );
    expect(await asked({})).toBe(undefined);
    expect(await asked({ keys: ['bob', 'ada'], since: 0, sample: 1 })).toBe(undefined);
    expect(await asked({ keys: ['bob'] })).toBe('not-all-keys');
    expect(await asked({ sample: half })).toBe('not-all-keys');
    expect(await asked({ until: 9_000 })).toBe('not-all-keys');
    expect(await asked({ since: 9_000 })).toBe('not-all-keys');
    expect(await asked({ jobs: ['1', '20'] })).toBe('not-all-keys');
    const again = await sliced(
      withNewlines(await sliced(traffic().lines(), { keys: ['bob'] })),
      {},
    );
    expect(JSON.parse(again[0] as string)).toMatchObject({ recording: { part: true } });
  });

  const lines = traffic().lines();
  const changed = lines.with(5, (lines[5] as string).replace('"cents":2', '"cents":3'));
  test.each<[string, RecordingInput, object, string, RegExp]>([
    ['an empty file', '/dev/null', {}, 'BAD_FILE', /it is empty/],
    ['no file', '/no/such.jsonl', {}, 'BAD_FILE', /cannot be read/],
    ['no recording', ['{}\n'], {}, 'BAD_FILE', /its first line is no header/],
    [
      'a file that is cut off',
      lines.slice(0, -3),
      {},
      'RECORDING_DAMAGED',
      /cut off behind line 19/,
    ],
    ['a changed line', changed, {}, 'RECORDING_DAMAGED', /line 6 /],
    ['a masked one', traffic().lines({ replayable: false }), {}, 'RECORDING_MASKED', /masked/],
    ['one without commits', linesOf([]), {}, 'NOTHING_RECORDED', /has nothing/],
    ['an unknown key', lines, { keys: ['ada', 'eve'] }, 'NOTHING_RECORDED', /no key "eve"/],
    ['an unknown job', lines, { jobs: ['1', '99'] }, 'NOTHING_RECORDED', /no job "99"/],
    [
      'a job of another key',
      lines,
      { keys: ['bob'], jobs: ['1'] },
      'NOTHING_RECORDED',
      /all the given/,
    ],
    [
      'an end before the beginning',
      lines,
      { since: 2, until: 1 },
      'INVALID_OPTIONS',
      /since must be/,
    ],
    [
      'a time that is none',
      lines,
      { since: Number.NaN },
      'INVALID_OPTIONS',
      /since must be a time/,
    ],
    ['a text for a list', lines, { keys: 'ada' }, 'INVALID_OPTIONS', /keys must be a list/],
    ['an empty list', lines, { keys: [] }, 'INVALID_OPTIONS', /keys must be a list/],
    ['a share that is none', lines, { sample: '1' }, 'INVALID_OPTIONS', /sample must be/],
    ['a misspelt option', lines, { key: 'ada' }, 'INVALID_OPTIONS', /has no option key/],
  ])('is refused of %s', async (_, recording, options, code, message) => {
    const refused = expect(sliced(recording, options as SliceOptions)).rejects;
    await refused.toMatchObject({ code, message: expect.stringMatching(message) as string });
  });
});

describe('shrinking', () => {
  interface Order {
    readonly key: string;
    readonly kind: 'open' | 'fill' | 'noise';
  }
  interface Box {
    readonly open: boolean;
    readonly filled: number;
    readonly noise: number;
  }
  const boxes = (isBroken: boolean): AnyUpdate =>
    defineUpdate({
      name: 'box',
      key: ({ key }: Order) => key,
      initial: (): Box => ({ open: false, filled: 0, noise: 0 }),
      apply: (box: Box, { kind }: Order) => {
        if (kind === 'open') return { ...box, open: true };
        if (kind === 'noise') return { ...box, noise: box.noise + 1 };
        // The planted fault: the second filling of an open box counts twice.
        return { ...box, filled: box.filled + (isBroken && box.open && box.filled === 1 ? 2 : 1) };
      },
    });

  async function traffic(jobs: number): Promise<string[]> {
    const update = boxes(false);
    const bed = createTestBed({ updates: [update] });
    for (let n = 0; n < jobs; n++) {
      const key = `k${n % 4}`;
      const isLate = n > jobs / 2 && key === 'k3';
      const kind = !isLate || n % 400 !== 3 ? 'noise' : n % 800 === 3 ? 'open' : 'fill';
      await bed.enqueue(update, { key, kind });
    }
    await bed.drain();
    return withNewlines(await lines(bed));
  }

  async function lines(bed: ReturnType<typeof createTestBed>): Promise<string[]> {
    const all: string[] = [];
    for await (const line of record(bed.queue)) all.push(line);
    return all;
  }

  test('makes three jobs of twenty thousand', { timeout: 120_000 }, async () => {
    const recording = await traffic(20_000);
    let calls = 0;
    const old = boxes(false);
    const apply: AnyUpdate['apply'] = (...args) => (++calls, old.apply(...args) as unknown);
    const small = await shrink(recording, { old: [{ ...old, apply }], new: [boxes(true)] });
    expect(calls).toBeLessThan(200_000);
    expect(small).toMatchObject({ key: 'k3' });
    expect(small.jobs.length).toBeLessThanOrEqual(3);
    expect(await replay(withNewlines(small.lines), [boxes(false)])).toMatchObject({
      ...{ agrees: true, complete: true, jobs: small.jobs.length },
    });
    const report = await replay(withNewlines(small.lines), [boxes(true)]);
    expect(report).toMatchObject({ verdict: 'differs' });
    expect(report.keys[0]?.difference?.jobs.map(({ id }) => id)).toEqual(small.jobs.slice(-1));
  });

  test('gives one job and the value that it met, where a few jobs are not enough', async () => {
    const adding = (isBroken: boolean): AnyUpdate =>
      defineUpdate({
        name: 'add',
        key: () => 'k',
        initial: () => 0,
        apply: (sum: number) => (isBroken && sum === 40 ? 0 : sum + 1),
      });
    const bed = createTestBed({ updates: [adding(false)] });
    for (let n = 0; n < 60; n++) await bed.enqueue(bed.registry.require('add'), {});
    await bed.drain();
    const small = await shrink(withNewlines(await lines(bed)), {
      old: [adding(false)],
      new: [adding(true)],
    });
    expect(small.jobs).toEqual(['41']);
    expect(JSON.parse(small.lines[1] as string)).toMatchObject({
      commit: { origin: { adopted: 40 }, value: 41 },
    });
    expect((await replay(withNewlines(small.lines), [adding(false)])).agrees).toBe(true);
  });

  test('shows outcomes and results, and asynchronous updates, too', async () => {
    const draw = (floor: number, more: object = {}): AnyUpdate =>
      defineUpdate({
        ...{ name: 'draw', key: () => 'k', initial: () => 10 },
        apply: async (cents: number, { n }: { n: number }) => {
          if (cents - n < floor) throw new Error('no funds');
          return cents - n;
        },
        ...more,
      });
    const bed = createTestBed({ updates: [draw(0)] });
    for (const n of [1, 2, 20, 3]) await bed.enqueue(bed.registry.require('draw'), { n });
    await bed.drain();
    const recording = withNewlines(await lines(bed));
    const failing = await shrink(recording, { old: [draw(0)], new: [draw(-50)] });
    expect(failing.jobs).toEqual(['3']);
    expect((await replay(withNewlines(failing.lines), [draw(0)])).agrees).toBe(true);
    expect(await replay(withNewlines(failing.lines), [draw(-50)])).toMatchObject({
      failures: { succeedNow: 1 },
    });
    const other = await shrink(recording, { old: [draw(0)], new: [draw(0, { result: () => 5 })] });
    expect(other.jobs).toEqual(['1']);
  });

  test('says that the old version is not what was run', async () => {
    const history = new History();
    for (let n = 1; n < 9; n++) history.step('ada', [['deposit', n]]);
    const adding = (more: Readonly<Record<number, number>>): readonly AnyUpdate[] => [
      {
        ...deposit,
        apply: (value: Account, data: Amount, context: UpdateContext) =>
          deposit.apply(value, { ...data, cents: data.cents + (more[data.cents] ?? 0) }, context),
      } as AnyUpdate,
    ];
    type More = Parameters<typeof adding>[0];
    const repeats = async (old: More, now: More): Promise<boolean> => {
      const small = await shrink(history.lines(), { old: adding(old), new: adding(now) });
      expect(small).toMatchObject({ line: 6, jobs: ['5'] });
      return small.oldRepeats;
    };
    expect(await repeats({}, { 5: 1 })).toBe(true);
    expect(await repeats({ 4: 100 }, { 4: 100, 5: 1 })).toBe(false);
    expect(await repeats({ 5: 100 }, { 5: 101 })).toBe(false); // in the very commit in which they part
    expect(await repeats({ 6: 100 }, { 6: 100, 5: 1 })).toBe(true);
  });

  test('leaves out what failed for other reasons than the update', async () => {
    const history = new History();
    history.step('ada', [['deposit', 1]]).step('ada', [['deposit', 2]]);
    const failed = { kind: 'failed', code: 'JOB_DROPPED', message: '', cascades: false } as const;
    const dropped = { id: 'x', update: 'deposit', sequence: 1, attempt: 1, outcome: failed };
    const job = { ...dropped, data: { account: 'ada', cents: 500 } };
    history.amend((commit) => ({ ...commit, jobs: [job, ...commit.jobs] }));
    const planted = (isOther: (cents: number) => boolean): AnyUpdate =>
      ({
        ...deposit,
        apply: (value: Account, data: Amount, context: UpdateContext) =>
          isOther(data.cents) ? { cents: 0, log: [] } : deposit.apply(value, data, context),
      }) as AnyUpdate;
    const small = await shrink(history.lines(), {
      ...{ old: [deposit], new: [planted((cents) => cents === 2)] },
    });
    expect(small).toMatchObject({ oldRepeats: true, jobs: ['2'] });
    await expect(
      shrink(history.lines(), { old: [deposit], new: [planted((cents) => cents === 500)] }),
    ).rejects.toMatchObject({ code: 'NOTHING_RECORDED' });
  });

  test('says where nothing differs', async () => {
    const history = new History().step('ada', [['deposit', 1]]);
    for (const key of [undefined, 'ada', 'eve'])
      await expect(
        shrink(history.lines(), { old: updates, new: updates, key }),
      ).rejects.toMatchObject({
        code: 'NOTHING_RECORDED',
      });
    await expect(
      shrink(history.lines(), { old: updates, new: updates, key: '' }),
    ).rejects.toMatchObject({
      code: 'INVALID_KEY',
    });
  });
});
