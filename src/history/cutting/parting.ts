/** Where two versions of the updates part: the first job of a key that they treat differently. */
import { copyOfJson } from '../../updates/values/json-value.ts';
import type { UpdateRegistry } from '../../updates/update-registry.ts';
import { isSame } from '../compare/fields.ts';
import { isTried } from '../compare/tried.ts';
import { NO_VALUE_HASH, valueHash } from '../history.ts';
import { isJoint } from '../recording/joint-lines.ts';
import type { RecordedCommit, RecordedJob } from '../recording/recording.ts';
import { foldJob } from '../replay/commit.ts';

export interface Step {
  readonly job: RecordedJob;
  readonly commit: RecordedCommit;
}

export interface Versions {
  readonly old: UpdateRegistry;
  readonly new: UpdateRegistry;
}

/** Follows one key with the old version, and tries each job with both on the same value. */
export class KeySearch {
  readonly #versions: Versions;
  /** Jobs since the value was known. */
  steps: Step[] = [];
  /** Undefined: nothing. */
  start: unknown;
  parting: { readonly step: Step; readonly line: number; readonly before: unknown } | undefined;
  /** Since the value was known, the old version has given the recorded hashes. */
  oldRepeats = true;
  #value: unknown;
  #isKnown = false;
  #token = 0;
  #watermark = 0;

  constructor(versions: Versions) {
    this.#versions = versions;
  }

  next(commit: RecordedCommit, line: number): void | Promise<void> {
    // Of one key alone, nobody can fold a joint commit.
    if (isJoint(commit)) {
      this.#isKnown = false;
      return this.#beginBehind(commit);
    }
    const { origin, base } = commit;
    if (origin === 'unknown' || (origin === undefined && base !== this.#token))
      this.#isKnown = false;
    else if (origin !== undefined) this.#begin(origin === 'nothing' ? undefined : origin.adopted);
    if (!this.#isKnown) return this.#beginBehind(commit);
    return this.#jobs(commit, line, 0);
  }

  #jobs(commit: RecordedCommit, line: number, from: number): void | Promise<void> {
    for (let at = from; at < commit.jobs.length; at++) {
      const job = commit.jobs[at] as RecordedJob;
      if (!isTried(job, this.#watermark)) continue;
      const step = { job, commit };
      const tried = both(step, this.#value, this.#value, this.#versions);
      if (tried instanceof Promise) {
        return tried.then((settled) => {
          if (this.#take(step, line, settled)) return this.#jobs(commit, line, at + 1);
          return undefined;
        });
      }
      if (!this.#take(step, line, tried)) return;
    }
    this.#token = commit.token;
    this.#watermark = commit.watermark;
    this.oldRepeats &&= valueHash(jsonOf(this.#value)) === commit.hash;
  }

  /** False: the search ends here, or begins again behind this commit. */
  #take(step: Step, line: number, tried: Tried): boolean {
    // What comes behind the parting in its commit is folded for the commit's hash only.
    const isFound = this.parting !== undefined;
    if (tried.kind === 'unknown') {
      if (isFound) return false;
      this.#isKnown = false;
      this.#beginBehind(step.commit);
      return false;
    }
    if (!isFound) this.steps.push(step);
    if (!isFound && tried.differs) this.parting = { step, line, before: this.#value };
    this.#value = tried.old;
    return true;
  }

  #beginBehind({ hash, value, token, watermark }: RecordedCommit): void {
    if (value === undefined && hash !== NO_VALUE_HASH) return;
    this.#begin(value);
    this.#token = token;
    this.#watermark = watermark;
  }

  #begin(value: unknown): void {
    this.start = value;
    this.#value = value;
    this.steps = [];
    this.oldRepeats = true;
    this.#isKnown = true;
  }
}

type Tried =
  | {
      readonly kind: 'known';
      readonly old: unknown;
      readonly new: unknown;
      readonly differs: boolean;
    }
  /** The job cannot be run again. */
  | { readonly kind: 'unknown' };

/** One job with both versions; an update may change what it is given, and then throw. */
export function both(
  { job, commit }: Step,
  old: unknown,
  now: unknown,
  versions: Versions,
): Tried | Promise<Tried> {
  const one = foldJob(job, commit, versions.old, copyOfJson(old));
  const other = foldJob(job, commit, versions.new, copyOfJson(now));
  const settle = (a: Awaited<typeof one>, b: Awaited<typeof other>): Tried => {
    if (a.kind === 'obstacle' || b.kind === 'obstacle') return { kind: 'unknown' };
    const after = {
      old: a.kind === 'value' ? a.value : old,
      new: b.kind === 'value' ? b.value : now,
    };
    const ends = [a, b].map((ended) => (ended.kind === 'value' ? `+${ended.result}` : '-'));
    return {
      kind: 'known',
      ...after,
      differs: ends[0] !== ends[1] || !isSame(after.old, after.new),
    };
  };
  if (!(one instanceof Promise) && !(other instanceof Promise)) return settle(one, other);
  return Promise.all([one, other]).then(([a, b]) => settle(a, b));
}

export function jsonOf(value: unknown): string | undefined {
  return value === undefined ? undefined : JSON.stringify(value);
}
