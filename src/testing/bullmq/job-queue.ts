/**
 * BullMQ, played: which job is delivered to whom, and what becomes of it. The test bed and the simulation run on it, and
 * test/conformance/played-bullmq.test.ts holds it against BullMQ itself. The jobs are in MemoryJobs, as in Redis. A
 * method is one of BullMQ's scripts (its name stands above it) with what Toril does in the same step, and runs at once.
 * Left out: flows, schedulers, rate limits.
 */
import type { Clock } from '../../base/clock.ts';
import { type MemoryJob, type MemoryJobs, NEVER_ALONE } from '../../jobs/memory/memory-jobs.ts';
import { Deduplication } from './deduplication.ts';
import { isRemoved } from './job-options.ts';
import { JobPlaces } from './job-places.ts';
import type {
  Answer,
  JobListener,
  JobQueueSettings,
  JobRecord,
  NewJob,
  PlayedDelivery,
} from './job-record.ts';

interface Failing {
  readonly survived?: readonly number[];
  readonly why?: 'holds' | 'left' | undefined;
}

interface Retrying {
  readonly survived?: readonly number[];
  /** Milliseconds since 1970, by Redis' clock as far as the worker knows it. */
  readonly wallMs?: number;
}

interface GivingBack {
  readonly survived?: readonly number[];
  readonly begun?: boolean;
}

export class JobQueue {
  readonly #jobs: MemoryJobs;
  readonly #clock: Clock;
  readonly #settings: JobQueueSettings;
  /** By id, the last one that has it. */
  readonly #records = new Map<string, JobRecord>();
  readonly #all = new Set<JobRecord>();
  readonly #generations = new Map<string, number>();
  readonly #deduplication: Deduplication;
  readonly #listeners: JobListener[] = [];
  /** Where those are that are not finished. */
  readonly places: JobPlaces;
  /** Those that are taken for stalled as soon as they are delivered. */
  readonly #duplicates = new Set<string>();
  #nextLookMs = 0;

  /** @param clock of the Redis server */
  constructor(jobs: MemoryJobs, clock: Clock, settings: JobQueueSettings) {
    this.#jobs = jobs;
    this.#clock = clock;
    this.#settings = settings;
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
    jobs.promote = (jobId) => this.promote(jobId);
  }

  /** The last job of that id, also if it is removed. */
  record(jobId: string): JobRecord | undefined {
    return this.#records.get(jobId);
  }

  /** In the order in which they were enqueued. */
  records(): readonly JobRecord[] {
    return [...this.#all];
  }

  listen(listener: JobListener): void {
    this.#listeners.push(listener);
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
      ...(enters && { lane: key }),
    }) as MemoryJob;
    const record: JobRecord = {
      job,
      key,
      options,
      generation: this.#generationOf(id, id !== nextId),
      timestamp,
      isRemoved: false,
      isPrioritized: false,
      deliveries: 0,
      delayedFor: undefined,
      error: undefined,
      result: '',
      logs: [],
      lastOutcome: '',
    };
    this.#records.set(job.id, record);
    this.#all.add(record);
    this.#deduplication.added(added, record);
    for (const listener of this.#listeners) listener.added?.(record, enters);
    if (isDelayed) this.places.delay(record, timestamp + delay, 'delay');
    else this.places.toBack(record, options.lifo);
    return record;
  }

  /** Only an id of its user's may be used again. */
  #generationOf(jobId: string, isOwn: boolean): number {
    if (!isOwn) return 1;
    const generation = (this.#generations.get(jobId) ?? 0) + 1;
    this.#generations.set(jobId, generation);
    return generation;
  }

  // Delivering, and what workers say of a delivered job

  /** moveToActive. @param wallMs by Redis' clock, as far as the worker knows it */
  fetch(lock: string, wallMs: number = this.#clock.wallMs()): PlayedDelivery | undefined {
    this.places.promoteDue(wallMs);
    if (this.#jobs.paused) return undefined;
    const jobId = this.places.activate(lock);
    const record = jobId === undefined ? undefined : this.#records.get(jobId);
    if (record === undefined) return undefined;
    const { job, options } = record;
    job.state = 'active';
    record.deliveries += 1;
    for (const listener of this.#listeners) listener.delivered?.(record, lock);
    record.delayedFor = undefined;
    const { id, name, data, attemptsMade, stalls, outcome, entered } = job;
    if (this.#duplicates.delete(id)) this.stall(id);
    const { attempts = 1 } = options;
    return {
      ...{ jobId: id, lock, name, attemptsMade, stalls, outcome },
      data: JSON.parse(data) as unknown,
      addedMs: record.timestamp,
      deliveries: record.deliveries,
      lane: entered?.key ?? '',
      completion: undefined,
      isLastAttempt: () => attemptsMade + 1 >= attempts,
    };
  }

  /** moveToFinished, as completed. */
  complete(jobId: string, lock: string, result: string): Answer {
    const record = this.#records.get(jobId);
    if (record === undefined) return 'missing lock';
    const { removeOnComplete } = { ...this.#settings, ...record.options };
    const isGone = isRemoved(removeOnComplete);
    if (this.#hear(jobId, lock) === undefined) {
      // Said once more, since the answer was lost, or by somebody whose job was taken over and completed.
      const isDone = record.isRemoved ? isGone : record.job.state === 'completed';
      return isDone ? 'done' : 'missing lock';
    }
    record.job.attemptsMade += 1;
    record.result = result;
    record.error = undefined;
    this.#finish(record, 'completed', isGone);
    return 'done';
  }

  /**
   * moveToFinished, as failed, with what bull-backend.ts adds: a job that `holds` its lane stays whatever
   * `removeOnFail` says, and one that has `left` it so forgets its outcome.
   */
  fail(jobId: string, lock: string, error: Error, { survived, why }: Failing = {}): Answer {
    const record = this.#hear(jobId, lock, survived);
    if (record === undefined) return 'missing lock';
    const { job } = record;
    job.attemptsMade += 1;
    job.failedReason = error.message;
    job.alone = NEVER_ALONE;
    job.directive = '';
    record.error = error;
    const { removeOnFail } = { ...this.#settings, ...record.options };
    this.#finish(record, 'failed', why !== 'holds' && isRemoved(removeOnFail));
    if (why === 'left') job.outcome = '';
    return 'done';
  }

  /** retryJob (which looks for delayed jobs first), or moveToDelayed: an attempt is charged. */
  retry(
    jobId: string,
    lock: string,
    error: Error,
    backoffMs: number,
    { survived, wallMs = this.#clock.wallMs() }: Retrying = {},
  ): Answer {
    if (backoffMs <= 0) this.places.promoteDue(wallMs);
    const record = this.#hear(jobId, lock, survived);
    if (record === undefined) return 'missing lock';
    record.job.attemptsMade += 1;
    record.job.failedReason = error.message;
    record.error = error;
    for (const listener of this.#listeners) listener.retried?.(record);
    if (backoffMs > 0) this.places.delay(record, wallMs + backoffMs, 'backoff');
    else this.places.toBack(record, record.options.lifo);
    return 'done';
  }

  /** torilSnooze: the job gives its slot back for a while, without an attempt, unless it was decided just now. */
  snooze(jobId: string, lock: string, dueMs: number, survived?: readonly number[]): Answer {
    const record = this.#hear(jobId, lock, survived);
    if (record === undefined) return 'missing lock';
    record.job.snoozedAtAttempt = record.job.attemptsMade;
    this.places.delay(record, dueMs, 'turn');
    if (record.job.outcome !== '') this.promote(jobId);
    return 'done';
  }

  /** torilGiveBack. `begun`: else it was fetched ahead, and nobody has begun to work on it. */
  giveBack(jobId: string, lock: string, { survived, begun = true }: GivingBack = {}): Answer {
    const record = begun ? this.#hear(jobId, lock, survived) : this.#unlock(jobId, lock);
    if (record === undefined) return 'missing lock';
    if (!begun) record.deliveries -= 1;
    this.places.backIn(record);
    return 'done';
  }

  /** extendLocks. @param locks tokens by job id */
  extend(locks: ReadonlyMap<string, string>, forMs?: number): void {
    for (const [jobId, token] of locks) this.places.locks.extend(jobId, token, forMs);
  }

  /** moveStalledJobsToWait; whoever asks again within `everyMs` is not heard. */
  lookForStalled(everyMs = 0): void {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs < this.#nextLookMs) return;
    this.#nextLookMs = nowMs + everyMs;
    for (const jobId of this.places.locks.look()) this.stall(jobId);
  }

  /** What BullMQ does with a job whose lock is gone; also a fault: the lock is lost too early. */
  stall(jobId: string): void {
    const record = this.#records.get(jobId);
    if (record === undefined || !this.places.locks.drop(jobId)) return;
    record.job.stalls += 1;
    for (const listener of this.#listeners) listener.stalled?.(record);
    this.places.toFront(record);
  }

  /** A fault: as if a replica had taken Redis' place that has not seen the job's delivery. It is delivered again. */
  forgetDelivery(jobId: string): void {
    const record = this.#records.get(jobId);
    if (record !== undefined && this.places.locks.drop(jobId)) this.places.toFront(record);
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
    for (const listener of this.#listeners) listener.reprocessed?.(record);
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
    for (const listener of this.#listeners) listener.removed?.(record);
    return true;
  }

  get isPaused(): boolean {
    return this.#jobs.paused;
  }

  setPaused(paused: boolean): void {
    this.#jobs.paused = paused;
    if (!paused && this.places.waiting > 0) this.places.onWaiting();
  }

  /** One more delivery than there should be, whatever the job's state: at least once is all that BullMQ promises. */
  duplicate(jobId: string): void {
    const record = this.#records.get(jobId);
    if (record === undefined) return;
    const { job } = record;
    if (job.state === 'active') this.stall(jobId);
    else if (job.finishedOn === undefined) this.#duplicates.add(jobId);
    else {
      // As if its worker had died just before it could report the job.
      this.#jobs.restore(job);
      record.isRemoved = false;
      job.finishedOn = undefined;
      job.failedReason = undefined;
      job.attemptsMade -= 1;
      job.stalls += 1;
      job.outcome = record.lastOutcome;
      this.places.toFront(record);
    }
  }

  #finish(record: JobRecord, state: 'completed' | 'failed', isGone: boolean): void {
    const { job } = record;
    job.state = state;
    job.finishedOn = this.#clock.wallMs();
    record.lastOutcome = job.outcome;
    record.isRemoved = isGone;
    if (isGone) this.#jobs.remove(job.id);
    this.#deduplication.finished(record);
    for (const listener of this.#listeners) listener.finished?.(record, state);
  }

  #forget(record: JobRecord): void {
    const { id } = record.job;
    this.places.remove(id);
    record.isRemoved = true;
    this.#jobs.remove(id);
    this.#all.delete(record);
  }

  /** What its process has lived through is noted whoever has the job by now. Undefined: it has it no more. */
  #hear(jobId: string, lock: string, survived: readonly number[] = []): JobRecord | undefined {
    this.#jobs.noteSurvived(jobId, survived);
    for (const listener of this.#listeners) listener.heard?.(jobId, lock);
    return this.#unlock(jobId, lock);
  }

  #unlock(jobId: string, lock: string): JobRecord | undefined {
    return this.places.locks.unlock(jobId, lock) ? this.#records.get(jobId) : undefined;
  }
}

/** It does not wait for its backoff: it was not tried yet, or has given its slot back since. */
function waitsForTurn({ attemptsMade, snoozedAtAttempt }: MemoryJob): boolean {
  return attemptsMade === 0 || attemptsMade === snoozedAtAttempt;
}
