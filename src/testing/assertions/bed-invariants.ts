/** Invariants on a test bed: asked of each job as its commit is acknowledged, with the values that the workers made. */
import { InvariantChecks } from '../../history/invariants/checks.ts';
import type { AnyInvariant } from '../../history/invariants/invariant.ts';
import type { InvariantReport } from '../../history/invariants/report.ts';
import { DELETE_CELL, type UpdateContext } from '../../updates/update.ts';
import type { AppliedJob, Commit } from '../journal/journal.ts';

interface Made {
  /** By place among the keys of its job. JSON; undefined: deleted. */
  readonly json: readonly (string | undefined)[];
}

export class BedInvariants {
  readonly #checks: InvariantChecks;
  /** What calls of updates have made that no commit has acknowledged, by token and job: the last call counts. */
  readonly #made = new Map<string, Made>();
  /** The acknowledged values, by key. */
  readonly #values = new Map<string, unknown>();
  /** An invariant gave no answer. */
  #failure: { readonly thrown: unknown } | undefined;

  /** @throws TorilError INVALID_OPTIONS */
  constructor(invariants: readonly AnyInvariant[]) {
    this.#checks = new InvariantChecks(invariants);
  }

  /** An update has returned this. */
  returned(context: UpdateContext, value: unknown): void {
    try {
      const isJoint = (context as { keys?: unknown }).keys !== undefined;
      const values = isJoint ? (value as readonly unknown[]) : [value];
      const json = values.map((one) => (one === DELETE_CELL ? undefined : JSON.stringify(one)));
      this.#made.set(nameOf(context.token, context.jobId), { json });
    } catch {
      // Its job fails with UPDATE_NOT_JSON.
    }
  }

  committed(commit: Commit): void {
    if (this.#failure !== undefined) return;
    try {
      this.#look(commit);
    } catch (thrown) {
      this.#failure = { thrown };
    }
  }

  /**
   * What has come to light since this was asked, in words.
   * @throws TorilError INVARIANT_UNUSABLE
   */
  get news(): string | undefined {
    if (this.#failure !== undefined) throw this.#failure.thrown;
    return this.#checks.news;
  }

  /** @throws TorilError INVARIANT_UNUSABLE */
  reports(): InvariantReport[] {
    if (this.#failure !== undefined) throw this.#failure.thrown;
    return this.#checks.end();
  }

  #look({ key, token, origin, applied }: Commit): void {
    const begins = origin === 'nothing' || typeof origin === 'object';
    if (origin === 'nothing') this.#values.delete(key);
    else if (typeof origin === 'object') this.#values.set(key, JSON.parse(origin.adopted));
    else if (origin === 'unknown') this.#checks.lose(key, false);
    if (begins && applied.length === 0) {
      this.#checks.learn({ key, line: undefined }, this.#values.get(key));
    }
    for (const [at, job] of applied.entries()) {
      const name = nameOf(token, job.jobId);
      const made = this.#made.get(name);
      if (key === (job.keys ?? [key]).at(-1)) this.#made.delete(name);
      const json = made?.json[job.keys?.indexOf(key) ?? 0];
      const after: unknown = json === undefined ? undefined : JSON.parse(json);
      if (made === undefined) this.#checks.lose(key, false);
      else if (origin === 'unknown' && at === 0)
        this.#checks.learn({ key, line: undefined }, after);
      else this.#step(key, job, after, begins && at === 0);
      this.#values.set(key, after);
    }
  }

  #step(key: string, job: AppliedJob, after: unknown, begins: boolean): void {
    const { jobId: id, name: update, sequence, attempt } = job;
    const told = { id, update, sequence, attempt, data: JSON.parse(job.data) as unknown };
    const result: unknown = job.result === '' ? undefined : JSON.parse(job.result);
    const before = this.#values.get(key);
    this.#checks.step({ key, line: undefined, job: told, before, after, result }, begins);
  }
}

function nameOf(token: number, jobId: string): string {
  return `${token} ${jobId}`;
}
