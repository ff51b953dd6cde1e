/**
 * BullMQ's `active` and the locks of the jobs in it. A lock that is not extended in time is gone, as its key in Redis
 * is, and its job counts as stalled at the second look that finds it active since the first one.
 */
import type { Clock } from '../../base/clock.ts';

interface Lock {
  readonly token: string;
  /** By Redis' monotonic clock. */
  expiresMs: number;
}

export class JobLocks {
  readonly #clock: Clock;
  readonly #lockMs: number;
  readonly #active = new Set<string>();
  readonly #locks = new Map<string, Lock>();
  /** BullMQ's `stalled`: active at the last look, and not extended since. */
  #suspects = new Set<string>();

  /** @param lockMs for which a lock holds, unless an extension says otherwise */
  constructor(clock: Clock, lockMs: number) {
    this.#clock = clock;
    this.#lockMs = lockMs;
  }

  /** Jobs that are in the hands of a worker, or that nobody has missed so far. */
  get active(): ReadonlySet<string> {
    return this.#active;
  }

  /** Whether a lock runs out, or has. */
  get mayStall(): boolean {
    for (const { expiresMs } of this.#locks.values())
      if (expiresMs < Number.POSITIVE_INFINITY) return true;
    return false;
  }

  /** Undefined: nobody holds it. */
  tokenOf(jobId: string): string | undefined {
    const lock = this.#locks.get(jobId);
    return lock !== undefined && lock.expiresMs > this.#clock.monotonicMs()
      ? lock.token
      : undefined;
  }

  lock(jobId: string, token: string): void {
    this.#active.add(jobId);
    const expiresMs = this.#clock.monotonicMs() + this.#lockMs;
    this.#locks.set(jobId, { token, expiresMs });
  }

  /** False: the lock is gone, or somebody else's by now. */
  extend(jobId: string, token: string, forMs: number = this.#lockMs): boolean {
    const lock = this.#locks.get(jobId);
    if (lock === undefined || this.tokenOf(jobId) !== token) return false;
    lock.expiresMs = this.#clock.monotonicMs() + forMs;
    this.#suspects.delete(jobId);
    return true;
  }

  /** The job is active no more. False: the lock is gone, or somebody else's by now. */
  unlock(jobId: string, token: string): boolean {
    return this.tokenOf(jobId) === token && this.drop(jobId);
  }

  /** Whoever holds it. False: it was not active. */
  drop(jobId: string): boolean {
    this.#locks.delete(jobId);
    this.#suspects.delete(jobId);
    return this.#active.delete(jobId);
  }

  /** Those that have stalled; they stay active until they are dropped. */
  look(): string[] {
    const stalled = [...this.#suspects].filter((jobId) => this.tokenOf(jobId) === undefined);
    this.#suspects = new Set(this.#active);
    return stalled;
  }
}
