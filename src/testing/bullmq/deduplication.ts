/** BullMQ's deduplication: who stands for an id, how long, and who comes after. */
import type { Clock } from '../../base/clock.ts';
import type { JobRecord, NewJob } from './job-record.ts';

interface Standing {
  readonly record: JobRecord;
  /** Milliseconds since 1970; Infinity: until its job is done. */
  readonly untilMs: number;
}

export interface DeduplicatedJobs {
  /** It is delayed only until its turn in its lane comes. */
  isAsleep(record: JobRecord): boolean;
  /** Takes a delayed job away. */
  remove(record: JobRecord): void;
  /** A delayed job comes at that time instead. */
  reschedule(record: JobRecord, dueMs: number): void;
  /** BullMQ adds it, so it enters its lane when it is delivered. */
  addLater(job: NewJob): void;
}

export class Deduplication {
  readonly #clock: Clock;
  readonly #jobs: DeduplicatedJobs;
  readonly #standing = new Map<string, Standing>();
  /** With `keepLastIfActive`: what comes once the active one is done. */
  readonly #next = new Map<string, NewJob>();

  constructor(clock: Clock, jobs: DeduplicatedJobs) {
    this.#clock = clock;
    this.#jobs = jobs;
  }

  /** The job that stands for it already; undefined: it is to be added, with this id. */
  meet(job: NewJob, jobId: string): JobRecord | undefined {
    const { deduplication, timestamp, delay = 0 } = job.options;
    if (deduplication === undefined) return undefined;
    const { id, replace, extend, reschedule, keepLastIfActive } = deduplication;
    const standing = this.#standing.get(id);
    if (standing === undefined || standing.untilMs <= this.#clock.wallMs()) return undefined;
    const { record } = standing;
    const waitsForTime = record.job.state === 'delayed' && !this.#jobs.isAsleep(record);
    if (replace === true && waitsForTime) {
      this.#jobs.remove(record);
      this.#next.delete(id);
      return undefined;
    }
    if (keepLastIfActive === true && record.job.state === 'active') {
      this.#next.set(id, { ...job, options: { ...job.options, jobId } });
      return record;
    }
    if (extend === true) this.#stand(job, record);
    if (reschedule === true && waitsForTime) {
      this.#jobs.reschedule(record, (timestamp ?? this.#clock.wallMs()) + delay);
    }
    return record;
  }

  added(job: NewJob, record: JobRecord): void {
    if (job.options.deduplication === undefined) return;
    const { id, replace, extend } = job.options.deduplication;
    const before = this.#standing.get(id);
    // A replacement keeps the time of what it replaces.
    const isKept =
      replace === true && extend !== true && (before?.untilMs ?? 0) > this.#clock.wallMs();
    if (isKept && before !== undefined) this.#standing.set(id, { ...before, record });
    else this.#stand(job, record);
  }

  /** It is completed, or failed for good. */
  finished(record: JobRecord): void {
    const id = record.options.deduplication?.id;
    if (id === undefined) return;
    const standing = this.#standing.get(id);
    if (standing?.record === record && standing.untilMs === Number.POSITIVE_INFINITY) {
      this.#standing.delete(id);
    }
    const next = this.#next.get(id);
    if (next === undefined) return;
    this.#next.delete(id);
    this.#jobs.addLater(next);
  }

  /** Nobody stands for its id any more. */
  removed(record: JobRecord): void {
    const id = record.options.deduplication?.id;
    if (id === undefined || this.#standing.get(id)?.record !== record) return;
    this.#standing.delete(id);
    this.#next.delete(id);
  }

  #stand({ options: { deduplication } }: NewJob, record: JobRecord): void {
    if (deduplication === undefined) return;
    const { id, ttl = 0, keepLastIfActive } = deduplication;
    const isTimed = ttl > 0 && keepLastIfActive !== true;
    const untilMs = isTimed ? this.#clock.wallMs() + ttl : Number.POSITIVE_INFINITY;
    this.#standing.set(id, { record, untilMs });
  }
}
