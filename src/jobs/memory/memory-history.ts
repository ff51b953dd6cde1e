/** The history in memory, beside memory-jobs.ts: what RECORD_LUA does in Redis. Keeps exactly, not about, what it should. */
import type { Clock } from '../../base/clock.ts';
import {
  type History,
  type HistoryEntry,
  type HistoryJob,
  type HistoryNote,
  type HistoryPage,
  type HistoryRequest,
  type JointNote,
  NO_VALUE_HASH,
  RECORDED_RESULT_MAX,
  RESULT_HASH_MARK,
  resultHash,
} from '../../history/history.ts';
import type { JointCommit } from '../joint-lanes.ts';
import type { Acknowledgement } from '../lanes.ts';
import { PLAIN_APPLIED } from '../../updates/outcome.ts';

/** How the history stands with a key: the copy's field h in Redis. */
interface KeyStanding {
  /** Of the last commit in it. */
  readonly token: number;
  /** Commits since one that a replay can begin at, */
  readonly since: number;
  /** and which entry that is, counted from the first that ever was. */
  readonly checkpoint: number;
}

export class MemoryHistory implements History {
  readonly #clock: Clock;
  readonly #standings = new Map<string, KeyStanding>();
  #entries: HistoryEntry[] = [];
  /** Entries that were trimmed. */
  #trimmed = 0;
  /** There have been joint commits. */
  #isJoint = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @param base the token of the copy that the commit replaces */
  add(commit: Acknowledgement, note: HistoryNote, base: number, jobs: readonly HistoryJob[]): void {
    const { key, token, watermark } = commit;
    const { hash, origin } = note;
    const isComplete = jobs.every(isThere);
    const value = fullValue(commit, note, isComplete);
    const recovered = note.attempts === undefined;
    const id = this.#nextId();
    const facts = { id, key, token, base, watermark, origin, hash, value, recovered };
    this.#entries.push({ ...facts, hasResults: true, jobs });

    const begins = isComplete && (origin === 'nothing' || typeof origin === 'object');
    const isKnown = hash === NO_VALUE_HASH || value !== undefined || begins;
    const before = this.#standings.get(key);
    const checkpoint = this.#trimmed + this.#entries.length - 1;
    if (isKnown) this.#standings.set(key, { token, since: 0, checkpoint });
    else if (isComplete && origin === 'base' && before?.token === base)
      this.#standings.set(key, { ...before, token, since: before.since + 1 });
    else this.#standings.delete(key);
    this.#trim(note);
  }

  /** What RECORD_JOINT_LUA does. */
  addJoint({ token, keys }: JointCommit, note: JointNote, jobs: readonly HistoryJob[]): void {
    const isComplete = jobs.every(isThere);
    const standing = this.#jointStanding(keys, note);
    const isDue =
      !isComplete || standing === undefined || standing.since + 1 >= note.checkpointEvery;
    const names = keys.map(({ key }) => key);
    const first = this.#trimmed + this.#entries.length; // it has the jobs
    let head: string | undefined;
    for (const [at, { key, base, watermark, value }] of keys.entries()) {
      const { hash, origin, isShort } = note.keys[at] as JointNote['keys'][number];
      const full = typeof value === 'object' && (isDue || isShort) ? value.json : undefined;
      const id = this.#nextId();
      const facts = { id, key, token, base, watermark, origin, hash, value: full };
      const place = head === undefined ? { jobs, keys: names } : { jobs: [], head };
      this.#entries.push({ ...facts, recovered: false, hasResults: true, ...place });
      head ??= id;
      const isKnown = full !== undefined || hash === NO_VALUE_HASH;
      const own = this.#trimmed + this.#entries.length - 1;
      const { since = 0, checkpoint = first } = standing ?? {};
      const stands = isKnown ? { since: 0, checkpoint: own } : { since: since + 1, checkpoint };
      this.#standings.set(key, { token, ...stands });
    }
    this.#isJoint = true;
    this.#trim(note);
  }

  /** Undefined: the value of one is not known. */
  #jointStanding(
    keys: JointCommit['keys'],
    note: JointNote,
  ): { readonly since: number; readonly checkpoint: number | undefined } | undefined {
    let since = 0;
    let checkpoint: number | undefined;
    for (const [at, { key, base }] of keys.entries()) {
      if (note.keys[at]?.origin !== 'base') continue;
      const its = this.sinceCheckpoint(key, base);
      if (its < 0) return undefined;
      since = Math.max(since, its);
      const own = this.#standings.get(key)?.checkpoint as number;
      checkpoint = Math.min(checkpoint ?? own, own);
    }
    return { since, checkpoint };
  }

  /** Commits of the key since the last one that a replay can begin at; -1: there is none. */
  sinceCheckpoint(key: string, copyToken: number): number {
    const standing = this.#standings.get(key);
    if (standing?.token !== copyToken || standing.checkpoint < this.#trimmed) return -1;
    return standing.since;
  }

  read({ after, until, key }: HistoryRequest): Promise<HistoryPage> {
    const untilMs = until ?? Math.floor(this.#clock.wallMs());
    const from = typeof after === 'number' ? [after, -1] : partsOf(after);
    const entries = this.#entries.filter((entry) => {
      const [ms] = partsOf(entry.id);
      if (!isLater(partsOf(entry.id), from) || ms > untilMs) return false;
      return key === undefined || entry.key === key;
    });
    const isTorn = typeof after === 'string' && !this.#entries.some(({ id }) => id === after);
    const isJoint = this.#isJoint;
    return Promise.resolve({ entries, next: undefined, until: untilMs, isTorn, isJoint });
  }

  #nextId(): string {
    const ms = Math.floor(this.#clock.wallMs());
    const [lastMs, lastNumber] = partsOf(this.#entries.at(-1)?.id ?? '0-0');
    return ms > lastMs ? `${ms}-0` : `${lastMs}-${lastNumber + 1}`;
  }

  #trim({ lengthMax, ageMs }: Pick<HistoryNote, 'lengthMax' | 'ageMs'>): void {
    const oldestMs = ageMs === 0 ? 0 : Math.floor(this.#clock.wallMs()) - ageMs;
    let gone = Math.max(0, this.#entries.length - lengthMax);
    while (gone < this.#entries.length && partsOf(this.#entries[gone]?.id ?? '')[0] < oldestMs)
      gone++;
    this.#entries = this.#entries.slice(gone);
    this.#trimmed += gone;
  }
}

/** It can be applied again, or was not. */
function isThere({ name, decision }: HistoryJob): boolean {
  return name !== undefined || !decision.startsWith(PLAIN_APPLIED);
}

function fullValue(
  { value }: Acknowledgement,
  note: HistoryNote,
  isComplete: boolean,
): string | undefined {
  const copy = typeof value === 'object' ? value.json : undefined;
  if (note.value === undefined) return isComplete ? undefined : copy;
  return note.value === 'copy' ? copy : note.value.json;
}

/** As `attempts` of a note tells it, or the job itself. */
export function attemptOf(note: HistoryNote, jobId: string, attemptsMade: number): number {
  return note.attempts === undefined ? attemptsMade + 1 : (note.attempts.get(jobId) ?? 1);
}

/** Of a long result, only its hash is recorded. */
export function recordedDecision(decision: string): string {
  if (!decision.startsWith(PLAIN_APPLIED)) return decision;
  const result = decision.slice(PLAIN_APPLIED.length);
  if (Buffer.byteLength(result) <= RECORDED_RESULT_MAX) return decision;
  return PLAIN_APPLIED + RESULT_HASH_MARK + resultHash(result);
}

function partsOf(id: string): [ms: number, number: number] {
  const [ms, number] = id.split('-');
  return [Number(ms), Number(number)];
}

function isLater(
  [ms, number]: readonly number[],
  [thanMs, thanNumber]: readonly number[],
): boolean {
  if (ms === undefined || thanMs === undefined) return false;
  return ms > thanMs || (ms === thanMs && (number ?? 0) > (thanNumber ?? 0));
}
