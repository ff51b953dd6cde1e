/**
 * Jobs that were begun alone in this process, since they had stalled before, and that it has lived
 * through. Whoever is alive to speak of a job again has not died of it, and must say so: when it begins the job once
 * more, and however the delivery ends. BullMQ may have taken it for stalled meanwhile.
 *
 * It says so again each time, until it knows that Redis has heard it. What is told at the end of a delivery may be refused
 * for a while and is repeated, and the job may be back here before that (simulation, seed 10610).
 */

import { ForgetfulMap } from '../../base/forgetful-map.ts';

/** Jobs remembered; forgetting one may count it as a killer. */
const JOBS_MAX = 1_000;
/** Starts remembered of one job, while Redis answers none of them. */
const STARTS_MAX = 100;
const NONE: readonly number[] = [];

export class IsolatedStarts {
  /** By job, the fencing tokens under which it was begun, as far as Redis may not know that they were survived. */
  readonly #tokens = new ForgetfulMap<string, readonly number[]>(JOBS_MAX);

  /** Returns those of earlier starts. */
  begin(jobId: string, token: number): readonly number[] {
    const survived = this.survivedOf(jobId);
    this.#tokens.set(jobId, [...survived, token].slice(-STARTS_MAX));
    return survived;
  }

  /** Redis knows that all before this one were survived. */
  told(jobId: string, token: number): void {
    this.#tokens.set(jobId, [token]);
  }

  survivedOf(jobId: string): readonly number[] {
    return this.#tokens.get(jobId) ?? NONE;
  }

  /** The job is decided, and begun nowhere any more. */
  forget(jobId: string): void {
    this.#tokens.delete(jobId);
  }
}
