/**
 * BullMQ, played: adding jobs, and what others than their workers say of them; delivered-jobs.ts has the rest. The test
 * bed and the simulation run on it, and test/conformance/played-bullmq.test.ts holds it against BullMQ itself. The jobs
 * are in MemoryJobs, as in Redis. A method is one of BullMQ's scripts (its name stands above it) with what Toril does in
 * the same step, and runs at once. Left out: flows, schedulers, rate limits.
 */
import type { Clock } from '../../base/clock.ts';
import type { MemoryJobs } from '../../jobs/memory/memory-jobs.ts';
import type { MemoryJob } from '../../jobs/memory/memory-job.ts';
import { Deduplication } from './deduplication.ts';
import { DeliveredJobs } from './delivered-jobs.ts';
import { JobPlaces } from './job-places.ts';
import type { JobListener, JobQueueSettings, JobRecord, NewJob } from './job-record.ts';
import { JobRecords } from './job-records.ts';

export class JobQueue {
  readonly #jobs: MemoryJobs;
  readonly #clock: Clock;
  readonly #records = new JobRecords();
  readonly #deduplication: Deduplication;
  /** Where those are that are not finished. */
  readonly places: JobPlaces;
  /** What workers say of the jobs that are delivered to them. */
  readonly delivered: DeliveredJobs;

  /** @param clock of the Redis server */
  constructor(jobs: MemoryJobs, clock: Clock, settings: JobQueueSettings) {
    this.#jobs = jobs;
    this.#clock = clock;
    this.places = new JobPlaces(clock, settings);
    this.#deduplication = new Deduplication(clock, {
      addLater: (job) => void this.add({ ...job, enters: false }),
      isAsleep: ({ job }) => waitsForTurn(job) && jobs.isInLane(job.id),
      remove: (record) => this.#forget(record),
      reschedule: (record, dueMs) => {
        this.places.delayed.take(record.job.id);
        this.places.delay(record, dueMs, 'delay');
      },
    });
    this.delivered = new DeliveredJobs({
      ...{ jobs, clock, settings, records: this.#records },
      ...{ places: this.places, deduplication: this.#deduplication },
    });
    jobs.promote = (jobId) => this.promote(jobId);
  }

  /** The last job of that id, also if it is removed. */
  record(jobId: string): JobRecord | undefined {
    return this.#records.get(jobId);
  }

  /** In the order in which they were enqueued. */
  records(): readonly JobRecord[] {
    return this.#records.all();
  }

  listen(listener: JobListener): void {
    this.#records.listen(listener);
  }

  // Adding

  /**
   * addStandardJob, addDelayedJob, addPrioritizedJob. Returns the record that was there, if the id is taken or another
   * job stands for this one.
   */
  add(added: NewJob): JobRecord {
    const { name, data, key, options } = added;
    const nextId = this.#jobs.nextId(); // used up by whatever is added, or not
    // An empty id is none to BullMQ.
    const id = options.jobId || nextId;
    const known = this.#records.get(id);
    if (known !== undefined && !known.isRemoved) return known;
    const standing = this.#deduplication.meet(added, id);
    if (standing !== undefined) return standing;
    const { delay = 0, timestamp = this.#clock.wallMs() } = options;
    const isDelayed = delay > 0;
    const enters = !isDelayed && added.enters !== false;
    const job = this.#jobs.add({
      name,
      data,
      id,
      ...(isDelayed && { dueMs: timestamp + delay }),
      ...(enters && { lane: added.keys ?? key }),
    }) as MemoryJob;
    const record = this.#records.make(added, job, timestamp, id !== nextId);
    this.#deduplication.added(added, record);
    this.#records.tell('added', record, enters);
    if (isDelayed) this.places.delay(record, timestamp + delay, 'delay');
    else this.places.toBack(record, options.lifo);
    return record;
  }

  // What others say of jobs

  /** promote. */
  promote(jobId: string): void {
    const record = this.#records.get(jobId);
    if (record !== undefined) this.places.promote(record);
  }

  /** torilDeliverNext: before all others, unless it waits out its backoff. */
  deliverNext(jobId: string): void {
    const record = this.#records.get(jobId);
    if (record === undefined) return;
    const isUndelayed = waitsForTurn(record.job) && this.places.delayed.take(jobId);
    if (isUndelayed || this.places.takePrioritized(jobId)) this.places.toFront(record);
  }

  /** WAKE_LUA: what was before it in its lane is gone. */
  wake(jobId: string): void {
    const record = this.#records.get(jobId);
    if (record?.delayedFor === 'turn') this.places.promote(record);
    else if (record?.job.state === 'active') record.isWoken = true;
  }

  /** torilSnoozeAhead, torilScheduleSnoozed: jobs that would be delivered next, but not their lane's first, are delayed. */
  snoozeAhead(key: string, perRankMs: number, atLeastMs: number, atMostMs: number): void {
    const { head } = this.#jobs.inspect(key, Number.POSITIVE_INFINITY);
    const ranks = new Map(head.map(({ jobId }, rank) => [jobId, rank]));
    const nowMs = this.#clock.wallMs();
    for (const jobId of this.places.takeWaiting((waiting) => (ranks.get(waiting) ?? 0) > 0)) {
      const record = this.#records.get(jobId) as JobRecord;
      const rank = ranks.get(jobId) ?? 0;
      const delayMs = Math.max(rank * perRankMs, atLeastMs);
      const share = (1 + ((rank * 7919) % 1000) / 1000) / 2;
      record.job.snoozedAtAttempt = record.job.attemptsMade;
      const spreadMs = delayMs > atMostMs ? atMostMs * share : delayMs;
      this.places.delay(record, nowMs + Math.ceil(spreadMs), 'turn');
    }
  }

  /** reprocessJob: an operator retries a failed job. */
  reprocess(jobId: string): boolean {
    const record = this.#records.get(jobId);
    if (record?.job.state !== 'failed' || record.isRemoved) return false;
    record.job.finishedOn = undefined;
    record.job.failedReason = undefined;
    this.#records.tell('reprocessed', record);
    this.places.toBack(record, record.options.lifo);
    return true;
  }

  /** TorilBackend.remove: refused while it is locked, or may be in the value already. */
  remove(jobId: string): boolean {
    const record = this.#records.get(jobId);
    if (record === undefined || record.isRemoved) return false;
    const isLocked = this.places.locks.tokenOf(jobId) !== undefined;
    if (isLocked || this.#jobs.mayBeApplied(jobId)) return false;
    this.#forget(record);
    this.#deduplication.removed(record);
    this.#records.tell('removed', record);
    return true;
  }

  get isPaused(): boolean {
    return this.#jobs.paused;
  }

  setPaused(paused: boolean): void {
    this.#jobs.paused = paused;
    if (!paused && this.places.waiting > 0) this.places.onWaiting();
  }

  #forget(record: JobRecord): void {
    const { id } = record.job;
    this.places.remove(id);
    record.isRemoved = true;
    this.#jobs.remove(id);
    this.#records.forget(record);
  }
}

/** It does not wait for its backoff: it was not tried yet, or has given its slot back since. */
function waitsForTurn({ attemptsMade, snoozedAtAttempt }: MemoryJob): boolean {
  return attemptsMade === 0 || attemptsMade === snoozedAtAttempt;
}
