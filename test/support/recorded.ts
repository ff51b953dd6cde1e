/** Recordings made by hand: a history that never was, folded here as a worker would. */
import { NO_VALUE_HASH, valueHash } from '../../src/history/history.ts';
import {
  ChainWriter,
  type RecordedCommit,
  type RecordedJob,
  type RecordingEnd,
  type RecordingHeader,
} from '../../src/history/recording/recording.ts';
import { defineUpdate, type Update } from '../../src/updates/update.ts';

export interface Account {
  readonly cents: number;
  readonly log: readonly string[];
}
export interface Amount {
  readonly account: string;
  readonly cents: number;
}

export type AccountUpdate = Update<string, Account, Amount, Amount, void>;

export const deposit: AccountUpdate = defineUpdate({
  name: 'deposit',
  key: ({ account }: Amount) => account,
  initial: (): Account => ({ cents: 0, log: [] }),
  apply: ({ cents, log }: Account, { cents: more }: Amount, { sequence }) => ({
    cents: cents + more,
    log: [...log, `+${more} at ${sequence}`],
  }),
});

/** Does not commute with deposits. */
export const interest: AccountUpdate = defineUpdate({
  name: 'interest',
  key: ({ account }: Amount) => account,
  initial: (): Account => ({ cents: 0, log: [] }),
  apply: ({ cents, log }: Account, _: Amount, { random }) => ({
    cents: Math.round(cents * 1.1),
    log: [...log, `lucky ${random().toFixed(6)}`],
  }),
});

const HEADER: RecordingHeader = {
  format: 1,
  toril: '0.0.0',
  queue: 'bull:bank',
  recordedAt: '2026-01-01T00:00:00.000Z',
  key: null,
  since: null,
  masked: false,
  replayable: true,
};

/** Lines with their newlines. */
export function linesOf(
  commits: readonly RecordedCommit[],
  header: Partial<RecordingHeader> = {},
  end: Partial<RecordingEnd> = {},
): string[] {
  const writer = new ChainWriter();
  const jobs = commits.reduce((sum, commit) => sum + commit.jobs.length, 0);
  const keys = new Set(commits.map(({ key }) => key)).size;
  return [
    writer.line({ recording: { ...HEADER, ...header } }),
    ...commits.map((commit) => writer.line({ commit })),
    writer.line({ end: { commits: commits.length, jobs, keys, ...end } }),
  ].map((line) => `${line}\n`);
}

type Names = 'deposit' | 'interest';

export interface StepOptions {
  /** Write the value down. */
  readonly full?: boolean;
}

/** Commits of accounts, one after the other, as workers with `deposit` and `interest` make them. */
export class History {
  readonly commits: RecordedCommit[] = [];
  readonly #tokens = new Map<string, number>();
  readonly #values = new Map<string, Account>();
  #drawn = 1_767_225_600_000_000;
  #jobs = 0;

  /** A commit of one job or several. */
  step(key: string, jobs: readonly (readonly [Names, number])[], options: StepOptions = {}): this {
    const token = ++this.#drawn;
    const recorded = jobs.map(([update, cents]): RecordedJob => {
      const id = String(++this.#jobs);
      const job = {
        id,
        update,
        sequence: ++this.#drawn,
        attempt: 1,
        data: { account: key, cents },
      };
      this.#apply(key, update, job);
      return job;
    });
    const value = this.#values.get(key) as Account;
    const base = this.#tokens.get(key) ?? 0;
    this.#tokens.set(key, token);
    return this.push({
      id: `${Math.floor(token / 1000)}-0`,
      key,
      token,
      base,
      watermark: this.#drawn,
      ...(base === 0 && { origin: 'nothing' as const }),
      jobs: recorded,
      hash: valueHash(JSON.stringify(value)),
      ...(options.full === true && { value }),
    });
  }

  /** Happened, but was not recorded. */
  unrecorded(key: string, jobs: readonly (readonly [Names, number])[]): this {
    this.step(key, jobs);
    this.commits.pop();
    return this;
  }

  delete(key: string): this {
    const token = ++this.#drawn;
    const base = this.#tokens.get(key) ?? 0;
    this.#tokens.set(key, token);
    this.#values.delete(key);
    const job = { id: String(++this.#jobs), update: 'close', sequence: ++this.#drawn, attempt: 1 };
    return this.push({
      id: `${Math.floor(token / 1000)}-0`,
      key,
      token,
      base,
      watermark: this.#drawn,
      jobs: [{ ...job, data: { account: key, cents: 0 } }],
      hash: NO_VALUE_HASH,
    });
  }

  push(commit: RecordedCommit): this {
    this.commits.push(commit);
    return this;
  }

  /** Changes the last commit. */
  amend(change: (commit: RecordedCommit) => RecordedCommit): this {
    const last = this.commits.pop();
    return last === undefined ? this : this.push(change(last));
  }

  valueOf(key: string): Account | undefined {
    return this.#values.get(key);
  }

  lines(header: Partial<RecordingHeader> = {}): string[] {
    return linesOf(this.commits, header);
  }

  /** Written out here, so that the code under test is not asked what is right. */
  #apply(key: string, update: Names, { id, sequence, data }: RecordedJob): void {
    const { cents, log } = this.#values.get(key) ?? { cents: 0, log: [] };
    const { cents: more } = data as Amount;
    this.#values.set(
      key,
      update === 'deposit'
        ? { cents: cents + more, log: [...log, `+${more} at ${sequence}`] }
        : {
            cents: Math.round(cents * 1.1),
            log: [...log, `lucky ${seeded(`${key}\n${id}\n${sequence}`).toFixed(6)}`],
          },
    );
  }
}

/** The first number of mulberry32, seeded with FNV-1a: what `context.random()` promises. */
function seeded(seed: string): number {
  let hash = 0x811c9dc5;
  for (const character of seed) hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193);
  const state = (hash + 0x6d2b79f5) | 0;
  let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
}
