/**
 * The locks of delivered jobs, and the search for stalled ones. A worker renews its locks while it
 * runs; one that is frozen or dead does not, and `lockMs` later, at the next look, they are gone.
 */
import type { Clock, Timer } from '../../base/clock.ts';

export interface JobLockSettings {
  /** Milliseconds after which a frozen or dead worker's jobs count as stalled, */
  readonly lockMs: number;
  /** and between two looks for them. */
  readonly stalledCheckMs: number;
}

interface Lock {
  readonly id: string;
  readonly worker: string;
  /** Infinity while its worker renews it. */
  expiresMs: number;
}

export class JobLocks {
  readonly #clock: Clock;
  readonly #settings: JobLockSettings;
  readonly #locks = new Map<string, Lock>();
  readonly #onStalled: (jobId: string) => void;
  #check: Timer | undefined;
  #count = 0;
  /** Whether a worker runs that would look for stalled jobs. */
  isWatched: () => boolean = () => true;

  constructor(clock: Clock, settings: JobLockSettings, onStalled: (jobId: string) => void) {
    this.#clock = clock;
    this.#settings = settings;
    this.#onStalled = onStalled;
  }

  /** Jobs that are in the hands of a worker. */
  get size(): number {
    return this.#locks.size;
  }

  workerOf(jobId: string): string | undefined {
    return this.#locks.get(jobId)?.worker;
  }

  lock(jobId: string, worker: string): string {
    const id = `${worker}:${++this.#count}`;
    this.#locks.set(jobId, { id, worker, expiresMs: Number.POSITIVE_INFINITY });
    return id;
  }

  /** False: the lock is somebody else's by now, or nobody's. */
  unlock(jobId: string, id: string): boolean {
    return this.#locks.get(jobId)?.id === id && this.#locks.delete(jobId);
  }

  /** False: the job was in nobody's hands. */
  drop(jobId: string): boolean {
    return this.#locks.delete(jobId);
  }

  /** A worker is frozen or dead: it renews no locks. */
  workerLost(worker: string): void {
    const expiresMs = this.#clock.monotonicMs() + this.#settings.lockMs;
    for (const lock of this.#locks.values()) {
      if (lock.worker === worker) lock.expiresMs = expiresMs;
    }
    this.#watch();
  }

  /** It runs again, and renews what is still its own. */
  workerBack(worker: string): void {
    for (const lock of this.#locks.values()) {
      if (lock.worker === worker) lock.expiresMs = Number.POSITIVE_INFINITY;
    }
  }

  /** moveStalledJobsToWait, at whole multiples of the interval. */
  #watch(): void {
    if (this.#check !== undefined) return;
    const expiries = [...this.#locks.values()].map(({ expiresMs }) => expiresMs);
    const earliestMs = Math.min(Number.POSITIVE_INFINITY, ...expiries);
    if (earliestMs === Number.POSITIVE_INFINITY) return;
    const { stalledCheckMs } = this.#settings;
    const nowMs = this.#clock.monotonicMs();
    const dueMs = Math.ceil(Math.max(earliestMs, nowMs + 1) / stalledCheckMs) * stalledCheckMs;
    this.#check = this.#clock.after(dueMs - nowMs, () => {
      this.#check = undefined;
      if (this.isWatched()) this.#look();
      this.#watch();
    });
  }

  #look(): void {
    const nowMs = this.#clock.monotonicMs();
    const stalled = [...this.#locks].filter(([, { expiresMs }]) => expiresMs <= nowMs);
    for (const [jobId] of stalled) this.#onStalled(jobId);
  }
}
