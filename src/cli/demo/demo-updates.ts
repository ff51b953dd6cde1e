/**
 * The demo's update, in a module of its own: worker processes load it by its path, as they would a
 * user's. It does not commute: the hash tells any other order, and the numbers tell which one.
 */
import { fileURLToPath } from 'node:url';
import { defineUpdate, type Update } from '../../updates/update.ts';

export interface DemoJob {
  readonly key: string;
  /** The job's number in the run. */
  readonly number: number;
  readonly amount: number;
}

export interface Ledger {
  readonly hash: number;
  /** The jobs that went into it, in order. */
  readonly numbers: readonly number[];
}

/** What each job reports of the ledger as it left it. */
export interface LedgerResult {
  readonly count: number;
  readonly hash: number;
}

/** Where worker processes find this file. */
export const DEMO_UPDATES_FILE: string = fileURLToPath(import.meta.url);
const PRIME = 1_000_000_007;

export const post: Update<'post', Ledger, DemoJob, DemoJob, LedgerResult> = defineUpdate({
  name: 'post',
  key: ({ key }: DemoJob) => key,
  initial: (): Ledger => ({ hash: 1, numbers: [] }),
  apply: ({ hash, numbers }: Ledger, { number, amount }: DemoJob): Ledger => {
    (numbers as number[]).push(number); // 4,000 of them on the hot key: not copied for each job
    return { hash: (hash * 31 + amount) % PRIME, numbers };
  },
  result: (ledger: Ledger | undefined): LedgerResult => ({
    count: ledger?.numbers.length ?? 0,
    hash: ledger?.hash ?? 0,
  }),
});
