/** Delivering the jobs of a played queue, and what workers say of those that were delivered to them. */
import type { Clock } from '../../base/clock.ts';
import type { MemoryJobs } from '../../jobs/memory/memory-jobs.ts';
import { NEVER_ALONE } from '../../jobs/memory/memory-job.ts';
import type { Deduplication } from './deduplication.ts';
import { isRemoved } from './job-options.ts';
import type { JobPlaces } from './job-places.ts';
import type { Answer, JobQueueSettings, JobRecord, PlayedDelivery } from './job-record.ts';
import type { JobRecords } from './job-records.ts';

interface Ending {
  readonly survived?: readonly number[];
  /** Which one ends (jobs/bullmq/state/timed.ts); undefined: not told. */
  readonly delivery?: number | undefined;
}

interface Failing extends Ending {
  readonly why?: 'holds' | 'left' | undefined;
}

interface Retrying extends Ending {
  /** Milliseconds since 1970, by Redis' clock as far as the worker knows it. */
  readonly wallMs?: number;
}

interface GivingBack {
  readonly survived?: readonly number[];
  readonly begun?: boolean;
}

export interface DeliveredJobsParts {
  readonly jobs: MemoryJobs;
  /** Of the Redis server. */
  readonly clock: Clock;
  readonly settings: JobQueueSettings;
  readonly records: JobRecords;
  readonly places: JobPlaces;
  readonly deduplication: Deduplication;
}

export class DeliveredJobs {
  readonly #jobs: MemoryJobs;
  readonly #clock: Clock;
  readonly #settings: JobQueueSettings;
  readonly #records: JobRecords;
  readonly #places: JobPlaces;
  readonly #deduplication: Deduplication;
  /** Those that are taken for stalled as soon as they are delivered. */
  readonly #duplicates = new Set<string>();
  #nextLookMs = 0;
  #deliveries = 0;

  constructor({ jobs, clock, settings, records, places, deduplication }: DeliveredJobsParts) {
    this.#jobs = jobs;
    this.#clock = clock;
    this.#settings = settings;
    this.#records = records;
    this.#places = places;
    this.#deduplication = deduplication;
  }

  /** moveToActive. @param wallMs by Redis' clock, as far as the worker knows it */
  fetch(lock: string, wallMs: number = this.#clock.wallMs()): PlayedDelivery | undefined {
    this.#places.promoteDue(wallMs);
    if (this.#jobs.paused) return undefined;
    const jobId = this.#places.activate(lock);
    const record = jobId === undefined ? undefined : this.#records.get(jobId);
    if (record === undefined) return undefined;
    const { job, options } = record;
    job.state = 'active';
    record.deliveries += 1;
    record.delivery = ++this.#deliveries;
    this.#records.tell('delivered', record, lock);
    record.delayedFor = undefined;
    const { id, name, data, attemptsMade, stalls, outcome, entered } = job;
    if (this.#duplicates.delete(id)) this.stall(id);
    const { attempts = 1 } = options;
    return {
      ...{ jobId: id, lock, name, attemptsMade, stalls, outcome },
      data: JSON.parse(data) as unknown,
      addedMs: record.timestamp,
      deliveries: record.deliveries,
      delivery: this.#deliveries,
      lane: entered?.key ?? '',
      completable: undefined,
      isLastAttempt: () => attemptsMade + 1 >= attempts,
    };
  }

  /** moveToFinished, as completed. */
  complete(jobId: string, lock: string, result: string, ending?: Pick<Ending, 'delivery'>): Answer {
    const record = this.#records.get(jobId);
    if (record === undefined) return 'missing lock';
    const { removeOnComplete } = { ...this.#settings, ...record.options };
    const isGone = isRemoved(removeOnComplete);
    if (this.#hear(jobId, lock, ending) === undefined) {
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
  fail(jobId: string, lock: string, error: Error, failing: Failing = {}): Answer {
    const record = this.#hear(jobId, lock, failing);
    if (record === undefined) return 'missing lock';
    const { job } = record;
    job.attemptsMade += 1;
    job.failedReason = error.message;
    job.alone = NEVER_ALONE;
    job.directive = '';
    record.error = error;
    const { removeOnFail } = { ...this.#settings, ...record.options };
    this.#finish(record, 'failed', failing.why !== 'holds' && isRemoved(removeOnFail));
    if (failing.why === 'left') job.outcome = '';
    return 'done';
  }

  /** retryJob (which looks for delayed jobs first), or moveToDelayed: an attempt is charged. */
  retry(
    jobId: string,
    lock: string,
    error: Error,
    backoffMs: number,
    retrying: Retrying = {},
  ): Answer {
    const { wallMs = this.#clock.wallMs() } = retrying;
    if (backoffMs <= 0 && this.#isLatest(jobId, retrying)) this.#places.promoteDue(wallMs);
    const record = this.#hear(jobId, lock, retrying);
    if (record === undefined) return 'missing lock';
    record.job.attemptsMade += 1;
    record.job.failedReason = error.message;
    record.error = error;
    this.#records.tell('retried', record);
    if (backoffMs > 0) this.#places.delay(record, wallMs + backoffMs, 'backoff');
    else this.#places.toBack(record, record.options.lifo);
    return 'done';
  }

  /** torilSnooze: the job gives its slot back for a while, without an attempt, unless there is nothing to wait for. */
  snooze(jobId: string, lock: string, dueMs: number, survived: readonly number[] = []): Answer {
    const record = this.#hear(jobId, lock, { survived });
    if (record === undefined) return 'missing lock';
    record.job.snoozedAtAttempt = record.job.attemptsMade;
    this.#places.delay(record, dueMs, 'turn');
    if (record.job.outcome !== '' || record.isWoken) this.#places.promote(record);
    record.isWoken = false;
    return 'done';
  }

  /** torilGiveBack. `begun`: else it was fetched ahead, and nobody has begun to work on it. */
  giveBack(jobId: string, lock: string, given: GivingBack = {}): Answer {
    const { begun = true } = given;
    const record = begun ? this.#hear(jobId, lock, given) : this.#unlock(jobId, lock);
    if (record === undefined) return 'missing lock';
    if (!begun) record.deliveries -= 1;
    this.#places.backIn(record);
    return 'done';
  }

  /** extendLocks. @param locks tokens by job id */
  extend(locks: ReadonlyMap<string, string>, forMs?: number): void {
    for (const [jobId, token] of locks) this.#places.locks.extend(jobId, token, forMs);
  }

  /** moveStalledJobsToWait; a second call within `everyMs` does nothing. */
  lookForStalled(everyMs = 0): void {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs < this.#nextLookMs) return;
    this.#nextLookMs = nowMs + everyMs;
    for (const jobId of this.#places.locks.look()) this.stall(jobId);
  }

  /** What BullMQ does with a job whose lock is gone; also a fault: the lock is lost too early. */
  stall(jobId: string): void {
    const record = this.#records.get(jobId);
    if (record === undefined || !this.#places.locks.drop(jobId)) return;
    record.job.stalls += 1;
    this.#records.tell('stalled', record);
    this.#places.toFront(record);
  }

  /** A fault: as if a replica had taken Redis' place that has not seen the job's delivery. It is delivered again. */
  forgetDelivery(jobId: string): void {
    const record = this.#records.get(jobId);
    if (record !== undefined && this.#places.locks.drop(jobId)) this.#places.toFront(record);
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
      this.#places.toFront(record);
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
    this.#records.tell('finished', record, state);
  }

  /**
   * What its process has lived through is noted whoever has the job by now. Undefined: it has it no more. A slot's jobs have one
   * token, and a copy of what was said of an earlier delivery may arrive late: the name tells them apart.
   */
  #hear(jobId: string, lock: string, ending: Ending = {}): JobRecord | undefined {
    this.#jobs.noteSurvived(jobId, ending.survived ?? []);
    if (!this.#isLatest(jobId, ending)) return undefined;
    this.#records.tell('heard', jobId, lock);
    return this.#unlock(jobId, lock);
  }

  #isLatest(jobId: string, { delivery }: Ending): boolean {
    return delivery === undefined || delivery === this.#records.get(jobId)?.delivery;
  }

  #unlock(jobId: string, lock: string): JobRecord | undefined {
    return this.#places.locks.unlock(jobId, lock) ? this.#records.get(jobId) : undefined;
  }
}
