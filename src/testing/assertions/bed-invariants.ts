/** Invariants on a test bed: asked of each job as its commit is acknowledged, with the values that the workers made. */
import { InvariantChecks } from '../../history/invariants/checks.ts';
import type { AnyInvariant, InvariantStep } from '../../history/invariants/invariant.ts';
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
  /** Of a commit of several keys, which come one after the other. */
  readonly #parts: Commit[] = [];
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

  #look(commit: Commit): void {
    const { key, keys, origin, applied } = commit;
    const begins = origin === 'nothing' || typeof origin === 'object';
    if (origin === 'nothing') this.#values.delete(key);
    else if (typeof origin === 'object') this.#values.set(key, JSON.parse(origin.adopted));
    else if (origin === 'unknown') this.#checks.lose(key, false);
    if (begins && applied.length === 0) {
      this.#checks.learn({ key, line: undefined }, this.#values.get(key));
    }
    this.#parts.push(commit);
    if (keys !== undefined && key !== keys.at(-1)) return;
    // The jobs of several keys are looked at once all these are known: a total holds for them together.
    const parts = this.#parts.splice(0);
    const jobs = new Map(
      parts.flatMap((part) => part.applied.map((job) => [job.jobId, job] as const)),
    );
    const inOrder = [...jobs.values()].toSorted((one, other) => one.sequence - other.sequence);
    for (const job of inOrder) this.#took(job, parts);
  }

  #took(job: AppliedJob, parts: readonly Commit[]): void {
    const { token, key: only } = parts[0] as Commit;
    const name = nameOf(token, job.jobId);
    const made = this.#made.get(name);
    this.#made.delete(name);
    const { jobId: id, name: update, sequence, attempt } = job;
    const told = { id, update, sequence, attempt, data: JSON.parse(job.data) as unknown };
    const result: unknown = job.result === '' ? undefined : JSON.parse(job.result);
    const steps: { readonly step: InvariantStep; readonly begins: boolean }[] = [];
    for (const [at, key] of (job.keys ?? [only]).entries()) {
      const part = parts.find((one) => one.key === key) as Commit;
      const isFirst = part.applied[0] === job;
      const json = made?.json[at];
      const after: unknown = json === undefined ? undefined : JSON.parse(json);
      const before = this.#values.get(key);
      this.#values.set(key, after);
      const { origin } = part;
      if (made === undefined) this.#checks.lose(key, false);
      else if (origin === 'unknown' && isFirst) this.#checks.learn({ key, line: undefined }, after);
      else {
        const begins = isFirst && (origin === 'nothing' || typeof origin === 'object');
        const keys = job.keys && { keys: job.keys };
        const step = { key, ...keys, line: undefined, job: told, before, after, result };
        steps.push({ step, begins });
      }
    }
    this.#checks.steps(steps);
  }
}

function nameOf(token: number, jobId: string): string {
  return `${token} ${jobId}`;
}
