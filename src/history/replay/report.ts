/** What a replay finds out, key by key. */
import type { RecordedCommit, RecordedJob, RecordingHeader } from '../recording/recording.ts';
import type { Obstacle } from './commit.ts';

/** A value that may be none, as the JSON text that is stored and compared. */
export interface KnownValue {
  /** Undefined: there is no value. */
  readonly json: string | undefined;
}

/** A commit in the recording. */
export interface CommitPlace {
  /** The line of the file, counted from 1. */
  readonly line: number;
  readonly token: number;
}

/** Why the replay lost track of a key. It goes on at the next commit whose value is known. */
export interface Gap extends CommitPlace {
  /**
   * `commits-missing`: between the one before and this one; `start-unknown`: whoever adopted the first
   * value died before it could say which it was; else why this commit cannot be folded.
   */
  readonly reason: 'commits-missing' | 'start-unknown' | Obstacle;
  /** The job that stands in the way, if one does. */
  readonly job?: RecordedJob;
}

/** The first commit of a key that today's updates do not repeat. */
export interface Difference extends CommitPlace {
  readonly commit: RecordedCommit;
  /**
   * Its applied jobs: the difference comes from one of them. Only that one, if it is known: because
   * there is no other, because it failed, or by comparison with the former updates.
   */
  readonly jobs: readonly RecordedJob[];
  /** Today's update threw so, or would change another key now. */
  readonly failure: string | undefined;
  /** Where both agreed last: before the commit, or before its job, if that is known. */
  readonly before: KnownValue;
  /** Of the commit before. */
  readonly watermarkBefore: number;
  /** Where the values below are compared: at this commit, or at the next one whose value was recorded. */
  readonly comparedAt: CommitPlace;
  /** Undefined: no commit with a recorded value came. */
  readonly expected: KnownValue | undefined;
  /** Undefined: today's update failed. */
  readonly actual: KnownValue | undefined;
  /** Both as a unified diff; undefined: one of them is not known, or many keys differ. */
  readonly diff?: string | undefined;
}

/** A value and the token of the commit that wrote it. */
export interface CommittedValue extends KnownValue {
  readonly token: number;
}

/** How the cell stands to the last recorded commit of its key. */
export type LiveVerdict =
  | { readonly kind: 'same' }
  | { readonly kind: 'differs'; readonly diff: string }
  /** It has gone on since, */
  | { readonly kind: 'newer' }
  /** or has not come so far (evicted and not restored yet, or another server). */
  | { readonly kind: 'older' }
  /** Memcached has none. */
  | { readonly kind: 'missing' }
  /** The replay does not know the key's last value. */
  | { readonly kind: 'unknown' }
  | { readonly kind: 'unreadable'; readonly message: string };

export interface KeyReport {
  readonly key: string;
  /**
   * `agrees`: every commit that could be folded has its hash; `unknown-update`: a job's update is not
   * registered; `unchecked`: no commit could be folded.
   */
  readonly verdict: 'agrees' | 'differs' | 'unknown-update' | 'unchecked';
  /** Where it could begin: with the first value of the key, or behind one that was recorded. */
  readonly start: 'beginning' | 'checkpoint' | undefined;
  readonly commits: number;
  /** Of these, folded and compared. */
  readonly checked: number;
  /** The first few; `gapsCount` counts them all. */
  readonly gaps: readonly Gap[];
  readonly gapsCount: number;
  readonly difference: Difference | undefined;
  /** The value behind the key's last commit; undefined: it differs, or cannot be known. */
  readonly last: CommittedValue | undefined;
  /** Undefined: it was not asked for. */
  readonly live?: LiveVerdict;
}

export interface ReplayReport {
  readonly recording: RecordingHeader;
  /**
   * Nothing differs, every update is known, and something was checked at all. Gaps do not matter
   * here: see `complete`.
   */
  readonly agrees: boolean;
  /** Every commit of the recording was folded and compared. */
  readonly complete: boolean;
  readonly commits: number;
  readonly checked: number;
  readonly jobs: number;
  /** Names that jobs bear and no registered update has. */
  readonly unknownUpdates: readonly string[];
  /** In the order in which the keys first appear. */
  readonly keys: readonly KeyReport[];
}
