/**
 * Lanes: each key's jobs in order, and the durable copy of what was last acknowledged. The contract;
 * redis-lanes.ts is the engine that workers use. All calls of one moment may be served together.
 */

import type { DataSet } from '../redis/data-set.ts';
import type { HistoryNote } from '../history/history.ts';
import type { JointHead, JointLanes } from './joint-lanes.ts';
import type { Acknowledged, Copy, LaneEntry, LaneJob } from './lane.ts';

/** Milliseconds for which a deleted cell's tombstone stays in memcached. */
export const TOMBSTONE_MS = 60_000;
/** Milliseconds for which the copy of a deleted or expired value outlives its cell, so that a cell never seems newer than Redis. */
export const COPY_GRACE_MS = 120_000;
/** Milliseconds for which a copy stays that a commit may be built on: longer than any value lives. */
export const COPY_IN_USE_MS: number = 60 * 24 * 60 * 60 * 1000;

/** What a combiner asks for when it holds a key's lease. */
export interface TakeRequest {
  readonly key: string;
  /** The cell as it was read under the lease; `undefined`: there is none that Toril wrote. */
  readonly cell: { readonly token: number; readonly base: number } | undefined;
  /** Jobs of this key that BullMQ has delivered to this process and that wait for their outcome. */
  readonly arrivals: readonly string[];
  /** At most so many jobs, */
  readonly jobsMax: number;
  /** or so many of several keys; default: the same. */
  readonly runJobsMax?: number;
  /** and so many characters of data (at least one job). */
  readonly dataMax: number;
  /** With what producers' telemetry left with the jobs (`LaneEntry.trace`). */
  readonly traces?: boolean;
}

export interface Taken {
  /** A new fencing token, drawn after the lease was acquired; names the commit that may follow. */
  readonly token: number;
  readonly copy: Copy;
  /** The lane's head, in order, up to its first job of several keys. If that is the very first one: see `joint`. */
  readonly entries: readonly LaneEntry[];
  /** Jobs of the lane that BullMQ no longer has: their entries are dropped. */
  readonly gone: readonly string[];
  /** Jobs in the lane, those of `entries` included. */
  readonly length: number;
  /** Arrivals that have left their lane already: encoded outcomes. */
  readonly decided: ReadonlyMap<string, string>;
  /**
   * Milliseconds until the first entry will be delivered, if it has failed and waits for its backoff;
   * else 0, also for one that was snoozed since.
   */
  readonly headDueInMs: number;
  /**
   * The queue is paused, or its rate or the number of its active jobs is limited: only delivered jobs may
   * be applied, since BullMQ keeps to all of these by what it delivers.
   */
  readonly restricted: boolean;
  /** Commits of the key in the history since the last one that a replay can begin at; -1: none. */
  readonly sinceCheckpoint: number;
  /** Milliseconds until the copy's value expires; 0: never, or there is none. */
  readonly expiresInMs: number;
  /** What all this was read from. */
  readonly dataSet: DataSet;
  /** The first entry is a job of several keys. */
  readonly joint?: JointHead | undefined;
}

/** A delivered job that may be completed in the step that acknowledges its commit. */
export interface Completable {
  readonly jobId: string;
  /** Of its lock, and of the worker slot that has it: the slot's next job gets the same. */
  readonly token: string;
  /** Instead of keeping it as completed. */
  readonly remove: boolean;
}

/** A commit that landed in memcached and wants to become the key's state. */
export interface Acknowledgement {
  readonly key: string;
  /** The id of the data set that the commit belongs to; any other one refuses it. */
  readonly dataSet: string;
  /** The token of the copy on which the commit was built. */
  readonly base: number;
  readonly token: number;
  /** Everything in the lane at or below this sequence is decided by the commit, */
  readonly watermark: number;
  /** and these are so many jobs, or fewer if some were removed since. If there are more, Redis has gone back. */
  readonly decided: number;
  /** Their sequences, where they are known only from the cell: nobody else may be among those that leave. */
  readonly sequences?: readonly number[] | undefined;
  /**
   * Which of them entered late, by job id, with their sequences. Redis may have gone back to before that (a replica was
   * promoted), and still have such a job, but not its entry: it would enter again, and be applied twice. So these
   * are decided also if they are in no lane, or entered late once more. Undefined: none.
   */
  readonly late?: ReadonlyMap<string, number> | undefined;
  /** The value as JSON; `deleted`; or `not-kept` when durable copies are off. */
  readonly value: { readonly json: string } | 'deleted' | 'not-kept';
  /** Milliseconds after which the value is gone; 0: never. */
  readonly expireMs: number;
  /** Encoded decisions by job id; a job that is not named was applied without a result. */
  readonly decisions: ReadonlyMap<string, string>;
  /** Milliseconds that a job of this key takes at present; for those who wait. */
  readonly paceMs: number;
  /** Undefined: the commit does not enter the history. */
  readonly history?: HistoryNote | undefined;
  /** Jobs that it decides as applied and that are about to be completed: an engine may do so in the same step. */
  readonly completable?: readonly Completable[];
}

/** Where a waiting job stands. */
export type Location =
  | { readonly kind: 'decided'; readonly outcome: string }
  | { readonly kind: 'waiting'; readonly rank: number; readonly paceMs: number }
  /** In no lane and without an outcome: it has not entered yet, or its job is gone. */
  | { readonly kind: 'absent' };

/** A lane that cannot go on before its first job is delivered, retried or removed. */
export interface StandingLane {
  readonly key: string;
  readonly jobId: string;
}

export type LaneSight =
  /** It stands as before. */
  | 'stands'
  /** Its first job is gone, or was completed by somebody else: it can go on, but nobody may know. */
  | 'released'
  /** Its first job is another one: somebody goes on. */
  | 'moved-on';

export interface LaneState {
  readonly copy: Copy;
  readonly length: number;
  readonly paceMs: number;
  /** The first jobs of the lane. */
  readonly head: readonly LaneJob[];
  readonly dataSet: DataSet;
  /** No token below it will be drawn. */
  readonly nextToken: number;
}

export interface Lanes extends JointLanes {
  take(request: TakeRequest): Promise<Taken>;
  /**
   * Idempotent: acknowledging a commit that is acknowledged already is accepted again. Decided jobs
   * that BullMQ holds back as delayed are delivered at once.
   */
  acknowledge(commit: Acknowledgement): Promise<Acknowledged>;
  locate(key: string, jobId: string): Promise<Location>;
  /**
   * A batch that was taken will not be committed, and nothing of it was sent: its jobs may be removed again. What is
   * never said is forgotten when the key is taken or acknowledged next, or in an hour.
   */
  putBack(keys: readonly string[], token: number): Promise<void>;
  /**
   * Notes that a job which stalled before is about to be applied alone, under this token. Returns of how many such
   * starts a process died, and 1 for this one: the job has stalled since, without an attempt charged.
   * @param survived the tokens of earlier starts that this process has lived through
   * @param deathsMax if so many processes died, nothing is noted of this one: it does not begin
   */
  startAlone(
    jobId: string,
    token: number,
    survived: readonly number[],
    deathsMax: number,
  ): Promise<number>;
  /** Notes only that this process has lived through starts under these tokens. */
  noteSurvived(jobId: string, tokens: readonly number[]): Promise<void>;
  /** What holds each of these lanes up now. Nobody need have told: a plain BullMQ client knows no lanes. */
  lookAt(standing: readonly StandingLane[]): Promise<LaneSight[]>;
  /** What an operator sees. */
  inspect(key: string, jobsMax: number): Promise<LaneState>;
  /**
   * Marks a job for the next combiner that meets it at the lane's head; with `deliver` only one that has no mark.
   * False: no such job.
   */
  direct(jobId: string, directive: 'skip' | 'drop' | 'deliver'): Promise<boolean>;
  /**
   * Makes the copy be what the cell says, whatever it was: an operator's choice (`trust cell`). With
   * `sequences`, other jobs stay in the lane.
   */
  overwriteCopy(commit: Acknowledgement): Promise<void>;
  /**
   * Redis had gone back, and an operator has said what is true: no number up to `above` is given out again, and
   * jobs that have one at or below the copy's watermark get new ones, in their order.
   */
  renumber(key: string, above: number): Promise<void>;
}
