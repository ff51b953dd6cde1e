/**
 * What the workers of a test bed do in BullMQ besides working: they renew the locks of the jobs that they have while they
 * run, and look for stalled ones at whole multiples of an interval. Renewing is not played: a lock holds as long as its
 * worker runs, and for `lockMs` after that.
 */
import type { Clock, Timer } from '../../base/clock.ts';
import type { JobQueue } from '../bullmq/job-queue.ts';

export interface UpkeepOptions {
  readonly clock: Clock;
  readonly queue: JobQueue;
  /** Milliseconds after which a frozen or dead worker's locks are gone, */
  readonly lockMs: number;
  /** and between two looks for stalled jobs. */
  readonly stalledCheckMs: number;
  /** Whether a worker runs that would look. */
  readonly isWatched: () => boolean;
}

export class Upkeep {
  readonly #options: UpkeepOptions;
  #look: Timer | undefined;
  #delivered = 0;

  constructor(options: UpkeepOptions) {
    this.#options = options;
  }

  /** For a delivery to this worker, which runs. */
  tokenFor(worker: string): string {
    return `${worker}:${++this.#delivered}`;
  }

  delivered(jobId: string, token: string): void {
    this.#options.queue.delivered.extend(new Map([[jobId, token]]), Number.POSITIVE_INFINITY);
  }

  /** Undefined: nobody has the job, or its lock is gone. */
  workerOf(jobId: string): string | undefined {
    return workerOf(this.#options.queue.places.locks.tokenOf(jobId));
  }

  /** A worker is frozen or dead: it renews no locks. */
  workerLost(worker: string): void {
    this.#extend(worker, this.#options.lockMs);
    this.#lookSoon();
  }

  /** It runs again, and renews what is still its own. */
  workerBack(worker: string): void {
    this.#extend(worker, Number.POSITIVE_INFINITY);
  }

  #extend(worker: string, forMs: number): void {
    const { queue } = this.#options;
    const { locks } = queue.places;
    const held = [...locks.active].flatMap((jobId): [string, string][] => {
      const token = locks.tokenOf(jobId);
      return token !== undefined && workerOf(token) === worker ? [[jobId, token]] : [];
    });
    queue.delivered.extend(new Map(held), forMs);
  }

  #lookSoon(): void {
    const { clock, queue, stalledCheckMs, isWatched } = this.#options;
    if (this.#look !== undefined || !queue.places.locks.mayStall) return;
    const nowMs = clock.monotonicMs();
    const dueMs = (Math.floor(nowMs / stalledCheckMs) + 1) * stalledCheckMs;
    this.#look = clock.after(dueMs - nowMs, () => {
      this.#look = undefined;
      if (isWatched()) queue.delivered.lookForStalled();
      this.#lookSoon();
    });
  }
}

function workerOf(token: string | undefined): string | undefined {
  return token?.slice(0, token.lastIndexOf(':'));
}
