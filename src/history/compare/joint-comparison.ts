/** A joint commit under two versions of the updates: each goes on from its own values of all keys. */
import type { JointValues } from '../../updates/calling/joint-updates.ts';
import type { JointLines } from '../recording/joint-lines.ts';
import type { RecordedJob } from '../recording/recording.ts';
import { type Folded, foldJob, type Registry } from '../replay/commit.ts';
import { boxOf, jointRegistry, wholeOf } from '../replay/joint/joint-values.ts';
import { type Differences, NONE } from './fields.ts';
import { type Ended, type KeyComparison, tell, type VersionValues } from './key-comparison.ts';
import type { Tally } from './tally.ts';
import { isTried } from './tried.ts';

export interface Versions {
  readonly old: Registry;
  readonly new: Registry;
}

export class JointComparison {
  readonly #joint: JointLines;
  readonly #keys: readonly KeyComparison[];
  readonly #versions: Versions;
  readonly #tally: Tally | undefined;
  #old: JointValues = [];
  #new: JointValues = [];

  /**
   * @param keys those of its parts, in their order
   * @param tally undefined: none of them is told about
   */
  constructor(
    joint: JointLines,
    keys: readonly KeyComparison[],
    versions: Versions,
    tally: Tally | undefined,
  ) {
    this.#joint = joint;
    this.#keys = keys;
    this.#versions = {
      old: jointRegistry(joint, versions.old),
      new: jointRegistry(joint, versions.new),
    };
    this.#tally = tally;
  }

  /** A promise only if an update or a schema is asynchronous. */
  run(): void | Promise<void> {
    const { parts, isWhole } = this.#joint;
    const values = parts.map((part, at) => this.#keys[at]?.open(part));
    if (!isWhole || values.includes(undefined)) return this.#lose();
    const known = values as readonly VersionValues[];
    this.#old = known.map(({ old }) => boxOf(old));
    this.#new = known.map((value) => boxOf(value.new));
    return this.#jobs(0);
  }

  #jobs(from: number): void | Promise<void> {
    const { jobs, parts } = this.#joint;
    for (let at = from; at < jobs.length; at++) {
      const job = jobs[at] as RecordedJob;
      if (!isTried(job, 0)) continue;
      const whole = wholeOf(this.#joint);
      const old = foldJob(job, whole, this.#versions.old, this.#old);
      const now = foldJob(job, whole, this.#versions.new, this.#new);
      if (old instanceof Promise || now instanceof Promise) {
        return Promise.all([old, now]).then((both) =>
          this.#take(job, ...both) ? this.#jobs(at + 1) : this.#lose(),
        );
      }
      if (!this.#take(job, old, now)) return this.#lose();
    }
    for (const [at, part] of parts.entries()) this.#keys[at]?.leave(part);
  }

  /** False: the job cannot be run again, so that nobody knows how its keys go on. */
  #take(job: RecordedJob, old: Folded, now: Folded): boolean {
    if (old.kind === 'obstacle' || now.kind === 'obstacle') return false;
    const before = this.#differencesOf(job);
    if (old.kind === 'value') this.#old = old.value as JointValues;
    if (now.kind === 'value') this.#new = now.value as JointValues;
    for (const [at, key] of this.#keys.entries())
      key.become({ old: this.#old[at]?.[0], new: this.#new[at]?.[0] });
    this.#tell(job, before, [old, now]);
    return true;
  }

  #tell(job: RecordedJob, before: Differences, ended: readonly [Ended, Ended]): void {
    if (this.#tally === undefined) return;
    const after = this.#differencesOf(job);
    const place = { key: job.keys?.[0] ?? '', line: this.#joint.line, job };
    tell(this.#tally, place, [before, after], ended);
  }

  /** Of all its keys, as of one list of values: `[0].cents`. */
  #differencesOf({ keys = [] }: RecordedJob): Differences {
    const all = keys.flatMap((key, place) => {
      const at = this.#joint.parts.findIndex((part) => part.key === key);
      const own = this.#keys[at]?.differences ?? NONE;
      return [...own].map(([path, both]) => [`[${place}]${path}`, both] as const);
    });
    return all.length === 0 ? NONE : new Map(all);
  }

  #lose(): void {
    for (const [at, part] of this.#joint.parts.entries()) this.#keys[at]?.lose(part);
  }
}
