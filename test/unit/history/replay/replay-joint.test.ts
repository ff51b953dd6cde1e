/** Replaying joint commits: one fold for all their keys, and a gap of one key is a gap of all. */
import { describe, expect, test } from 'vitest';
import type { ReplayedJob } from '../../../../src/history/replay/jobs/replayed-job.ts';
import type { ReplayReport } from '../../../../src/history/replay/report.ts';
import type { AnyUpdate } from '../../../../src/updates/update.ts';
import {
  Bank,
  type Move,
  move,
  transfer,
  updates,
  withTransfer,
} from '../../../support/joint-recorded.ts';
import { changed, of, run, traffic } from './joint-replays.ts';

const lastOf = ({ keys }: ReplayReport): object =>
  Object.fromEntries(keys.map(({ key, last }) => [key, last?.json]));

describe('a history that is right', () => {
  test('agrees in every key, failures and results as well', async () => {
    const report = await run(traffic());
    expect(report).toMatchObject({
      ...{ verdict: 'agrees', complete: true, commits: 9, checked: 9, jobs: 8 },
      failures: { failed: 1, failAgain: 1, failOtherwise: 0 },
      results: { compared: 3, differ: 0 },
    });
    expect(lastOf(report)).toEqual({ ada: '71', bob: '0', cid: '87' });
  });

  test('agrees though only hashes of most values were recorded', async () => {
    const bank = new Bank()
      .deposit('ada', 100, { full: [] })
      .transfer([move('ada', 'bob', 30)], { full: [] })
      .transfer([move('bob', 'ada', 10)], { full: [] });
    expect(await run(bank)).toMatchObject({ verdict: 'agrees', checked: 5 });
  });

  test('agrees with asynchronous transactions, which wait for all their keys', async () => {
    const slow = updates.map(
      (update): AnyUpdate => ({
        ...update,
        apply: async (...args: Parameters<AnyUpdate['apply']>) => {
          await new Promise((resolve) => setTimeout(resolve, 2));
          return update.apply(...args);
        },
      }),
    );
    expect(await run(traffic(), slow)).toMatchObject({ verdict: 'agrees', checked: 9 });
  });

  test('agrees across deletions', async () => {
    const bank = traffic()
      .close(move('ada', 'bob', 0))
      .transfer([move('bob', 'ada', 3)]);
    const report = await run(bank);
    expect(report).toMatchObject({ verdict: 'agrees', complete: true });
    expect(lastOf(report)).toMatchObject({ ada: '3', bob: '68' });
  });

  test('agrees for one key, with those that its transactions need', async () => {
    const report = await run(traffic(), updates, { key: 'cid' });
    expect(report).toMatchObject({ verdict: 'agrees', commits: 2, checked: 2 });
    expect(report.keys.map(({ key }) => key)).toEqual(['cid']);
    expect(report.results).toMatchObject({ compared: 2 });
    await expect(run(traffic(), updates, { key: 'eve' })).rejects.toMatchObject({
      code: 'NOTHING_RECORDED',
    });
  });

  test('gives each job to onJob once, with the values of all its keys', async () => {
    const seen: ReplayedJob[] = [];
    await run(traffic(), updates, { onJob: (job) => void seen.push(job) });
    expect(seen.map(({ key, keys, line }) => [key, keys, line])).toEqual([
      ['ada', undefined, 2],
      ['bob', undefined, 3],
      ['ada', ['ada', 'bob'], 4],
      ['bob', undefined, 6],
      ['bob', ['bob', 'cid'], 7],
      ['cid', ['cid', 'ada'], 7],
      ['bob', ['bob', 'ada'], 7],
      ['cid', undefined, 10],
    ]);
    expect(
      seen
        .slice(4, 7)
        .map(({ before, after, result, failure }) => [
          ...[before, after, result, failure?.message],
        ]),
    ).toEqual([
      [[81, undefined], [0, 81], 0, undefined],
      [[81, 70], [80, 71], 80, undefined],
      [[0, 71], [0, 71], undefined, 'no cover'],
    ]);
  });
});

test.each([
  ['JOB_CANCELLED', 'cancelled'],
  ['RESULT_TOO_LARGE', 'too-large'],
] as const)(
  'a transaction that failed by no fault of its own (%s) is not tried again',
  async (code, reason) => {
    const failed = { kind: 'failed', code, message: '', cascades: false } as const;
    const bank = new Bank().deposit('ada', 10).transfer([move('ada', 'bob', 30)], {
      change: (commit) => ({
        ...commit,
        jobs: commit.jobs.map((job) => ({ ...job, outcome: failed })),
      }),
    });
    const rich = withTransfer({ ...transfer, apply: (values: readonly number[]) => values });
    for (const used of [updates, rich]) {
      const { verdict, failures } = await run(bank, used);
      expect([verdict, failures?.untried]).toEqual(['agrees', { [reason]: 1 }]);
    }
  },
);

describe('a transaction that was changed', () => {
  test('differs in the keys that it changes, each where it differs first', async () => {
    const report = await run(traffic(), changed);
    expect(report.verdict).toBe('differs');
    expect(of(report, 'bob').difference).toMatchObject({
      ...{ line: 5, jobs: [{ id: '3' }], before: { json: '50' } },
      ...{ expected: { json: '80' }, actual: { json: '79' } },
    });
    expect(of(report, 'ada').difference).toMatchObject({ line: 9 });
    expect(of(report, 'cid').difference).toMatchObject({
      ...{ line: 8, jobs: [{ id: '5' }, { id: '6' }], before: { json: undefined } },
    });
  });

  test('is named with the former updates, job by job', async () => {
    const report = await run(traffic(), changed, { former: updates });
    expect(of(report, 'ada').difference).toMatchObject({
      ...{ line: 9, jobs: [{ id: '6' }], formerRepeats: true },
      ...{ before: { json: '70' }, expected: { json: '71' }, actual: { json: '70' } },
    });
    expect((await run(traffic(), updates, { former: updates })).verdict).toBe('agrees');
    const neither = await run(traffic(), changed, { former: changed });
    expect(of(neither, 'bob').difference?.formerRepeats).toBe(false);
  });

  test('that fails now differs in its own keys only', async () => {
    const failing: AnyUpdate = {
      ...transfer,
      apply: () => {
        throw new Error('closed');
      },
    };
    const bank = traffic().transfer([move('ada', 'bob', 1), move('cid', 'dan', 1)]);
    const used = withTransfer(failing);
    const report = await run(bank, used);
    expect(of(report, 'ada').difference).toMatchObject({ failure: 'closed', jobs: [{ id: '3' }] });
    expect(of(report, 'dan')).toMatchObject({
      verdict: 'unchecked',
      unchecked: { 'other-key': 1 },
    });
  });

  test('that names other keys now, or is no transaction any more, differs', async () => {
    const others: AnyUpdate = { ...transfer, keys: ({ from, to }: Move) => [from, `${to}'s`] };
    const report = await run(traffic(), withTransfer(others));
    expect(of(report, 'bob').difference?.failure).toContain('other keys');
    const { keys: _, ...single } = transfer;
    const other = await run(traffic(), withTransfer(single) as never);
    expect(of(other, 'bob').difference?.failure).toContain('update of one key');
  });

  test('that names the same keys in another order gets their values in that order', async () => {
    const turned = {
      ...{ ...transfer, keys: ({ from, to }: Move) => [to, from] },
      apply: ([to, from]: [number, number], { cents }: Move) => {
        if (from < cents) throw new Error('no cover');
        return [to + cents, from - cents];
      },
      result: ([, from]: [number, number]) => from,
    };
    expect((await run(traffic(), withTransfer(turned))).verdict).toBe('agrees');
    const { apply } = transfer;
    const backwards = await run(traffic(), withTransfer({ ...turned, apply }));
    expect(backwards.verdict).toBe('differs');
  });

  test('whose failed job would succeed now, or which returns another result, differs', async () => {
    const lax: AnyUpdate = {
      ...transfer,
      apply: ([a, b]: number[], { cents }: Move) => [(a ?? 0) - cents, (b ?? 0) + cents],
    };
    const report = await run(traffic(), withTransfer(lax));
    expect(report).toMatchObject({ verdict: 'differs', checked: 9, failures: { succeedNow: 1 } });
    const mute: AnyUpdate = { ...transfer, result: () => 'moved' };
    const muted = await run(traffic(), withTransfer(mute));
    expect(muted).toMatchObject({ verdict: 'differs', results: { differ: 3 } });
  });
});

describe('invariants', () => {
  const balanced = {
    name: 'transfers keep the sum',
    total: {
      of: (cents: number) => cents,
      holds: (total: number | bigint) => total === 0 || total === 100,
    },
  };
  const only = (): Bank =>
    new Bank().deposit('ada', 100).transfer([move('ada', 'bob', 30), move('bob', 'cid', 10)]);

  test('of all keys together are asked behind a job, not in the middle of it', async () => {
    expect(await run(only(), updates, { invariants: [balanced] })).toMatchObject({
      verdict: 'agrees',
      invariants: [{ verdict: 'holds', asked: 3 }],
    });
    const off = {
      ...balanced,
      total: { ...balanced.total, holds: (total: number | bigint) => total !== 100 },
    };
    expect(await run(only(), updates, { invariants: [off] })).toMatchObject({
      invariants: [{ verdict: 'broken', breaks: 3, asked: 3 }],
    });
  });

  test('of a step see each key, and all of them', async () => {
    const seen: unknown[] = [];
    const step = {
      name: 'seen',
      keys: /bob|cid/,
      step: ({
        key,
        keys,
        before,
        after,
      }: {
        key: string;
        keys?: readonly string[];
        before?: unknown;
        after?: unknown;
      }) => seen.push([key, keys, before, after]) > 0,
    };
    await run(only(), updates, { invariants: [step] });
    expect(seen).toEqual([
      ['bob', ['ada', 'bob'], undefined, 30],
      ['bob', ['bob', 'cid'], 30, 20],
      ['cid', ['bob', 'cid'], undefined, 10],
    ]);
  });
});
