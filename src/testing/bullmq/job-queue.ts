/**
 * BullMQ's part of a test bed: which job is delivered when, and what becomes of it. The jobs
 * themselves are in MemoryJobs, as in Redis. A method is one of BullMQ's scripts, and runs at once.
 * Left out: flows, schedulers and rate limits.
 */
import type { Clock, Timer } from '../../base/clock.ts';
import { type MemoryJob, NEVER_ALONE } from '../../jobs/memory/memory-jobs.ts';
import type { BedJobs } from '../bed-jobs.ts';
import { JobLocks } from './job-locks.ts';
import { Deduplication } from './deduplication.ts';
import { backoffMs, isRemoved } from './job-options.ts';
import type {
  Delivery,
  DelayReason,
  JobListener,
  JobQueueSettings,
  JobRecord,
  NewJob,
} from './job-record.ts';
import { WaitingLine } from './waiting-line.ts';

export class JobQueue {
  readonly #jobs: BedJobs;
  readonly #clock: Clock;
  readonly #settings: JobQueueSettings;
  /** By id, the last one that has it. */
  readonly #records = new Map<string, JobRecord>();
  readonly #all: JobRecord[] = [];
  readonly #deduplication: Deduplication;
  readonly #listeners = new Set<JobListener>();
  readonly #waiting = new WaitingLine();
  /** Of the active jobs. */
  readonly locks: JobLocks;
  readonly #delayed = new Map<string, Timer>();
  readonly #duplicates = new Set<string>();
  /** Jobs that came to an end, were charged, or came from a delay: what shows that things go on. */
  progress = 0;
  /** Jobs that wait only for the time they were enqueued for, or for their next attempt. */
  timed = 0;
  /** Called when a job can be delivered. */
  onWaiting: () => void = () => {};

  /** @param clock of the Redis server */
  constructor(jobs: BedJobs, clock: Clock, settings: JobQueueSettings) {
    this.#jobs = jobs;
    this.#clock = clock;
    this.#settings = settings;
    this.#deduplication = new Deduplication(clock, {
      add: (job) => void this.add(job),
      remove: (record) => this.#remove(record),
      reschedule: (record, dueMs) => {
        this.#undelay(record);
        this.#delay(record, dueMs, 'delay');
      },
    });
    this.locks = new JobLocks(clock, settings, (jobId) => this.#stall(jobId));
    jobs.promote = (jobId) => this.promote(jobId);
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Jobs that are neither completed nor failed. */
  get unfinished(): number {
    return this.#waiting.length + this.locks.size + this.#delayed.size;
  }

  /** A job that waits only for its time comes within so many milliseconds. */
  isDueWithin(ms: number): boolean {
    if (this.timed === 0) return false;
    const untilMs = this.#clock.wallMs() + ms;
    return [...this.#delayed.keys()].some((jobId) => {
      const record = this.#records.get(jobId);
      return record !== undefined && record.delayedFor !== 'turn' && record.job.dueMs <= untilMs;
    });
  }

  record(jobId: string): JobRecord | undefined {
    return this.#records.get(jobId);
  }

  /** In the order in which they were enqueued. */
  records(): readonly JobRecord[] {
    return this.#all;
  }

  listen(listener: JobListener): void {
    this.#listeners.add(listener);
  }

  /**
   * addStandardJob, addDelayedJob, addPrioritizedJob. Returns the record that was there, if the id is taken or another
   * job stands for this one.
   */
  add(added: NewJob): JobRecord {
    const { name, data, key, options } = added;
    // An empty id is none to BullMQ.
    const jobId = options.jobId === '' ? undefined : options.jobId;
    const known = jobId === undefined ? undefined : this.#records.get(jobId);
    if (known !== undefined && !known.isRemoved) return known;
    const standing = this.#deduplication.meet(added);
    if (standing !== undefined) return standing;
    if (known !== undefined) this.#jobs.remove(known.job.id);
    const { delay = 0, timestamp = this.#clock.wallMs() } = options;
    const dueMs = timestamp + delay;
    const job = this.#jobs.add({
      name,
      data,
      ...(jobId !== undefined && { id: jobId }),
      ...(delay > 0 ? { dueMs } : { lane: key }),
    }) as MemoryJob;
    const record: JobRecord = {
      job,
      key,
      options,
      generation: this.#jobs.journal.enqueued(job.id, key, !(delay > 0)),
      timestamp,
      isRemoved: false,
      deliveries: 0,
      delayedFor: undefined,
      error: undefined,
      result: '',
      logs: [],
      lastOutcome: '',
    };
    this.#records.set(job.id, record);
    this.#all.push(record);
    this.#deduplication.added(added, record);
    if (delay > 0) this.#delay(record, dueMs, 'delay');
    else if (options.lifo === true && !options.priority) this.#toFront(record);
    else this.#toBack(record);
    return record;
  }

  /** moveToActive. */
  fetch(worker: string): Delivery | undefined {
    const jobId = this.#waiting.shift();
    const record = jobId === undefined ? undefined : this.#records.get(jobId);
    if (record === undefined) return undefined;
    const { job, options } = record;
    const lock = this.locks.lock(job.id, worker);
    if (record.delayedFor === 'delay' || record.delayedFor === 'backoff') this.progress++;
    job.state = 'active';
    record.delayedFor = undefined;
    record.deliveries += 1;
    const { id, name, data, attemptsMade, stalls, outcome } = job;
    const facts = { lock, name, data, attemptsMade, stalls, outcome };
    if (this.#duplicates.delete(id)) this.#stall(id);
    const { deliveries } = record;
    return { jobId: id, ...facts, attempts: options.attempts ?? 1, deliveries };
  }

  /** moveToFinished, as completed. False, here and below: the lock is somebody else's by now. */
  complete(jobId: string, lock: string, result: string): boolean {
    const record = this.#unlock(jobId, lock);
    if (record === undefined) return false;
    record.job.attemptsMade += 1;
    record.result = result;
    record.error = undefined;
    this.#finish(record, 'completed');
    return true;
  }

  /** moveToFinished, as failed; `left`: because it has left its lane so (see bull-backend.ts). */
  fail(jobId: string, lock: string, error: Error, left: boolean): boolean {
    const record = this.#unlock(jobId, lock);
    if (record === undefined) return false;
    const { job } = record;
    job.attemptsMade += 1;
    job.failedReason = error.message;
    job.alone = NEVER_ALONE;
    job.directive = '';
    record.error = error;
    this.#finish(record, 'failed');
    if (left) job.outcome = '';
    return true;
  }

  /** retryJob, or moveToDelayed after a failure: an attempt is charged. */
  retry(jobId: string, lock: string, error: Error): boolean {
    const record = this.#unlock(jobId, lock);
    if (record === undefined) return false;
    const { job, options } = record;
    job.attemptsMade += 1;
    job.failedReason = error.message;
    record.error = error;
    this.progress++;
    for (const listener of this.#listeners) listener.retried(record);
    const delayMs = backoffMs(options.backoff, job.attemptsMade, this.#settings.fraction);
    if (delayMs === undefined) void this.#retryAsTold(record, error);
    else this.#retryIn(record, delayMs);
    return true;
  }

  /** As the user's strategy says, which may take its time. */
  async #retryAsTold(record: JobRecord, error: Error): Promise<void> {
    const { backoffStrategy, blockedMs } = this.#settings;
    const { options, job } = record;
    const type = typeof options.backoff === 'object' ? options.backoff.type : undefined;
    // Until it has answered, the job is nowhere that anybody looks.
    this.#delay(record, Number.POSITIVE_INFINITY, 'backoff');
    let delayMs: number = blockedMs;
    try {
      delayMs = (await backoffStrategy?.(job.attemptsMade, type, error)) ?? blockedMs;
    } catch {
      // As with a worker: it waits as long as if there were no strategy.
    }
    this.#undelay(record);
    this.#retryIn(record, delayMs);
  }

  #retryIn(record: JobRecord, delayMs: number): void {
    if (delayMs > 0) this.#delay(record, this.#clock.wallMs() + delayMs, 'backoff');
    else this.#toBack(record);
  }

  /** moveToDelayed without an attempt: the job gives its slot back, unless it was decided just now. */
  park(jobId: string, lock: string, dueMs: number): boolean {
    const record = this.#unlock(jobId, lock);
    if (record === undefined) return false;
    record.job.parkedAtAttempt = record.job.attemptsMade;
    this.#delay(record, dueMs, 'turn');
    if (record.job.outcome !== '') this.promote(jobId);
    return true;
  }

  /** moveJobFromActiveToWait. */
  giveBack(jobId: string, lock: string): boolean {
    const record = this.#unlock(jobId, lock);
    if (record !== undefined) this.#toFront(record);
    return record !== undefined;
  }

  promote(jobId: string): void {
    const record = this.#records.get(jobId);
    if (record !== undefined && this.#delayed.has(jobId)) this.#toBack(record);
  }

  /** torilDeliverNext: before all others, unless it waits out its backoff. */
  deliverNext(jobId: string): void {
    const record = this.#records.get(jobId);
    if (record === undefined) return;
    const { attemptsMade, parkedAtAttempt } = record.job;
    const waitsForTurn = attemptsMade === 0 || attemptsMade === parkedAtAttempt;
    const isParked = this.#delayed.has(jobId) && waitsForTurn;
    if (isParked || this.#waiting.takePrioritized(jobId)) this.#toFront(record);
  }

  /** reprocessJob: an operator retries a failed job. */
  reprocess(jobId: string): void {
    const record = this.#records.get(jobId);
    if (record?.job.state !== 'failed') return;
    record.job.finishedOn = undefined;
    record.job.failedReason = undefined;
    this.#jobs.journal.retried(jobId);
    this.#toBack(record);
  }

  /** One more delivery than there should be, whatever the job's state: at least once is all that BullMQ promises. */
  duplicate(jobId: string): void {
    const record = this.#records.get(jobId);
    if (record === undefined) return;
    const { job } = record;
    if (job.state === 'active') this.#stall(jobId);
    else if (job.finishedOn === undefined) this.#duplicates.add(jobId);
    else {
      // As if its worker had died just before it could report the job.
      job.finishedOn = undefined;
      job.failedReason = undefined;
      job.attemptsMade -= 1;
      job.stalls += 1;
      job.outcome = record.lastOutcome;
      this.#toFront(record);
    }
  }

  #stall(jobId: string): void {
    const record = this.#records.get(jobId);
    if (record === undefined || !this.locks.drop(jobId)) return;
    record.job.stalls += 1;
    this.#toFront(record);
  }

  #finish(record: JobRecord, state: 'completed' | 'failed'): void {
    record.job.state = state;
    record.job.finishedOn = this.#clock.wallMs();
    record.lastOutcome = record.job.outcome;
    this.progress++;
    const { removeOnComplete, removeOnFail } = { ...this.#settings, ...record.options };
    record.isRemoved = isRemoved(state === 'completed' ? removeOnComplete : removeOnFail);
    this.#deduplication.finished(record);
    for (const listener of this.#listeners) listener.finished(record, state);
  }

  #remove(record: JobRecord): void {
    this.#undelay(record);
    record.isRemoved = true;
    this.#jobs.remove(record.job.id);
    const at = this.#all.indexOf(record);
    if (at >= 0) this.#all.splice(at, 1);
    this.#records.delete(record.job.id);
  }

  #delay(record: JobRecord, dueMs: number, why: DelayReason): void {
    const { job } = record;
    job.state = 'delayed';
    job.dueMs = dueMs;
    record.delayedFor = why;
    if (why !== 'turn') this.timed++;
    const timer = this.#clock.after(dueMs - this.#clock.wallMs(), () => this.#toBack(record));
    this.#delayed.set(job.id, timer);
  }

  #toBack(record: JobRecord): void {
    this.#undelay(record);
    this.#waiting.pushBack(record.job.id, record.options.priority ?? 0);
    this.onWaiting();
  }

  #toFront(record: JobRecord): void {
    this.#undelay(record);
    this.#waiting.pushFront(record.job.id);
    this.onWaiting();
  }

  #undelay({ job, delayedFor }: JobRecord): void {
    const timer = this.#delayed.get(job.id);
    timer?.cancel();
    this.#delayed.delete(job.id);
    if (timer !== undefined && delayedFor !== 'turn') this.timed--;
    job.state = 'waiting';
  }

  #unlock(jobId: string, lock: string): JobRecord | undefined {
    return this.locks.unlock(jobId, lock) ? this.#records.get(jobId) : undefined;
  }
}
