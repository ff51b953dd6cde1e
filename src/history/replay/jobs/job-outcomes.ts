/** How the jobs of a key end now, compared with then: counts, and the first few examples. */
import { type JobTrials, hasResult, type OtherResult, type Trial } from './job-trials.ts';
import type {
  CommitPlace,
  FailureExample,
  FailuresReport,
  ResultExample,
  ResultsReport,
  UntriedReason,
} from '../report.ts';

/** Examples of a kind that are kept for each key, and for all. */
const EXAMPLES_MAX = 3;

export class JobOutcomes {
  #failed = 0;
  #failAgain = 0;
  #failOtherwise = 0;
  #succeedNow = 0;
  #causedOutside = 0;
  readonly #untried: Partial<Record<UntriedReason, number>> = {};
  readonly #failures: FailureExample[] = [];
  #compared = 0;
  /** There is a result now, and none was recorded. */
  #appeared = 0;
  readonly #differing: ResultExample[] = [];
  readonly #appearing: ResultExample[] = [];
  #differ = 0;
  /** Updates whose jobs failed. */
  readonly failing: Set<string> = new Set();

  /**
   * A commit that was checked and has its hash.
   * @param then the same with the former updates, if these have shown that they are what was run
   */
  take(now: JobTrials, then: JobTrials | undefined, place: CommitPlace): void {
    this.#compared += now.same;
    for (const trial of now.failures) this.#takeFailure(trial, then, place);
    for (const other of now.others) this.#takeResult(other, then, place);
    if (then === undefined) return;
    for (const { job, now: json } of then.others) {
      const isKnown = hasResult(job) || now.others.some((one) => one.job === job);
      if (!isKnown) this.#differs({ ...place, job, expected: json, actual: undefined });
    }
  }

  /** A job of a commit that could not be checked. */
  passOver(update: string | undefined): void {
    this.#failed += 1;
    if (update !== undefined) this.failing.add(update);
    this.#untriedFor('commit-unchecked');
  }

  /** @param areRecorded results were recorded where there were any */
  isOtherwise(areRecorded: boolean): boolean {
    return this.#succeedNow > 0 || this.#differ > 0 || (areRecorded && this.#appeared > 0);
  }

  get failures(): FailuresReport | undefined {
    if (this.#failed === 0) return undefined;
    return {
      failed: this.#failed,
      failAgain: this.#failAgain,
      failOtherwise: this.#failOtherwise,
      succeedNow: this.#succeedNow,
      causedOutside: this.#causedOutside,
      untried: this.#untried,
      examples: this.#failures,
    };
  }

  results(areRecorded: boolean): ResultsReport | undefined {
    const compared = this.#compared + this.#differ + (areRecorded ? this.#appeared : 0);
    if (compared + this.#appeared === 0) return undefined;
    return {
      compared,
      differ: this.#differ + (areRecorded ? this.#appeared : 0),
      notRecorded: areRecorded ? 0 : this.#appeared,
      examples: areRecorded
        ? [...this.#differing, ...this.#appearing].slice(0, EXAMPLES_MAX)
        : this.#differing,
    };
  }

  #takeFailure(trial: Trial, then: JobTrials | undefined, place: CommitPlace): void {
    const { job } = trial;
    this.#failed += 1;
    if (job.update !== undefined) this.failing.add(job.update);
    switch (trial.kind) {
      case 'untried':
        return this.#untriedFor(trial.reason);
      case 'fails': {
        this.#failAgain += 1;
        if (isSameFailure(trial)) return;
        this.#failOtherwise += 1;
        const { code, message } = trial;
        return keep(this.#failures, { ...place, job, now: { code, message } });
      }
      case 'succeeds': {
        const former = then?.failures.find((one) => one.job === job);
        if (former?.kind === 'succeeds') {
          this.#causedOutside += 1;
          return;
        }
        this.#succeedNow += 1;
        return keep(this.#failures, { ...place, job, now: undefined });
      }
    }
  }

  #takeResult({ job, now }: OtherResult, then: JobTrials | undefined, place: CommitPlace): void {
    const shown = now === '' ? undefined : now;
    if (hasResult(job)) {
      const { result } = job;
      const recorded = result === undefined ? undefined : JSON.stringify(result);
      return this.#differs({ ...place, job, expected: recorded, actual: shown });
    }
    if (then === undefined) {
      this.#appeared += 1;
      return keep(this.#appearing, { ...place, job, expected: undefined, actual: shown });
    }
    const former = then.others.find((one) => one.job === job)?.now;
    if (former === now) this.#compared += 1;
    else this.#differs({ ...place, job, expected: former, actual: shown });
  }

  #differs(example: ResultExample): void {
    this.#differ += 1;
    keep(this.#differing, example);
  }

  #untriedFor(reason: UntriedReason): void {
    this.#untried[reason] = (this.#untried[reason] ?? 0) + 1;
  }
}

/** A masked recording does not have the message. */
function isSameFailure({ job, code, message }: Extract<Trial, { kind: 'fails' }>): boolean {
  const { outcome } = job;
  if (outcome?.kind !== 'failed') return true;
  return outcome.code === code && ['', message].includes(outcome.message);
}

function keep<T>(examples: T[], example: T): void {
  if (examples.length < EXAMPLES_MAX) examples.push(example);
}

/** Of all keys together. */
export function allFailures(
  reports: readonly (FailuresReport | undefined)[],
): FailuresReport | undefined {
  const some = reports.filter((report) => report !== undefined);
  if (some.length === 0) return undefined;
  return {
    failed: sum(some, ({ failed }) => failed),
    failAgain: sum(some, ({ failAgain }) => failAgain),
    failOtherwise: sum(some, ({ failOtherwise }) => failOtherwise),
    succeedNow: sum(some, ({ succeedNow }) => succeedNow),
    causedOutside: sum(some, ({ causedOutside }) => causedOutside),
    untried: sumCounts(some.map(({ untried }) => untried)),
    examples: some.flatMap(({ examples }) => examples).slice(0, EXAMPLES_MAX),
  };
}

export function allResults(
  reports: readonly (ResultsReport | undefined)[],
): ResultsReport | undefined {
  const some = reports.filter((report) => report !== undefined);
  if (some.length === 0) return undefined;
  return {
    compared: sum(some, ({ compared }) => compared),
    differ: sum(some, ({ differ }) => differ),
    notRecorded: sum(some, ({ notRecorded }) => notRecorded),
    examples: some.flatMap(({ examples }) => examples).slice(0, EXAMPLES_MAX),
  };
}

function sum<T>(reports: readonly T[], countOf: (report: T) => number): number {
  return reports.reduce((total, report) => total + countOf(report), 0);
}

export function sumCounts<Name extends string>(
  counts: readonly Readonly<Partial<Record<Name, number>>>[],
): Partial<Record<Name, number>> {
  const total: Partial<Record<Name, number>> = {};
  for (const each of counts) {
    for (const [name, count] of Object.entries(each) as [Name, number][]) {
      total[name] = (total[name] ?? 0) + count;
    }
  }
  return total;
}
