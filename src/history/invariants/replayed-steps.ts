/** The jobs of a replay as the steps that invariants are asked about. */
import type { RecordedCommit } from '../recording/recording.ts';
import type { ReplayedJob } from '../replay/jobs/replayed-job.ts';
import { InvariantChecks } from './checks.ts';
import type { AnyInvariant } from './invariant.ts';
import type { InvariantReport } from './report.ts';

export class ReplayedSteps {
  readonly #checks: InvariantChecks;
  /** These commits began with a value of their own: `origin` says so of their first job. */
  readonly #begun = new WeakSet<RecordedCommit>();

  /** @throws TorilError INVALID_OPTIONS */
  constructor(invariants: readonly AnyInvariant[]) {
    this.#checks = new InvariantChecks(invariants);
  }

  /** Not all keys are replayed, or were recorded. */
  onlySomeKeys(): void {
    this.#checks.onlySomeKeys();
  }

  /** One that failed, then or now, changed nothing. @throws TorilError INVARIANT_UNUSABLE */
  take({ job, failure, commit, parts, ...told }: ReplayedJob): void {
    if (job.outcome !== undefined || failure !== undefined || job.update === undefined) return;
    const { id, update, data, sequence, attempt } = job;
    const { key, keys, line, before, after, result } = told;
    const facts = { line, job: { id, update, data, sequence, attempt }, result };
    if (keys === undefined || parts === undefined) {
      this.#checks.step({ ...facts, key, before, after }, this.#begins(commit));
      return;
    }
    const [starts, ends] = [before as readonly unknown[], after as readonly unknown[]];
    this.#checks.steps(
      keys.map((one, at) => {
        const part = parts.find((its) => its.key === one) ?? commit;
        const step = { ...facts, key: one, keys, before: starts[at], after: ends[at] };
        return { step, begins: this.#begins(part) };
      }),
    );
  }

  /** Once for each commit. */
  #begins(commit: RecordedCommit): boolean {
    if (commit.origin === undefined || this.#begun.has(commit)) return false;
    this.#begun.add(commit);
    return true;
  }

  /** The commit was not folded, but its value is recorded: JSON; undefined: none. @throws TorilError INVARIANT_UNUSABLE */
  learn(key: string, line: number, json: string | undefined): void {
    this.#checks.learn({ key, line }, json === undefined ? undefined : JSON.parse(json));
  }

  /** It was not folded, or not to what was recorded. @param mayMiss it may stay unchecked */
  lose(key: string, mayMiss: boolean): void {
    this.#checks.lose(key, mayMiss);
  }

  /** @throws TorilError INVARIANT_UNUSABLE */
  end(): InvariantReport[] {
    return this.#checks.end();
  }
}
