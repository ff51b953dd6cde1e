/**
 * BullMQ's part: which job is delivered to whom, and when. Each method is one of its scripts (their
 * names stand above them) and runs in Redis at once. What is left out: priorities, flows, rate
 * limits, schedulers and events, of which Toril takes no notice.
 */
import type { Clock } from '../../src/base/clock.ts';
import {
  type MemoryJob,
  type MemoryJobs,
  NEVER_ALONE,
  type NewMemoryJob,
} from '../../src/jobs/memory/memory-jobs.ts';
import type { BullObserver } from './observer.ts';

export interface BullSettings {
  readonly lockMs: number;
  /** Between two looks for stalled jobs, over all processes. */
  readonly stalledCheckMs: number;
  readonly removeOnComplete: boolean;
  readonly removeOnFail: boolean;
}

/** A job as it is handed to a worker process. */
export interface Delivery {
  readonly jobId: string;
  /** Of the job's lock, made for this delivery. */
  readonly lock: string;
  readonly name: string;
  readonly data: unknown;
  readonly attemptsMade: number;
  readonly attempts: number;
  /** How often it has been delivered, this time included. */
  readonly deliveries: number;
  readonly stalls: number;
  /** The outcome that was in the job's hash. */
  readonly outcome: string;
}

interface Lock {
  readonly owner: string;
  expiresMs: number;
}

/** How BullMQ answers whoever does not hold the job's lock any more. */
export type Answer = 'done' | 'missing lock';

export class Bull {
  readonly #jobs: MemoryJobs;
  readonly #clock: Clock;
  readonly #settings: BullSettings;
  readonly #observer: BullObserver;
  readonly #attempts = new Map<string, number>();
  readonly #deliveries = new Map<string, number>();
  /** The next one to be delivered is the last. */
  #wait: string[] = [];
  readonly #active = new Set<string>();
  readonly #delayed = new Set<string>();
  readonly #locks = new Map<string, Lock>();
  #perhapsStalled = new Set<string>();
  #nextCheckMs = 0;
  /** Called when a job can be delivered: BullMQ's marker. */
  onWaiting: () => void = () => {};

  /** @param clock of the Redis server */
  constructor(jobs: MemoryJobs, clock: Clock, settings: BullSettings, observer: BullObserver) {
    this.#jobs = jobs;
    this.#clock = clock;
    this.#settings = settings;
    this.#observer = observer;
    jobs.promote = (jobId) => this.promote(jobId);
  }

  get settings(): BullSettings {
    return this.#settings;
  }

  /** When the next delayed job is due, by whichever clock delayed it. */
  get nextDueMs(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const jobId of this.#delayed) next = Math.min(next, this.#jobs.get(jobId)?.dueMs ?? next);
    return next;
  }

  /** How many jobs are neither completed nor failed. */
  get unfinished(): number {
    return this.#wait.length + this.#active.size + this.#delayed.size;
  }

  activeJobs(): string[] {
    return [...this.#active];
  }

  /** addStandardJob, addDelayedJob; with a lane: in one transaction with the entry into it. */
  add(job: NewMemoryJob, attempts: number): MemoryJob | undefined {
    const added = this.#jobs.add(job);
    if (added === undefined) return undefined;
    this.#attempts.set(added.id, attempts);
    if (added.state === 'delayed') this.#delayed.add(added.id);
    else this.#toWait(added, 'back');
    return added;
  }

  /** moveToActive; `wallMs`: by Redis' clock, as far as the worker knows it. */
  fetch(lock: string, wallMs: number): Delivery | undefined {
    this.#promoteDue(wallMs);
    if (this.#jobs.paused) return undefined;
    const jobId = this.#wait.pop();
    const job = jobId === undefined ? undefined : this.#jobs.get(jobId);
    if (job === undefined) return undefined;
    job.state = 'active';
    this.#active.add(job.id);
    this.#locks.set(job.id, {
      owner: lock,
      expiresMs: this.#clock.monotonicMs() + this.#settings.lockMs,
    });
    if (this.#wait.length > 0) this.onWaiting();
    const { id, name, attemptsMade, stalls, outcome } = job;
    this.#observer.delivered(id, lock);
    const attempts = this.#attempts.get(id) ?? 1;
    const deliveries = (this.#deliveries.get(id) ?? 0) + 1;
    this.#deliveries.set(id, deliveries);
    const data: unknown = JSON.parse(job.data);
    const charged = { attemptsMade, attempts, deliveries, stalls };
    return { jobId: id, lock, name, data, ...charged, outcome };
  }

  /** moveToFinished, as completed. */
  complete(jobId: string, lock: string, result: string): Answer {
    // Said once more, since the answer was lost, or by somebody whose job was taken over and completed.
    if (this.#jobs.get(jobId)?.state === 'completed') return 'done';
    const job = this.#unlock(jobId, lock);
    if (job === undefined) return 'missing lock';
    job.attemptsMade += 1;
    job.state = 'completed';
    job.finishedOn = this.#clock.wallMs();
    this.#observer.completed(jobId, result);
    if (this.#settings.removeOnComplete) this.#jobs.remove(jobId);
    return 'done';
  }

  /**
   * moveToFinished, as failed, with what bull-backend.ts adds: a job that `holds` its lane stays
   * whatever removeOnFail says, and one that has `left` it so forgets its outcome.
   */
  fail(jobId: string, lock: string, reason: string, why?: 'holds' | 'left'): Answer {
    const job = this.#unlock(jobId, lock);
    if (job === undefined) return 'missing lock';
    job.attemptsMade += 1;
    job.state = 'failed';
    job.finishedOn = this.#clock.wallMs();
    job.failedReason = reason;
    job.alone = NEVER_ALONE;
    job.directive = '';
    if (why === 'left') job.outcome = '';
    this.#observer.failed(jobId, reason);
    if (this.#settings.removeOnFail && why !== 'holds') this.#jobs.remove(jobId);
    return 'done';
  }

  /** retryJob (which looks for delayed jobs first), or moveToDelayed: an attempt is charged. */
  retry(jobId: string, lock: string, reason: string, wallMs: number, backoffMs: number): Answer {
    if (backoffMs === 0) this.#promoteDue(wallMs);
    const job = this.#unlock(jobId, lock);
    if (job === undefined) return 'missing lock';
    job.attemptsMade += 1;
    job.failedReason = reason;
    this.#observer.charged(jobId, reason);
    if (backoffMs === 0) this.#toWait(job, 'back');
    else this.#delay(job, wallMs + backoffMs);
    return 'done';
  }

  /** moveToDelayed without an attempt: the job gives its slot back. */
  park(jobId: string, lock: string, dueMs: number, survivedStart: boolean): Answer {
    const job = this.#unlock(jobId, lock);
    const survivor = survivedStart ? this.#jobs.get(jobId) : undefined;
    if (survivor !== undefined) survivor.isGivenBack = true; // whoever has it by now, as TorilBackend.park
    if (job === undefined) return 'missing lock';
    this.#observer.parked(jobId, lock);
    job.parkedAtAttempt = job.attemptsMade;
    this.#delay(job, dueMs);
    return 'done';
  }

  /** torilParkAhead: jobs of a lane that would be delivered next, but not the lane's first, are delayed. */
  parkAhead(key: string, perRankMs: number, atLeastMs: number, atMostMs: number): void {
    const { head } = this.#jobs.inspect(key, Number.POSITIVE_INFINITY);
    const ranks = new Map(head.map(({ jobId }, rank) => [jobId, rank]));
    const nowMs = this.#clock.wallMs();
    this.#wait = this.#wait.filter((jobId) => {
      const rank = ranks.get(jobId) ?? 0;
      const job = this.#jobs.get(jobId);
      if (rank === 0 || job === undefined) return true;
      const delayMs = Math.max(rank * perRankMs, atLeastMs);
      job.parkedAtAttempt = job.attemptsMade;
      const share = (1 + ((rank * 7919) % 1000) / 1000) / 2;
      this.#delay(job, nowMs + Math.ceil(delayMs > atMostMs ? atMostMs * share : delayMs));
      return false;
    });
  }

  /** moveJobFromActiveToWait. */
  giveBack(jobId: string, lock: string, survivedStart = false): Answer {
    const job = this.#unlock(jobId, lock);
    const survivor = survivedStart ? this.#jobs.get(jobId) : undefined;
    if (survivor !== undefined) survivor.isGivenBack = true; // as for `park`
    if (job === undefined) return 'missing lock';
    this.#toWait(job, 'front');
    return 'done';
  }

  /** extendLocks. */
  extend(locks: ReadonlyMap<string, string>): void {
    for (const [jobId, owner] of locks) {
      const lock = this.#lockOf(jobId);
      if (lock?.owner !== owner) continue;
      lock.expiresMs = this.#clock.monotonicMs() + this.#settings.lockMs;
      this.#perhapsStalled.delete(jobId);
    }
  }

  /** moveStalledJobsToWait: active at the last look already, and without a lock. */
  checkStalled(): void {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs < this.#nextCheckMs) return;
    this.#nextCheckMs = nowMs + this.#settings.stalledCheckMs;
    for (const jobId of this.#perhapsStalled) {
      if (this.#active.has(jobId) && this.#lockOf(jobId) === undefined) this.stall(jobId);
    }
    this.#perhapsStalled = new Set(this.#active);
  }

  /** What BullMQ does with a job whose lock is gone; also a fault: the lock is lost too early. */
  stall(jobId: string): void {
    const job = this.#jobs.get(jobId);
    this.#locks.delete(jobId);
    if (!this.#active.delete(jobId) || job === undefined) return;
    job.stalls += 1;
    this.#observer.stalled(jobId);
    this.#toWait(job, 'front');
  }

  /** As if a replica had taken this server's place that has not seen the job's delivery: it is delivered again. */
  forgetDelivery(jobId: string): void {
    const job = this.#jobs.get(jobId);
    this.#locks.delete(jobId);
    this.#perhapsStalled.delete(jobId);
    if (this.#active.delete(jobId) && job !== undefined) this.#toWait(job, 'front');
  }

  /** promote. */
  promote(jobId: string): void {
    const job = this.#jobs.get(jobId);
    if (job === undefined || !this.#delayed.delete(jobId)) return;
    this.#toWait(job, 'back');
  }

  /** torilPromoteDecided: parked, though it was decided in the last moment before. */
  promoteDecided(jobId: string): void {
    if ((this.#jobs.get(jobId)?.outcome ?? '') !== '') this.promote(jobId);
  }

  /** torilDeliverNext: before all others, unless it waits out its backoff. */
  deliverNext(jobId: string): void {
    const job = this.#jobs.get(jobId);
    if (job === undefined) return;
    const waitsForTurn = job.attemptsMade === 0 || job.attemptsMade === job.parkedAtAttempt;
    if (waitsForTurn && this.#delayed.delete(jobId)) this.#toWait(job, 'front');
  }

  /** reprocessJob: an operator retries a failed job. */
  reprocess(jobId: string): boolean {
    const job = this.#jobs.get(jobId);
    if (job?.state !== 'failed') return false;
    job.finishedOn = undefined;
    job.failedReason = undefined;
    this.#toWait(job, 'back');
    return true;
  }

  /** TorilBackend.remove: refused while it is locked, or may be in the value already. */
  remove(jobId: string): boolean {
    const job = this.#jobs.get(jobId);
    if (job === undefined || this.#lockOf(jobId) !== undefined) return false;
    if (this.#jobs.mayBeApplied(jobId)) return false;
    this.#active.delete(jobId);
    this.#delayed.delete(jobId);
    this.#wait = this.#wait.filter((waiting) => waiting !== jobId);
    this.#jobs.remove(jobId);
    return true;
  }

  setPaused(paused: boolean): void {
    this.#jobs.paused = paused;
    if (!paused && this.#wait.length > 0) this.onWaiting();
  }

  #promoteDue(wallMs: number): void {
    if (this.#delayed.size === 0) return;
    const due = [...this.#delayed]
      .map((jobId) => this.#jobs.get(jobId) as MemoryJob)
      .filter(({ dueMs }) => dueMs <= wallMs)
      .toSorted((a, b) => a.dueMs - b.dueMs);
    for (const { id } of due) this.promote(id);
  }

  #delay(job: MemoryJob, dueMs: number): void {
    job.state = 'delayed';
    job.dueMs = dueMs;
    this.#delayed.add(job.id);
  }

  #toWait(job: MemoryJob, where: 'front' | 'back'): void {
    job.state = 'waiting';
    if (where === 'front') this.#wait.push(job.id);
    else this.#wait.unshift(job.id);
    this.onWaiting();
  }

  #lockOf(jobId: string): Lock | undefined {
    const lock = this.#locks.get(jobId);
    return lock !== undefined && lock.expiresMs > this.#clock.monotonicMs() ? lock : undefined;
  }

  /** Undefined: the job is gone, or somebody else's by now. */
  #unlock(jobId: string, owner: string): MemoryJob | undefined {
    const job = this.#jobs.get(jobId);
    if (job === undefined || this.#lockOf(jobId)?.owner !== owner) return undefined;
    this.#locks.delete(jobId);
    this.#perhapsStalled.delete(jobId);
    return this.#active.delete(jobId) ? job : undefined;
  }
}
