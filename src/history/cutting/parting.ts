/**
 * Where two versions of the updates part: the first job of a recording that they treat differently. Each key is followed
 * with the old version, and each job is tried with both on the same values.
 */
import { isTried } from '../compare/tried.ts';
import { NO_VALUE_HASH, valueHash } from '../history.ts';
import type { JointLines } from '../recording/joint-lines.ts';
import type { RecordedCommit, RecordedJob } from '../recording/recording.ts';
import {
  both,
  jsonOf,
  type Start,
  type Step,
  type Tried,
  type Values,
  type Versions,
} from './step.ts';

export interface Parting {
  readonly step: Step;
  /** The values of its keys, in the order of its parts. */
  readonly before: Values;
}

/** What is known of one key. */
interface Followed {
  /** Undefined: its value is not known. */
  start: Start | undefined;
  value: unknown;
  token: number;
  watermark: number;
  /** Since the start, the old version has given the recorded hashes. */
  oldRepeats: boolean;
}

export class PartingSearch {
  readonly #versions: Versions;
  /** Only a job of this key. */
  readonly #key: string | undefined;
  readonly #keys = new Map<string, Followed>();
  #steps = 0;
  found: Parting | undefined;

  constructor(versions: Versions, key: string | undefined) {
    this.#versions = versions;
    this.#key = key;
  }

  /** Up to where they part, the old version has given the recorded hashes of the job's keys. */
  get oldRepeats(): boolean {
    return this.found?.step.parts.every(({ key }) => this.#of(key).oldRepeats) === true;
  }

  single(commit: RecordedCommit, line: number): void | Promise<void> {
    const followed = this.#of(commit.key);
    enter(followed, commit);
    if (followed.start === undefined) return beginBehind(followed, commit);
    return this.#jobs({ parts: [commit], jobs: commit.jobs, line }, followed.watermark, 0);
  }

  joint(joint: JointLines): void | Promise<void> {
    const { parts, isWhole } = joint;
    const all = parts.map((part) => {
      const followed = this.#of(part.key);
      enter(followed, part);
      return followed;
    });
    if (isWhole && all.every(({ start }) => start !== undefined)) return this.#jobs(joint, 0, 0);
    return this.#lose(parts);
  }

  #jobs(
    commit: Pick<JointLines, 'parts' | 'jobs' | 'line'>,
    watermark: number,
    from: number,
  ): void | Promise<void> {
    const { parts, jobs, line } = commit;
    for (let at = from; at < jobs.length; at++) {
      const job = jobs[at] as RecordedJob;
      if (!isTried(job, watermark)) continue;
      const step = this.#step(job, parts, line);
      const values = step.parts.map(({ key }) => this.#of(key).value);
      const tried = both(step, values, values, this.#versions);
      const goOn = (settled: Tried): void | Promise<void> =>
        this.#take(step, values, settled)
          ? this.#jobs(commit, watermark, at + 1)
          : this.#lose(parts);
      if (tried instanceof Promise) return tried.then(goOn);
      if (!this.#take(step, values, tried)) return this.#lose(parts);
    }
    return this.#leave(parts);
  }

  #step(job: RecordedJob, commit: readonly RecordedCommit[], line: number): Step {
    const parts =
      job.keys === undefined ? commit : commit.filter(({ key }) => job.keys?.includes(key));
    const starts = parts.map(({ key }) => this.#of(key).start as Start);
    return { at: this.#steps++, job, parts, line, starts };
  }

  /** False: the job cannot be run again, so that nobody knows how its keys go on. */
  #take(step: Step, before: Values, tried: Tried): boolean {
    if (tried.kind === 'unknown') return false;
    // What comes behind the parting in its commit is folded for the commit's hash only.
    if (this.found === undefined) {
      for (const { steps } of step.starts) steps.push(step);
      const isAsked = this.#key === undefined || step.parts.some(({ key }) => key === this.#key);
      if (isAsked && tried.differs) this.found = { step, before };
    }
    for (const [at, { key }] of step.parts.entries()) this.#of(key).value = tried.old[at];
    return true;
  }

  #leave(parts: readonly RecordedCommit[]): void {
    const all = parts.map((part) => ({ part, followed: this.#of(part.key) }));
    const repeats = all.every(
      ({ part, followed: { value, oldRepeats } }) =>
        oldRepeats && valueHash(jsonOf(value)) === part.hash,
    );
    for (const { part, followed } of all) {
      followed.token = part.token;
      followed.watermark = part.watermark;
      followed.oldRepeats = repeats;
    }
  }

  #lose(parts: readonly RecordedCommit[]): void {
    for (const part of parts) {
      const followed = this.#of(part.key);
      if (this.found !== undefined) continue;
      followed.start = undefined;
      beginBehind(followed, part);
    }
  }

  #of(key: string): Followed {
    let followed = this.#keys.get(key);
    if (followed === undefined) {
      followed = { start: undefined, value: undefined, token: 0, watermark: 0, oldRepeats: true };
      this.#keys.set(key, followed);
    }
    return followed;
  }
}

/** Finds out with which value the commit began, as far as that can be known. */
function enter(followed: Followed, { key, origin, base }: RecordedCommit): void {
  if (origin === 'unknown' || (origin === undefined && base !== followed.token))
    followed.start = undefined;
  else if (origin !== undefined)
    begin(followed, key, origin === 'nothing' ? undefined : origin.adopted);
}

function beginBehind(followed: Followed, commit: RecordedCommit): void {
  const { key, hash, value, token, watermark } = commit;
  if (value === undefined && hash !== NO_VALUE_HASH) return;
  begin(followed, key, value);
  followed.token = token;
  followed.watermark = watermark;
}

function begin(followed: Followed, key: string, value: unknown): void {
  followed.start = { key, value, steps: [] };
  followed.value = value;
  followed.oldRepeats = true;
}

/** All jobs on which the values before a job rest, and the job itself, in order. */
export function restingOn(last: Step): Step[] {
  const needed = new Set([last]);
  /** So many of a start's steps are among them already. */
  const counted = new Map<Start, number>();
  for (const step of needed) {
    for (const start of step.starts) {
      let count = counted.get(start) ?? 0;
      for (; (start.steps[count]?.at ?? Infinity) < step.at; count++)
        needed.add(start.steps[count] as Step);
      counted.set(start, count);
    }
  }
  return [...needed].toSorted((a, b) => a.at - b.at);
}
