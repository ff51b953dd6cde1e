/** The jobs of a replay as the steps that invariants are asked about. */
import type { RecordedCommit } from '../recording/recording.ts';
import type { ReplayedJob } from '../replay/jobs/replayed-job.ts';
import { InvariantChecks } from './checks.ts';
import type { AnyInvariant } from './invariant.ts';
import type { InvariantReport } from './report.ts';

export class ReplayedSteps {
  readonly #checks: InvariantChecks;
  /** That commit began with a value of its own: `origin` says so of its first job. */
  #begun: RecordedCommit | undefined;

  /** @throws TorilError INVALID_OPTIONS */
  constructor(invariants: readonly AnyInvariant[]) {
    this.#checks = new InvariantChecks(invariants);
  }

  /** Not all keys are replayed, or were recorded. */
  onlySomeKeys(): void {
    this.#checks.onlySomeKeys();
  }

  /** One that failed, then or now, changed nothing. @throws TorilError INVARIANT_UNUSABLE */
  take({ job, failure, commit, ...told }: ReplayedJob): void {
    if (job.outcome !== undefined || failure !== undefined || job.update === undefined) return;
    const { id, update, data, sequence, attempt } = job;
    const { key, line, before, after, result } = told;
    const begins = commit.origin !== undefined && this.#begun !== commit;
    if (begins) this.#begun = commit;
    const facts = { id, update, data, sequence, attempt };
    this.#checks.step({ key, line, job: facts, before, after, result }, begins);
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
