/** One job of a replay, as `onJob` is told of it. */
import type { RecordedCommit, RecordedJob } from '../../recording/recording.ts';

export interface ReplayedJob {
  /** Of a transaction's job: the first of its keys. */
  readonly key: string;
  /** Of a transaction's job: its keys. `before` and `after` are lists of their values, in this order. */
  readonly keys?: readonly string[];
  /** And the lines of its commit: one for each key that it has changed. */
  readonly parts?: readonly RecordedCommit[];
  /** Of its commit in the file, counted from 1. */
  readonly line: number;
  readonly commit: RecordedCommit;
  /** As it was recorded; `outcome` says how it left its lane then, if it was not applied. */
  readonly job: RecordedJob;
  /** The key's value, to keep or to change; undefined: none. */
  readonly before: unknown;
  /**
   * Behind the job, with the updates of today; undefined: deleted. Of a job that failed then, or that
   * fails now, the value before: the key goes on without it.
   */
  readonly after: unknown;
  /** What `result()` returns today; undefined: nothing. */
  readonly result: unknown;
  /** It fails today. */
  readonly failure: { readonly code: string; readonly message: string } | undefined;
}

/** Told of each job that is run, one after the other; a promise is waited for. What it throws ends the replay. */
export type OnJob = (job: ReplayedJob) => void | Promise<void>;
