/**
 * History: what was committed, in order, for replay and audit. A commit enters it in the same script
 * that acknowledges it (scripts/acknowledge.ts), so the history is what was acknowledged, no more and
 * no less. Here: what a commit says of itself, when its value is written down in full, and the contract
 * of reading; redis-history.ts is the engine.
 *
 * A replay can begin wherever it knows the value: at a commit that began with nothing or with an
 * adopted value, or behind one whose value was written down (a checkpoint). All others carry only the
 * value's hash.
 */
import { hash } from 'node:crypto';
import type { TorilWorkerOptions } from '../options.ts';

/** Where a commit's fold began. */
export type Origin =
  /** With the value of the commit that it was built on. */
  | 'base'
  /** Without a value: the key was new, deleted, expired, or lost and without a copy. */
  | 'nothing'
  /** With a value that Toril had not written; as JSON. */
  | { readonly adopted: string }
  /** With such a value, but whoever adopted it died before it could say which. */
  | 'unknown';

/** Of one's own commit. */
export type KnownOrigin = Exclude<Origin, 'unknown'>;

/** What an acknowledgement adds to the history. */
export interface HistoryNote {
  readonly origin: Origin;
  /** `valueHash` of the commit's value. */
  readonly hash: string;
  /** The value in full, as JSON: `copy`: the durable copy that is written beside it has it. */
  readonly value: 'copy' | { readonly json: string } | undefined;
  /**
   * By job id, attempts above the first. Undefined: somebody else's commit, so that only the job
   * itself can tell.
   */
  readonly attempts: ReadonlyMap<string, number> | undefined;
  /** Commits that the history keeps, about; one of several keys counts once for each. */
  readonly lengthMax: number;
  /** Milliseconds that it keeps them, about; 0: for ever. */
  readonly ageMs: number;
}

/** What an acknowledgement of a joint commit adds: an entry for each of its keys, one behind the other. */
export interface JointNote
  extends Pick<HistoryNote, 'lengthMax' | 'ageMs'>,
    Pick<HistorySettings, 'checkpointEvery'> {
  /** In the order of the commit's keys. */
  readonly keys: readonly JointKeyNote[];
  /** In order. The first key's entry has them. */
  readonly jobs: readonly JointNoteJob[];
}

/** Nobody acknowledges a joint commit but its maker, so its origins are known. */
export interface JointKeyNote {
  readonly origin: KnownOrigin;
  readonly hash: string;
  /** It is written down in full always. Others where a replay could not go on otherwise: of all its keys then. */
  readonly isShort: boolean;
}

interface JointNoteJob {
  readonly jobId: string;
  readonly sequence: number;
  readonly attempt: number;
  /** Of its keys, in its user's order, among those of the commit. */
  readonly places: readonly number[];
}

export type HistorySettings = Pick<
  TorilWorkerOptions,
  | 'history'
  | 'historyLengthMax'
  | 'historyAgeMs'
  | 'historyValueMax'
  | 'checkpointEvery'
  | 'durableCopies'
>;

export interface NotedCommit {
  readonly origin: Origin;
  /** Undefined: deleted. */
  readonly valueJson: string | undefined;
  /** The updates of its jobs. */
  readonly updates: readonly string[];
  readonly attempts: ReadonlyMap<string, number> | undefined;
  /** Commits of the key since the last one that a replay can begin at; -1: there is none. */
  readonly sinceCheckpoint: number;
  /** It has a job that a replay will not run again (`strict`). */
  readonly isStrict: boolean;
}

export interface NotedJointCommit {
  readonly keys: readonly (Pick<JointKeyNote, 'origin'> & Pick<NotedCommit, 'valueJson'>)[];
  readonly jobs: readonly JointNoteJob[];
  /** The updates of its jobs, and of one that holds its lanes. */
  readonly updates: readonly string[];
}

/** The hash of no value. */
export const NO_VALUE_HASH = '-';

/** The first 128 bits of SHA-256 over the value's JSON text, in hexadecimal. */
export function valueHash(valueJson: string | undefined): string {
  return valueJson === undefined ? NO_VALUE_HASH : hash('sha256', valueJson, 'hex').slice(0, 32);
}

/** Undefined: the commit is not recorded. */
export function historyNote(
  commit: NotedCommit,
  settings: HistorySettings,
): HistoryNote | undefined {
  if (!isRecorded(commit, settings.history)) return undefined;
  const { origin, valueJson, attempts } = commit;
  return {
    origin,
    hash: valueHash(valueJson),
    value: fullValue(commit, settings),
    attempts,
    lengthMax: settings.historyLengthMax,
    ageMs: settings.historyAgeMs,
  };
}

/**
 * A commit is recorded as a whole: with a part of its jobs it could not be replayed. One without jobs
 * (it marks a job that holds its lane) is recorded where the one before was, or there would be a gap.
 */
function isRecorded(
  { updates, sinceCheckpoint }: NotedCommit,
  history: TorilWorkerOptions['history'],
): boolean {
  if (history === 'on') return true;
  if (history === 'off') return false;
  return updates.length === 0
    ? sinceCheckpoint >= 0
    : updates.some((name) => history.includes(name));
}

function fullValue(
  { origin, valueJson, sinceCheckpoint, isStrict }: NotedCommit,
  settings: HistorySettings,
): HistoryNote['value'] {
  if (valueJson === undefined) return undefined; // the hash says so already
  // Nobody can fold it: without its value, the next `checkpointEvery` commits could not be checked either.
  const isBlind = isStrict || origin === 'unknown';
  const beginsHere = !isBlind && (origin === 'nothing' || typeof origin === 'object');
  const isDue = isBlind || sinceCheckpoint < 0 || sinceCheckpoint + 1 >= settings.checkpointEvery;
  const isShort = valueJson.length <= settings.historyValueMax;
  if (!isShort && (beginsHere || !isDue)) return undefined;
  return settings.durableCopies ? 'copy' : { json: valueJson };
}

/** Undefined: the commit is not recorded. */
export function jointNote(
  { keys, jobs, updates }: NotedJointCommit,
  settings: HistorySettings,
): JointNote | undefined {
  const { history, historyLengthMax, historyAgeMs, checkpointEvery } = settings;
  if (history === 'off') return undefined;
  if (history !== 'on' && !updates.some((name) => history.includes(name))) return undefined;
  return {
    keys: keys.map(({ origin, valueJson }) => ({
      origin,
      hash: valueHash(valueJson),
      isShort: (valueJson?.length ?? 0) <= settings.historyValueMax,
    })),
    ...{ jobs, checkpointEvery, lengthMax: historyLengthMax, ageMs: historyAgeMs },
  };
}

/** Bytes of a result's JSON up to which it is recorded; of a longer one, its SHA-1 behind a `#` (all that Redis offers). */
export const RECORDED_RESULT_MAX = 200;
export const RESULT_HASH_MARK = '#';

export function resultHash(resultJson: string): string {
  return hash('sha1', resultJson, 'hex');
}

/** A job as a commit decided it. */
export interface HistoryJob {
  readonly jobId: string;
  /** The update's name; undefined: the job had been removed before the commit was acknowledged. */
  readonly name: string | undefined;
  readonly sequence: number;
  readonly attempt: number;
  /** As in outcome.ts, but see `recordedDecision`. */
  readonly decision: string;
  /** As BullMQ has it: JSON, unless the producer was not Toril. */
  readonly data: string;
  /** Of a joint job: its keys, in its user's order. */
  readonly keys?: readonly string[];
}

export interface HistoryEntry {
  /** Of the Redis stream: milliseconds since 1970, a dash and a number. */
  readonly id: string;
  readonly key: string;
  readonly token: number;
  readonly base: number;
  readonly watermark: number;
  readonly origin: Origin;
  readonly hash: string;
  /** JSON; undefined: not written down, or there is none (NO_VALUE_HASH). */
  readonly value: string | undefined;
  /** It was acknowledged by its author's successor. */
  readonly recovered: boolean;
  /** Not true: it was written by a Toril that did not record results. */
  readonly hasResults?: boolean;
  readonly jobs: readonly HistoryJob[];
  /** Of a joint commit: all its keys, in the order of their entries, of which this is the first and has the jobs; */
  readonly keys?: readonly string[];
  /** or the id of that one. */
  readonly head?: string;
}

export interface HistoryRequest {
  /** Begins behind this entry; or milliseconds since 1970: at that time. */
  readonly after: string | number;
  /** Ends here, in milliseconds since 1970. Undefined: at the moment of the call. */
  readonly until?: number | undefined;
  /** Only this key's commits. */
  readonly key?: string | undefined;
}

/** A part of the history, as much as one call should carry. */
export interface HistoryPage {
  readonly entries: readonly HistoryEntry[];
  /** For the next call; undefined: this was the last page. */
  readonly next: HistoryRequest | undefined;
  readonly until: number;
  /** The entry behind which the page should begin was trimmed meanwhile, and later ones perhaps with it. */
  readonly isTorn?: boolean;
  /** The history has had joint commits. */
  readonly isJoint?: boolean;
}

export interface History {
  /** @throws TorilError REDIS_FAILED */
  read(request: HistoryRequest): Promise<HistoryPage>;
}
