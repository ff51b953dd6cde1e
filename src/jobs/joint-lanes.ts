/**
 * Lanes with jobs of several keys. The contract, beside lanes.ts. A *joint job* is in the lanes of all its keys with one
 * sequence, so all lanes agree on its order, and each wait is for a lower sequence. It is decided by one step for
 * all its keys: copies, lanes and outcomes change together, or not at all. Its cells are written afterwards: until that is
 * known, the commit is *behind*.
 */
import type { JointNote } from '../history/history.ts';
import type { Acknowledged, Copy, LaneEntry } from './lane.ts';

/** An entry of a job of several keys. */
export type JointEntry = LaneEntry & { readonly keys: readonly string[] };

/** What a joint job at the head of a lane needs of its other lanes. Part of what was taken. */
export interface JointHead {
  /**
   * Jobs of the run, which are then the entries that were taken, of whichever lanes: in each of their lanes only jobs of the
   * run are before them, and behind these in it. They have at most JOINT_RUN_KEYS_MAX keys together. 0: there is no run,
   * and the one entry is the lane's first job. A job that was tried before, or that an operator decides about, is only
   * in a run that begins with it, at its lane.
   */
  readonly ready: number;
  /** There is no run: keys in whose lanes another job must be seen to first, */
  readonly blockedBy: readonly string[];
  /** which waits for its own delivery, its retry or an operator; else others may decide it at any moment; */
  readonly stands: boolean;
  /** or which the first job is missing in. */
  readonly missingIn: readonly string[];
  /** There is no run because somebody took one of these keys in hand a moment ago, and is probably at work. */
  readonly isInHand: boolean;
  /** Of all keys of the run but the lane's own. */
  readonly others: ReadonlyMap<string, OtherKey>;
  /** As `OtherKey.lost`, of the lane's own key. */
  readonly lost: boolean;
}

/** Another key of a run. */
export interface OtherKey {
  /** With its value. */
  readonly copy: Copy;
  /** Milliseconds until its value expires; 0: never, or there is none. */
  readonly expiresInMs: number;
  /**
   * A job was dropped from its lane since the last commit, because BullMQ no longer had it: its holder may have frozen
   * before the commit of that very job, which would land late.
   */
  readonly lost: boolean;
}

/** Of the values of a snapshot: what makes Redis stand still for some 20 ms. The first value may have more. */
export const SNAPSHOT_BYTES_MAX: number = 32 * 1024 * 1024;

/** Distinct keys of a run of joint jobs: of each one the copy is read, and the cell is read and written. */
export const JOINT_RUN_KEYS_MAX = 128;
/** Bytes of the values of all but the lane's own key, about: then no further key is looked at, but for those of a first job. */
export const COPIES_BYTES_MAX = 1_000_000;
/** Milliseconds for which nobody else begins a run with keys that somebody has in hand. Later, the first commit wins. */
export const IN_HAND_MS = 500;
/**
 * A run of fewer jobs that ends at such keys is not begun either: their holder is about to take these jobs with
 * many more. Without this, 4 processes kept cutting each other's runs to 4 jobs, and the slower they were the more.
 */
export const SMALL_RUN_JOBS = 32;

/** A commit of several keys, which no cell has yet. */
export interface JointCommit {
  /** The key at whose lane its jobs were met. */
  readonly at: string;
  readonly dataSet: string;
  readonly token: number;
  readonly keys: readonly JointKey[];
  /** Encoded decisions of all its jobs, in order; of one that stays and holds its lanes, too. */
  readonly decisions: ReadonlyMap<string, string>;
  /** Milliseconds that a job takes at present. */
  readonly paceMs: number;
  /** Undefined: the commit does not enter the history. */
  readonly history?: JointNote | undefined;
}

export interface JointKey {
  readonly key: string;
  /** The token of the copy on which it is built. */
  readonly base: number;
  /** Everything in the lane at or below it is decided, */
  readonly watermark: number;
  /** and is exactly this, in this order: else nothing is done at all. */
  readonly jobIds: readonly string[];
  readonly value: { readonly json: string } | 'deleted';
  /** Milliseconds after which the value is gone; 0: never. */
  readonly expireMs: number;
}

export interface JointAcknowledged extends Acknowledged {
  /**
   * Keys of the commit whose lanes have more, and go on by themselves: the next job is not in the lane of `JointCommit.at`, where
   * it would be met in its turn. Undefined: not known, since the commit had been accepted before.
   */
  readonly onward?: readonly string[];
}

/** A joint commit whose cells are not known to be written. */
export interface BehindCommit {
  readonly token: number;
  readonly keys: readonly string[];
}

export interface JointLanes {
  /**
   * A job enters the lanes of all its keys, at their ends, with one sequence; unless it is in its lanes, decided, finished
   * or gone. It keeps the keys that it entered with before. For jobs that are in no lane when they are delivered.
   */
  enterJoint(jobId: string, keys: readonly string[]): Promise<void>;
  /** All of it, or nothing. Idempotent, unless its keys have gone on since: then it is refused, and outcomes tell. */
  acknowledgeJoint(commit: JointCommit): Promise<JointAcknowledged>;
  /**
   * The commit's cells are written, superseded, or lost by memcached.
   * @param isLasting none of its values expires or is deleted, so that nothing has to be done for its copies; else they are looked at
   */
  settled(token: number, isLasting?: boolean): Promise<void>;
  /**
   * The commit of this token if it is behind; without one, those with the lowest tokens, at most 100. For how long they have
   * been, no token tells: behind a clock that was set back, they are drawn ahead of the time.
   */
  behind(token?: number): Promise<BehindCommit[]>;
  /**
   * A joint job waits at the head of a lane for another one, and will give up after so many milliseconds. Returns for how
   * many it has waited since it entered with this sequence, in whichever process.
   */
  noteWait(jobId: string, sequence: number, failAfterMs: number): Promise<number>;
  /**
   * A joint job that waits gives up: it leaves all its lanes with this outcome, or with the one that it has. False: it is in
   * none.
   */
  withdraw(jobId: string, decision: string): Promise<boolean>;
  /** The copies of several keys, as of one moment: of all of them, or of the first ones that have SNAPSHOT_BYTES_MAX together. */
  snapshot(keys: readonly string[]): Promise<Copy[]>;
}
