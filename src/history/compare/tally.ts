/** Counts what differs, per update and field, and keeps the worst of each. */
import type { RecordedJob } from '../recording/recording.ts';
import { type Differences, type FieldDifference, fieldOf } from './fields.ts';

/** A job in the recording. */
export interface JobPlace {
  readonly key: string;
  /** The line of the file, counted from 1. */
  readonly line: number;
  readonly job: RecordedJob;
}

export interface FieldReport {
  /** Without indices, as in `.lines[].cents`; empty: the value itself; `result()`: what it returned. */
  readonly field: string;
  /** Jobs that made the two versions differ there, or differ more, or less. */
  readonly jobs: number;
  /** Of numbers: how much they added to new minus old, in sum; */
  readonly sum: number;
  /** and the most that one of them did, up or down. */
  readonly max: number;
  /** The job that did the most; if it is no number, the first. */
  readonly worst: JobPlace & FieldDifference;
}

export interface UpdateReport {
  readonly update: string;
  /** Jobs that both versions were given. */
  readonly jobs: number;
  /** Of these, different in a field, a result or whether they fail. */
  readonly differ: number;
  readonly failOnlyOld: number;
  readonly failOnlyNew: number;
  /** The first that fails with one of them only, and its error. */
  readonly failure: (JobPlace & { readonly message: string }) | undefined;
  /** Those with the most jobs first. */
  readonly fields: readonly FieldReport[];
}

interface Field {
  jobs: number;
  sum: number;
  max: number;
  worst: JobPlace & FieldDifference;
}

class UpdateTally {
  jobs = 0;
  differ = 0;
  failOnlyOld = 0;
  failOnlyNew = 0;
  failure: UpdateReport['failure'];
  readonly fields: Map<string, Field> = new Map();
}

export class Tally {
  readonly #ignored: readonly string[];
  readonly #updates = new Map<string, UpdateTally>();
  readonly #keys = new Set<string>();

  /** @param ignored fields, with all that is below them */
  constructor(ignored: readonly string[]) {
    this.#ignored = ignored.map((field) => fieldOf(field));
  }

  get differingKeys(): number {
    return this.#keys.size;
  }

  /** Both versions were given the job; nothing differs that did not differ before. */
  same(update: string): void {
    this.#of(update).jobs += 1;
  }

  /** One of them failed. */
  failed(place: JobPlace, which: 'old' | 'new', message: string): void {
    const tally = this.#of(place.job.update ?? '');
    if (which === 'old') tally.failOnlyOld += 1;
    else tally.failOnlyNew += 1;
    tally.failure ??= { ...place, message };
  }

  /** @param differs the job differs in something else already */
  take(place: JobPlace, before: Differences, after: Differences, differs: boolean): void {
    const tally = this.#of(place.job.update ?? '');
    tally.jobs += 1;
    let isOther = differs;
    for (const path of new Set([...before.keys(), ...after.keys()])) {
      const [was, is] = [before.get(path), after.get(path)];
      if (was !== undefined && is !== undefined && isSamePair(was, is)) continue;
      const field = fieldOf(path);
      if (this.#isIgnored(field)) continue;
      isOther = true;
      this.#note(tally, field, place, is ?? NOTHING, deltaOf(is) - deltaOf(was));
    }
    if (!isOther) return;
    tally.differ += 1;
    this.#keys.add(place.key);
  }

  reports(): UpdateReport[] {
    return [...this.#updates].map(([update, { fields, ...tally }]) => ({
      update,
      ...tally,
      fields: [...fields]
        .map(([field, { jobs, sum, max, worst }]) => ({ field, jobs, sum, max, worst }))
        .toSorted((a, b) => b.jobs - a.jobs),
    }));
  }

  #note(
    tally: UpdateTally,
    name: string,
    place: JobPlace,
    difference: FieldDifference,
    delta: number,
  ): void {
    const field = tally.fields.get(name);
    if (field === undefined) {
      const worst = { ...place, ...difference };
      tally.fields.set(name, { jobs: 1, sum: delta, max: delta, worst });
      return;
    }
    field.jobs += 1;
    field.sum += delta;
    if (Math.abs(delta) <= Math.abs(field.max)) return;
    field.max = delta;
    field.worst = { ...place, ...difference };
  }

  #of(update: string): UpdateTally {
    let tally = this.#updates.get(update);
    if (tally === undefined) this.#updates.set(update, (tally = new UpdateTally()));
    return tally;
  }

  #isIgnored(field: string): boolean {
    return this.#ignored.some(
      (path) => field === path || field.startsWith(`${path}.`) || field.startsWith(`${path}[`),
    );
  }
}

/** The two are the same there again. */
const NOTHING: FieldDifference = { old: undefined, new: undefined };

function isSamePair(one: FieldDifference, other: FieldDifference): boolean {
  if (typeof one.old === 'number' && typeof one.new === 'number') {
    // 7 instead of 5 is no news if it was 4 instead of 2.
    return deltaOf(one) === deltaOf(other) && typeof other.old === 'number';
  }
  return JSON.stringify(one) === JSON.stringify(other);
}

function deltaOf(difference: FieldDifference | undefined): number {
  const { old, new: now } = difference ?? NOTHING;
  return typeof old === 'number' && typeof now === 'number' ? now - old : 0;
}
