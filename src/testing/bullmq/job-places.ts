/** Where the jobs of a played queue are that are not finished: each waits, is active or is delayed. */
import type { Clock } from '../../base/clock.ts';
import { DelayedJobs } from './delayed-jobs.ts';
import { JobLocks } from './job-locks.ts';
import type { DelayReason, JobQueueSettings, JobRecord } from './job-record.ts';
import { WaitingLine } from './waiting-line.ts';

export class JobPlaces {
  readonly #clock: Clock;
  readonly #waiting = new WaitingLine();
  readonly delayed: DelayedJobs;
  /** The active ones, and who has them. */
  readonly locks: JobLocks;
  /** Called when a job can be delivered: BullMQ's marker. */
  onWaiting: () => void = () => {};

  constructor(clock: Clock, { lockMs, atWallMs }: JobQueueSettings) {
    this.#clock = clock;
    this.locks = new JobLocks(clock, lockMs);
    this.delayed = new DelayedJobs((record) =>
      atWallMs?.(record.job.dueMs, () => this.promote(record)),
    );
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Jobs that are neither completed nor failed. */
  get unfinished(): number {
    return this.#waiting.length + this.locks.active.size + this.delayed.size;
  }

  /** A job that waits only for its time comes within so many milliseconds. */
  isDueWithin(ms: number): boolean {
    return this.delayed.isTimedDueBy(this.#clock.wallMs() + ms);
  }

  /** The end of the waiting line, or of those of its priority; `lifo`: the front, if it has none. */
  toBack(record: JobRecord, lifo = false): void {
    const { priority = 0 } = record.options;
    if (lifo && priority === 0) return this.toFront(record);
    this.#waiting.pushBack(record.job.id, priority);
    this.#waits(record, priority > 0);
  }

  /** The front, or that of those of its priority. */
  backIn(record: JobRecord): void {
    const { priority = 0 } = record.options;
    this.#waiting.pushBackIn(record.job.id, priority);
    this.#waits(record, priority > 0);
  }

  /** Before all others. */
  toFront(record: JobRecord): void {
    this.#waiting.pushFront(record.job.id);
    this.#waits(record, false);
  }

  #waits(record: JobRecord, isPrioritized: boolean): void {
    record.job.state = 'waiting';
    record.isPrioritized = isPrioritized;
    this.onWaiting();
  }

  delay(record: JobRecord, dueMs: number, why: DelayReason): void {
    this.delayed.add(record, dueMs, why);
  }

  /** Undelays it, if it is delayed. */
  promote(record: JobRecord): void {
    if (this.delayed.take(record.job.id)) this.toBack(record);
  }

  promoteDue(wallMs: number): void {
    for (const record of this.delayed.due(wallMs)) this.promote(record);
  }

  /** The next one in the line becomes active. */
  activate(lock: string): string | undefined {
    const jobId = this.#waiting.shift();
    if (jobId === undefined) return undefined;
    this.locks.lock(jobId, lock);
    if (this.#waiting.length > 0) this.onWaiting();
    return jobId;
  }

  /** False: it does not wait among those with a priority. */
  takePrioritized(jobId: string): boolean {
    return this.#waiting.takePrioritized(jobId);
  }

  /** Takes those out of the line that wait without a priority and of which `isTaken` says so. */
  takeWaiting(isTaken: (jobId: string) => boolean): string[] {
    return this.#waiting.takeIf(isTaken);
  }

  /** It is nowhere any more. */
  remove(jobId: string): void {
    this.locks.drop(jobId);
    this.delayed.take(jobId);
    this.#waiting.remove(jobId);
  }
}
