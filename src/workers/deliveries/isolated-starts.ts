/**
 * Jobs that were begun alone in this process, since they had stalled before, and that it has lived
 * through: when it gives one back it must say so, or its next death is put down to that job.
 */

/** Jobs remembered; forgetting one may count it as a killer. */
const JOBS_MAX = 1_000;

export class IsolatedStarts {
  readonly #jobIds = new Set<string>();

  note(jobId: string): void {
    if (this.#jobIds.size >= JOBS_MAX) this.#jobIds.clear();
    this.#jobIds.add(jobId);
  }

  /** True once per start: it may be begun elsewhere from now on. */
  takeOut(jobId: string): boolean {
    return this.#jobIds.delete(jobId);
  }
}
