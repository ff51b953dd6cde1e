/** BullMQ's `delayed`: the jobs that wait for a time. */
import type { Timer } from '../../base/clock.ts';
import type { DelayReason, JobRecord } from './job-record.ts';

interface Delayed {
  readonly record: JobRecord;
  readonly timer: Timer | undefined;
}

export class DelayedJobs {
  readonly #timerFor: (record: JobRecord) => Timer | undefined;
  readonly #jobs = new Map<string, Delayed>();
  /** None is due before; perhaps none is due then either. */
  #earliestMs = Number.POSITIVE_INFINITY;
  /** Those that wait for the time they were enqueued for, or for their next attempt. */
  timed = 0;

  /** @param timerFor wakes whoever delivers jobs when this one is due; undefined: they ask */
  constructor(timerFor: (record: JobRecord) => Timer | undefined) {
    this.#timerFor = timerFor;
  }

  get size(): number {
    return this.#jobs.size;
  }

  /** When the next one is due: milliseconds since 1970, or Infinity. */
  get nextDueMs(): number {
    let nextMs = Number.POSITIVE_INFINITY;
    for (const { record } of this.#jobs.values()) nextMs = Math.min(nextMs, record.job.dueMs);
    return nextMs;
  }

  add(record: JobRecord, dueMs: number, why: DelayReason): void {
    const { job } = record;
    job.state = 'delayed';
    job.dueMs = dueMs;
    record.delayedFor = why;
    if (why !== 'turn') this.timed++;
    this.#earliestMs = Math.min(this.#earliestMs, dueMs);
    this.#jobs.set(job.id, { record, timer: this.#timerFor(record) });
  }

  /** False: it was not delayed. */
  take(jobId: string): boolean {
    const delayed = this.#jobs.get(jobId);
    if (delayed === undefined) return false;
    delayed.timer?.cancel();
    this.#jobs.delete(jobId);
    if (delayed.record.delayedFor !== 'turn') this.timed--;
    return true;
  }

  /** In the order in which they are due, then in that in which they were delayed. */
  due(wallMs: number): JobRecord[] {
    if (wallMs < this.#earliestMs) return [];
    const due: JobRecord[] = [];
    this.#earliestMs = Number.POSITIVE_INFINITY;
    for (const { record } of this.#jobs.values()) {
      const { dueMs } = record.job;
      if (dueMs <= wallMs) due.push(record);
      else this.#earliestMs = Math.min(this.#earliestMs, dueMs);
    }
    return due.toSorted((a, b) => a.job.dueMs - b.job.dueMs);
  }

  /** A job that waits only for its time is due by then. */
  isTimedDueBy(wallMs: number): boolean {
    if (this.timed === 0) return false;
    for (const { record } of this.#jobs.values())
      if (record.delayedFor !== 'turn' && record.job.dueMs <= wallMs) return true;
    return false;
  }
}
