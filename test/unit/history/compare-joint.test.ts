/** Two versions of a transaction on the same recorded traffic. */
import { describe, expect, test } from 'vitest';
import { compare } from '../../../src/history/compare/compare.ts';
import type { AnyUpdate } from '../../../src/updates/update.ts';
import {
  Bank,
  deposit,
  type Move,
  move,
  transfer,
  updates,
  withTransfer,
} from '../../support/joint-recorded.ts';
import { linesOf } from '../../support/recorded.ts';

const traffic = (): Bank =>
  new Bank()
    .deposit('ada', 100)
    .transfer([move('ada', 'bob', 30), move('bob', 'ada', 10)])
    .deposit('bob', 1)
    .transfer([move('bob', 'cid', 21), move('cid', 'ada', 50)]);
/** Every second cent stays with the bank. */
const dear: AnyUpdate = {
  ...transfer,
  apply: ([from, to]: [number, number], { cents }: Move) => {
    if (from < cents) throw new Error('no cover');
    return [from - cents, to + cents / 2];
  },
};
const changed = withTransfer(dear);
const run = (now: readonly AnyUpdate[], more: object = {}): ReturnType<typeof compare> =>
  compare(traffic().lines(), { old: updates, new: now, ...more });

describe('two versions of a transaction', () => {
  test('that are the same do the same', async () => {
    expect(await run(updates)).toMatchObject({
      ...{ verdict: 'same', keys: 3, commits: 7, compared: 7, repeatedByOld: 7 },
      updates: [
        { update: 'deposit', jobs: 2, differ: 0 },
        { update: 'transfer', jobs: 4, differ: 0 },
      ],
    });
  });

  test('differ in each of its values, a job once, each version going on from its own', async () => {
    const report = await run(changed);
    expect(report).toMatchObject({ verdict: 'differs', repeatedByOld: 7 });
    const transfers = report.updates.find(({ update }) => update === 'transfer');
    expect(transfers).toMatchObject({ jobs: 4, differ: 3, failOnlyNew: 1, failOnlyOld: 0 });
    expect(transfers?.failure).toMatchObject({ job: { id: '5' }, line: 6, key: 'bob' });
    expect(report.updates.find(({ update }) => update === 'deposit')).toMatchObject({ differ: 0 });
  });

  test('tell one key, or a share of them, with what its transactions need', async () => {
    expect(await run(updates, { key: 'cid' })).toMatchObject({
      ...{ verdict: 'same', keys: 1, commits: 1, compared: 1, repeatedByOld: 1 },
      updates: [{ update: 'transfer', jobs: 2 }],
    });
    const some = await run(updates, { sample: 0.5 });
    expect(some).toMatchObject({ verdict: 'same', compared: some.commits });
  });

  test('are not compared where a value is not known', async () => {
    const bank = new Bank()
      .deposit('ada', 100)
      .deposit('bob', 1, {
        full: [],
        change: (commit) => ({ ...commit, base: 5, origin: 'unknown' }),
      })
      .transfer([move('ada', 'bob', 30)])
      .deposit('bob', 1);
    expect(await compare(bank.lines(), { old: updates, new: changed })).toMatchObject({
      ...{ verdict: 'not-compared', commits: 5, compared: 2 },
    });
  });

  test('nor where one of them does not know the transaction', async () => {
    const bank = new Bank().deposit('ada', 100).transfer([move('ada', 'bob', 30)]);
    expect(await compare(bank.lines(), { old: [deposit], new: updates })).toMatchObject({
      ...{ verdict: 'not-compared', commits: 3, compared: 1 },
    });
  });

  test('nor where a line is missing', async () => {
    const { commits } = new Bank().deposit('ada', 100).transfer([move('ada', 'bob', 30)]);
    const cut = linesOf(commits.slice(0, 2), { format: 2 });
    expect(await compare(cut, { old: updates, new: changed })).toMatchObject({
      ...{ verdict: 'not-compared', commits: 2, compared: 1 },
    });
  });
});
