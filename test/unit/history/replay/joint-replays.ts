/** What tests of replaying joint commits share: some traffic, a transfer that was changed, and asking a report. */
import { replay } from '../../../../src/history/replay/replay.ts';
import type { ReplayOptions } from '../../../../src/history/replay/replay-options.ts';
import type { KeyReport, ReplayReport } from '../../../../src/history/replay/report.ts';
import { defineTransaction } from '../../../../src/updates/transaction.ts';
import type { AnyUpdate } from '../../../../src/updates/update.ts';
import { Bank, type Move, move, updates, withTransfer } from '../../../support/joint-recorded.ts';

export const traffic = (): Bank =>
  new Bank()
    .deposit('ada', 100)
    .deposit('bob', 50)
    .transfer([move('ada', 'bob', 30)])
    .deposit('bob', 1)
    .transfer([move('bob', 'cid', 81), move('cid', 'ada', 1), move('bob', 'ada', 5)])
    .deposit('cid', 7);

/** One cent less arrives. */
export const changed: readonly AnyUpdate[] = withTransfer(
  defineTransaction({
    ...{ name: 'transfer', keys: ({ from, to }: Move) => [from, to] as const, initial: () => 0 },
    apply: ([from, to]: readonly [number, number], { cents }: Move) => {
      if (from < cents) throw new Error('no cover');
      return [from - cents, to + cents - 1] as const;
    },
    result: ([from]: readonly unknown[]) => from,
  }),
);

export function run(
  bank: Bank | string[],
  used: readonly AnyUpdate[] = updates,
  options: ReplayOptions = {},
): Promise<ReplayReport> {
  return replay(Array.isArray(bank) ? bank : bank.lines(), used, options);
}

export function of(report: ReplayReport, key: string): KeyReport {
  return report.keys.find((one) => one.key === key) as KeyReport;
}
