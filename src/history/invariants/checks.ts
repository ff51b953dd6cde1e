/** Asking invariants, job by job: of a recording that is replayed, or of a test bed. */
import { frozenValue } from '../../updates/values/frozen-value.ts';
import { InvariantCheck } from './check.ts';
import { type AnyInvariant, checkInvariants, type InvariantStep } from './invariant.ts';
import type { InvariantPlace, InvariantReport } from './report.ts';

interface Followed {
  readonly concerned: readonly InvariantCheck[];
  /** The value is the one that the last step left. */
  isKnown: boolean;
}

const ALWAYS = (): true => true;

export class InvariantChecks {
  readonly #checks: readonly InvariantCheck[];
  readonly #keys = new Map<string, Followed>();

  /** @throws TorilError INVALID_OPTIONS */
  constructor(invariants: readonly AnyInvariant[]) {
    this.#checks = checkInvariants(invariants).map((one) => new InvariantCheck(one));
  }

  /** No total is known: to be said before the first step. */
  onlySomeKeys(): void {
    for (const check of this.#checks) check.onlySomeKeys();
  }

  /**
   * A job was applied.
   * @param step its values are frozen here
   * @param begins its `before` is not what the job before it left
   * @throws TorilError INVARIANT_UNUSABLE
   */
  step(step: InvariantStep, begins: boolean): void {
    this.#step(step, begins, ALWAYS);
  }

  /** What one job did to each of its keys: totals are asked about behind the last of these. */
  steps(steps: readonly { readonly step: InvariantStep; readonly begins: boolean }[]): void {
    const concerned = steps.map(({ step }) => this.#follow(step.key).concerned);
    for (const [at, { step, begins }] of steps.entries()) {
      const later = concerned.slice(at + 1);
      this.#step(step, begins, (check) => !later.some((checks) => checks.includes(check)));
    }
  }

  #step(step: InvariantStep, begins: boolean, isWhole: (check: InvariantCheck) => boolean): void {
    const followed = this.#follow(step.key);
    const { isKnown } = followed;
    const frozen = {
      ...step,
      before: frozenValue(step.before),
      after: frozenValue(step.after),
      result: frozenValue(step.result),
    };
    const { key, line, job } = step;
    const at = { key, line, job: { id: job.id, update: job.update } };
    for (const check of followed.concerned) {
      if (!isKnown || begins) check.begin(at, frozen.before, !isKnown);
      check.step(at, frozen, isWhole(check));
    }
    followed.isKnown = true;
  }

  /** The key's value is known, without the jobs that made it; undefined: it has none. */
  learn(at: InvariantPlace, value: unknown): void {
    const followed = this.#follow(at.key);
    for (const check of followed.concerned) {
      check.begin(at, frozenValue(value), !followed.isKnown);
    }
    followed.isKnown = true;
  }

  /** It is not known any more. @param mayMiss and nobody minds */
  lose(key: string, mayMiss: boolean): void {
    const followed = this.#follow(key);
    followed.isKnown = false;
    for (const check of followed.concerned) check.lose(key, mayMiss);
  }

  /** The first one that was found broken since this was asked, in words. */
  get news(): string | undefined {
    for (const check of this.#checks) {
      const { news } = check;
      if (news !== undefined) return news;
    }
    return undefined;
  }

  /** @throws TorilError INVARIANT_UNUSABLE */
  end(): InvariantReport[] {
    return this.#checks.map((check) => check.end());
  }

  #follow(key: string): Followed {
    let followed = this.#keys.get(key);
    if (followed === undefined) {
      const concerned = this.#checks.filter((check) => check.isAbout(key));
      this.#keys.set(key, (followed = { concerned, isKnown: false }));
    }
    return followed;
  }
}
