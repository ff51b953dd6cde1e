/** How fast jobs are applied, and so how many of them are worth being taken at a time. */
import type { TorilWorkerOptions } from '../../options.ts';
import { SLOW_PACE_MS } from '../waiting/snoozing.ts';

/** How much a new measurement counts. */
const PACE_WEIGHT = 0.2;
/** Jobs to take while nothing is known: taking 500 keeps Redis and this process busy for 3 ms. */
const FIRST_JOBS = 64;
/** Jobs that are taken at least while they are slow, and how many times what the pace allows: it may get faster. */
const SLOW_JOBS_MIN = 16;
const SLOW_JOBS_FACTOR = 2;

export class Pace {
  /** Milliseconds per job, smoothed; 0: not known yet. */
  ms: number = 0;

  /**
   * Jobs to take for the next batch: of a slow key not many more than fit into its time. With one job
   * per 100 ms, taking 500 each time kept Redis busy for 2 ms, and the jobs of all other keys waiting.
   */
  jobsToTake({
    batchJobsMax,
    batchMs,
  }: Pick<TorilWorkerOptions, 'batchJobsMax' | 'batchMs'>): number {
    if (this.ms === 0) return Math.min(batchJobsMax, FIRST_JOBS);
    if (this.ms < SLOW_PACE_MS) return batchJobsMax;
    const inTime = Math.ceil((SLOW_JOBS_FACTOR * batchMs) / this.ms);
    return Math.min(batchJobsMax, Math.max(SLOW_JOBS_MIN, inTime));
  }

  measured(jobs: number, elapsedMs: number): void {
    const pace = elapsedMs / jobs;
    this.ms = this.ms === 0 ? pace : this.ms + PACE_WEIGHT * (pace - this.ms);
  }
}
