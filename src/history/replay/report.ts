/** What a replay finds out, key by key. */
import type { JointLines } from '../recording/joint-lines.ts';
import type { RecordedCommit, RecordedJob, RecordingHeader } from '../recording/recording.ts';
import type { InvariantReport } from '../invariants/report.ts';
import type { JointValues } from '../../updates/calling/joint-updates.ts';
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
   * value died before it could say which it was; `other-key`: it is a joint commit, and the value of another of its keys is
   * not known, or is not what it was; else why this commit cannot be folded.
   */
  readonly reason: 'commits-missing' | 'start-unknown' | 'other-key' | Obstacle;
  /** The job that stands in the way, if one does. */
  readonly job?: RecordedJob;
}

/** Why a commit was not checked. */
export type UncheckedReason =
  | Gap['reason']
  /** It comes before the first one whose value is in the recording, which began in the middle of the key. */
  | 'before-start'
  /** The key differs before it. */
  | 'behind-difference';

/** Those that may be allowed. */
export const UNCHECKED_REASONS: readonly UncheckedReason[] = [
  'before-start',
  'commits-missing',
  'start-unknown',
  'strict-update',
  'job-gone',
  'data-gone',
  'other-key',
];

/** By reason, commits that were not checked. */
export type UncheckedCounts = Readonly<Partial<Record<UncheckedReason, number>>>;

/** Why a job that failed then was not tried again: nothing that its update does today could tell. */
export type UntriedReason =
  | Obstacle
  /** Its commit was not checked, so that the value is not known. */
  | 'commit-unchecked'
  | 'dropped'
  | 'cascaded'
  | 'cancelled'
  /** Its process died, */
  | 'died'
  /** it took too long, */
  | 'timed-out'
  /** or its value, or its result beside the value, did not fit into memcached. */
  | 'too-large';

/** Jobs that failed then, tried again on the value that they had. */
export interface FailuresReport {
  readonly failed: number;
  readonly failAgain: number;
  /** Of these, with another error. */
  readonly failOtherwise: number;
  /** They would succeed now: the key does not agree. */
  readonly succeedNow: number;
  /** They succeed now, but with the former updates too: the cause was outside. */
  readonly causedOutside: number;
  readonly untried: Readonly<Partial<Record<UntriedReason, number>>>;
  /** The first few that would succeed now, or fail otherwise. */
  readonly examples: readonly FailureExample[];
}

export interface FailureExample extends CommitPlace {
  readonly job: RecordedJob;
  /** Undefined: it would succeed. */
  readonly now: { readonly code: string; readonly message: string } | undefined;
}

/** What `result()` of the updates returned. */
export interface ResultsReport {
  /** With the recorded ones, or with those of the former updates. */
  readonly compared: number;
  /** Of these, not the same: the key does not agree. */
  readonly differ: number;
  /** There is a result now, and whether there was one then is not known. */
  readonly notRecorded: number;
  /** The first few that differ. */
  readonly examples: readonly ResultExample[];
}

export interface ResultExample extends CommitPlace {
  readonly job: RecordedJob;
  /** JSON; undefined: none. Of a long one, only `resultHash` of the job is known. */
  readonly expected: string | undefined;
  readonly actual: string | undefined;
}

/** Something of the updates that a replay does not look at, and a change of which could matter here. */
export interface NotLookedAt {
  readonly what:
    | 'onFailure'
    | 'onExhausted'
    | 'expireSeconds'
    | 'timeoutMs'
    | 'adopt'
    /** Attempts that failed before their job was applied. */
    | 'earlier attempts'
    /** `schema` and `key` refuse jobs already when they are enqueued. */
    | 'refused jobs';
  /** Whose; empty: of any. */
  readonly updates: readonly string[];
  /** Of these, known to be different from the former updates. */
  readonly changed: readonly string[];
}

/** What a joint commit was folded from. */
export interface JointBefore {
  readonly lines: JointLines;
  /** Of all its keys, in their order. */
  readonly values: JointValues;
}

/** The first commit of a key that today's updates do not repeat. */
export interface Difference extends CommitPlace {
  readonly commit: RecordedCommit;
  /** Of a joint commit: what it was folded from. */
  readonly joint?: JointBefore;
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
  /** False: the former updates do not give the recorded hash, so nothing of what they give is shown. */
  readonly formerRepeats?: boolean | undefined;
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
   * `agrees`: every commit was checked and has its hash, and its jobs ended as they did; `differs`:
   * one did not (`difference`, `failures`, `results`); `unknown-update`: a job's update is not
   * registered; `unchecked`: commits could not be checked (`unchecked`, `gaps`), the others agree.
   */
  readonly verdict: 'agrees' | 'differs' | 'unknown-update' | 'unchecked';
  /** Where it could begin: with the first value of the key, or behind one that was recorded. */
  readonly start: 'beginning' | 'checkpoint' | undefined;
  readonly commits: number;
  /** Of these, folded and compared; */
  readonly checked: number;
  /** and the others. */
  readonly unchecked: UncheckedCounts;
  /** Times it started over though it had had a value, which had expired or was lost. */
  readonly restarts: number;
  /** Undefined: no job of the key failed. */
  readonly failures: FailuresReport | undefined;
  /** Undefined: no job has a result. */
  readonly results: ResultsReport | undefined;
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
   * `not-checked`: nothing differs, but a commit of some key was not checked for a reason that
   * `allowUnchecked` does not name, or an update is not registered, or nothing was checked at all, or an invariant
   * was not always asked when it should have been. `broken`: nothing differs, but an invariant does not hold.
   */
  readonly verdict: 'agrees' | 'differs' | 'broken' | 'not-checked';
  /** The verdict is `agrees`. */
  readonly agrees: boolean;
  /** Every commit was folded and compared, and none is missing. */
  readonly complete: boolean;
  readonly commits: number;
  readonly checked: number;
  readonly unchecked: UncheckedCounts;
  /** Lines behind which commits may be missing, because the history was trimmed while it was recorded. */
  readonly torn: readonly number[];
  /** Of all keys. */
  readonly failures: FailuresReport | undefined;
  readonly results: ResultsReport | undefined;
  /** In the order in which they were given. */
  readonly invariants: readonly InvariantReport[];
  readonly notLookedAt: readonly NotLookedAt[];
  readonly jobs: number;
  /** Names that jobs bear and no registered update has. */
  readonly unknownUpdates: readonly string[];
  /** In the order in which the keys first appear. */
  readonly keys: readonly KeyReport[];
}
