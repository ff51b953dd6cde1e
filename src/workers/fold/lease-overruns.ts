/**
 * Updates that blocked their process for longer than their lease, so that it could not be renewed:
 * nothing of them can be committed, and they would be tried for ever.
 */
import { ForgetfulMap } from '../../base/forgetful-map.ts';

/** Times in a row. One may be a process that was frozen just then. */
const TIMES_MAX = 3;
/** Jobs remembered; forgetting them costs some more tries. */
const JOBS_MAX = 1_000;

export class LeaseOverruns {
  readonly #jobs = new ForgetfulMap<string, { readonly times: number; readonly tookMs: number }>(
    JOBS_MAX,
  );

  note(jobId: string, tookMs: number): void {
    this.#jobs.set(jobId, { times: (this.#jobs.get(jobId)?.times ?? 0) + 1, tookMs });
  }

  /** It has blocked its process, or was under way while somebody else did. */
  isSuspect(jobId: string): boolean {
    return this.#jobs.size > 0 && this.#jobs.has(jobId);
  }

  /** Milliseconds that it took the last time, if it has blocked too often to be tried once more. */
  givenUp(jobId: string): number | undefined {
    const blocked = this.#jobs.get(jobId);
    return blocked !== undefined && blocked.times >= TIMES_MAX ? blocked.tookMs : undefined;
  }

  forget(jobId: string): void {
    if (this.#jobs.size > 0) this.#jobs.delete(jobId);
  }
}
