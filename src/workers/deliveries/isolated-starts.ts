/**
 * Jobs that were begun alone in this process, since they had stalled before, and that it has lived
 * through. Whoever is alive to speak of a job again has not died of it, and must say so: when it begins the job once
 * more, and however the delivery ends. BullMQ may have taken it for stalled meanwhile.
 */

import { ForgetfulMap } from '../../base/forgetful-map.ts';

/** Jobs remembered; forgetting one may count it as a killer. */
const JOBS_MAX = 1_000;
const NONE: readonly number[] = [];

export class IsolatedStarts {
  /** By job, the fencing tokens under which it was begun and of which nobody was told that they were survived. */
  readonly #tokens = new ForgetfulMap<string, readonly number[]>(JOBS_MAX);

  /** Returns those of earlier starts. */
  begin(jobId: string, token: number): readonly number[] {
    const survived = this.#tokens.get(jobId) ?? NONE;
    this.#tokens.set(jobId, [...survived, token]);
    return survived;
  }

  /** Redis knows that all before this one were survived. */
  told(jobId: string, token: number): void {
    this.#tokens.set(jobId, [token]);
  }

  /** Once per start: it may be begun elsewhere from now on. */
  takeOut(jobId: string): readonly number[] {
    const survived = this.#tokens.get(jobId);
    if (survived === undefined) return NONE;
    this.#tokens.delete(jobId);
    return survived;
  }
}
