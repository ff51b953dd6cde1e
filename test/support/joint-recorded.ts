/** Recordings of accounts and transfers between them, folded here as workers would. */
import { NO_VALUE_HASH, valueHash } from '../../src/history/history.ts';
import type { RecordedCommit, RecordedJob } from '../../src/history/recording/recording.ts';
import { defineTransaction } from '../../src/updates/transaction.ts';
import { type AnyUpdate, DELETE_CELL, defineUpdate } from '../../src/updates/update.ts';
import { linesOf } from './recorded.ts';

export interface Amount {
  readonly to: string;
  readonly cents: number;
}
export interface Move {
  readonly from: string;
  readonly to: string;
  readonly cents: number;
}

export const deposit = defineUpdate({
  name: 'deposit',
  key: ({ to }: Amount) => to,
  initial: () => 0,
  apply: (balance: number, { cents }) => balance + cents,
});

export const transfer = defineTransaction({
  name: 'transfer',
  keys: ({ from, to }: Move) => [from, to],
  initial: () => 0,
  apply: ([from, to], { cents }) => {
    if (from < cents) throw new Error('no cover');
    return [from - cents, to + cents];
  },
  result: ([from]) => from,
});

const close = defineTransaction({
  name: 'close',
  keys: ({ from, to }: Move) => [from, to],
  initial: () => 0,
  apply: ([from, to]) => [DELETE_CELL, from + to],
});

export const updates: readonly AnyUpdate[] = [deposit, transfer, close];

/** With another one in the place of its transfer. */
export function withTransfer(other: object): readonly AnyUpdate[] {
  return updates.map((one) => (one.name === 'transfer' ? (other as AnyUpdate) : one));
}

export const move = (from: string, to: string, cents: number): Move => ({ from, to, cents });

export interface JointOptions {
  /** Keys whose values are written down; default: all. */
  readonly full?: readonly string[];
  readonly change?: (commit: RecordedCommit) => RecordedCommit;
}

/** The history of a bank, commit by commit, as the workers of these updates make it. */
export class Bank {
  readonly commits: RecordedCommit[] = [];
  readonly values = new Map<string, number>();
  readonly #tokens = new Map<string, number>();
  #drawn = 1_767_225_600_000_000;
  #jobs = 0;

  deposit(to: string, cents: number, { full = [to], change = same }: JointOptions = {}): this {
    const job = this.#job('deposit', { to, cents });
    this.values.set(to, (this.values.get(to) ?? 0) + cents);
    const token = ++this.#drawn;
    this.commits.push(
      change({ ...this.#part(to, token, job.sequence, full), jobs: [job] } as RecordedCommit),
    );
    return this;
  }

  /** One commit of all these transfers. */
  transfer(moves: readonly Move[], { full, change = same }: JointOptions = {}): this {
    const jobs = moves.map((move) => this.#move(move));
    return this.#joint(moves, jobs, full, change);
  }

  close(move: Move): this {
    const job = this.#job('close', move, [move.from, move.to]);
    this.values.set(move.to, (this.values.get(move.to) ?? 0) + (this.values.get(move.from) ?? 0));
    this.values.delete(move.from);
    return this.#joint([move], [job], undefined, same);
  }

  lines(): string[] {
    return linesOf(this.commits, { format: 2 });
  }

  #joint(
    moves: readonly Move[],
    jobs: readonly RecordedJob[],
    full: readonly string[] | undefined,
    change: (commit: RecordedCommit) => RecordedCommit,
  ): this {
    const keys = [...new Set(moves.flatMap(({ from, to }) => [from, to]))];
    const token = ++this.#drawn;
    let head: string | undefined;
    for (const key of keys) {
      const watermark = jobs.findLast(({ keys: its }) => its?.includes(key))?.sequence ?? 0;
      const part = this.#part(key, token, watermark, full ?? keys);
      const place = head === undefined ? { jobs, keys } : { jobs: [], head };
      this.commits.push(change({ ...part, ...place } as RecordedCommit));
      head ??= part.id as string;
    }
    return this;
  }

  #move(move: Move): RecordedJob {
    const { from, to, cents } = move;
    const job = this.#job('transfer', move, [from, to]);
    const [has, other] = [this.values.get(from) ?? 0, this.values.get(to) ?? 0];
    if (has < cents) {
      const outcome = { kind: 'failed', code: 'Error', message: 'no cover' } as const;
      return { ...job, outcome: { ...outcome, cascades: false } };
    }
    this.values.set(from, has - cents).set(to, other + cents);
    return { ...job, result: has - cents };
  }

  #job(update: string, data: unknown, keys?: readonly string[]): RecordedJob {
    const sequence = ++this.#drawn;
    const job = { id: String(++this.#jobs), update, sequence, attempt: 1, data };
    return keys === undefined ? job : { ...job, keys };
  }

  #part(
    key: string,
    token: number,
    watermark: number,
    full: readonly string[],
  ): Partial<RecordedCommit> {
    const base = this.#tokens.get(key) ?? 0;
    const value = this.values.get(key);
    this.#tokens.set(key, token);
    return {
      ...{ id: `${token}-${this.commits.length}`, key, token, base, watermark },
      ...(base === 0 && { origin: 'nothing' as const }),
      hash: value === undefined ? NO_VALUE_HASH : valueHash(JSON.stringify(value)),
      ...(value !== undefined && full.includes(key) && { value }),
    };
  }
}

function same(commit: RecordedCommit): RecordedCommit {
  return commit;
}
