/**
 * Jobs of this worker that were cancelled (`worker.cancelJob`). One whose update is being called is told by its signal;
 * one that waits for its turn fails when it comes, without being called; one that gave its slot back meanwhile, when it
 * is delivered here again.
 */
import { ForgetfulMap } from '../../base/forgetful-map.ts';
import { messageOf, TorilError } from '../../errors.ts';

/** Cancelled jobs that are remembered; of snoozed ones that never come back here, some must be forgotten. */
const JOBS_MAX = 1_000;
/** How a delivery ends without its attempt being over. */
const STILL_WAITING: ReadonlySet<string> = new Set(['snoozed', 'returned', 'superseded']);

interface Cancellation {
  readonly reason: unknown;
  /** When the job was added: an id may be used again. */
  readonly addedMs: number;
}

export class Cancellations {
  readonly #jobs = new ForgetfulMap<string, Cancellation>(JOBS_MAX);
  readonly #running = new Map<string, (reason: unknown) => void>();

  cancel(jobId: string, addedMs: number, reason: unknown): void {
    this.#jobs.set(jobId, { reason, addedMs });
    this.#running.get(jobId)?.(reason);
  }

  /** The job's update has been called, and can be told to end; undefined: no longer. */
  running(jobId: string, abort: ((reason: unknown) => void) | undefined): void {
    if (abort === undefined) this.#running.delete(jobId);
    else this.#running.set(jobId, abort);
  }

  isCancelled(jobId: string): boolean {
    return this.#jobs.size > 0 && this.#jobs.has(jobId);
  }

  /** Undefined: it is not cancelled. */
  errorFor(jobId: string): TorilError | undefined {
    const cancelled = this.#jobs.size > 0 ? this.#jobs.get(jobId) : undefined;
    return cancelled === undefined ? undefined : cancelledBefore(cancelled.reason);
  }

  /** A job comes in under this id. */
  delivered(jobId: string, addedMs: number): void {
    if (this.#jobs.size === 0) return;
    if (this.#jobs.get(jobId)?.addedMs !== addedMs) this.#jobs.delete(jobId);
  }

  /** Its attempt is over, unless it only gives its slot back. */
  settled(jobId: string, { kind }: { readonly kind: string }): void {
    if (this.#jobs.size === 0 || STILL_WAITING.has(kind)) return;
    this.#jobs.delete(jobId);
  }
}

function cancelledBefore(reason: unknown): TorilError {
  const why = reason === undefined ? '' : `: ${messageOf(reason)}`;
  return new TorilError(
    'JOB_CANCELLED',
    `the job was cancelled before its update was called${why}. The value stays as it was.`,
    { cause: reason },
  );
}
