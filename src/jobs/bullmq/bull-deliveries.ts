/**
 * BullMQ's engine of deliveries. BullMQ calls a processor with a job, and takes from what it returns or throws how
 * the job ended: so each answer is a value to return, or thrown.
 */
import { type Job, RateLimitError, UnrecoverableError, WaitingError } from 'bullmq';
import type { Deliveries, Delivery } from '../deliveries.ts';
import type { Completable } from '../lanes.ts';
import type { TorilBackend } from './bull-backend.ts';
import { forGood, forThisAttempt, Snoozed } from './told-failures.ts';

export class BullDelivery implements Delivery {
  readonly job: Job;
  /** Of its lock. */
  readonly token: string;
  readonly outcome: string;
  readonly lane: string;
  readonly #backend: TorilBackend;

  constructor(job: Job, token: string, backend: TorilBackend) {
    const { outcome, lane } = backend.takeFields(job.id as string);
    this.job = job;
    this.token = token;
    this.outcome = outcome;
    this.lane = lane;
    this.#backend = backend;
  }

  get jobId(): string {
    return this.job.id as string;
  }

  /** Whatever its type says: nothing may be left of it. */
  get name(): string | undefined {
    return this.job.name as string | undefined;
  }

  get data(): unknown {
    return this.job.data;
  }

  get addedMs(): number {
    return this.job.timestamp;
  }

  get attemptsMade(): number {
    return this.job.attemptsMade;
  }

  get deliveries(): number {
    return this.job.attemptsStarted;
  }

  get stalls(): number {
    return this.job.stalledCounter;
  }

  get completable(): Completable | undefined {
    return this.#backend.slots.completable(this.jobId, this.token, this.job.opts.removeOnComplete);
  }

  isLastAttempt(thrown: Error): boolean {
    const { attemptsMade, opts } = this.job;
    return thrown instanceof UnrecoverableError || attemptsMade + 1 >= (opts.attempts ?? 0);
  }
}

/** A promise only where Redis is asked: most jobs are applied. */
export class BullDeliveries implements Deliveries<BullDelivery, unknown> {
  /** Jobs that have met a rate limit, until BullMQ has heard of it and fetches nothing. */
  readonly limited: Set<string> = new Set();
  readonly #backend: TorilBackend;

  constructor(backend: TorilBackend) {
    this.#backend = backend;
  }

  complete(_job: BullDelivery, resultJson: string): unknown {
    return resultJson === '' ? undefined : JSON.parse(resultJson);
  }

  fail(
    { jobId }: BullDelivery,
    thrown: Error,
    survived: readonly number[],
    why?: 'left' | 'holds',
  ): Promise<never> {
    if (why === 'left') this.#backend.forgetWhenFailed(jobId);
    if (why === 'holds') this.#backend.keepWhenFailed(jobId);
    return this.#endingIn(forGood(thrown), jobId, survived);
  }

  retry({ jobId, job }: BullDelivery, thrown: Error, survived: readonly number[]): Promise<never> {
    this.#backend.noteDelivery(job);
    return this.#endingIn(forThisAttempt(thrown), jobId, survived);
  }

  /**
   * As BullMQ does it: back to the front of the queue, and this worker fetches nothing while the limit lasts. One who
   * has set none (`queue.rateLimit(ms)`) would be delivered again at once, and again.
   */
  async waitForLimit(
    job: BullDelivery,
    elseMs: number,
    survived: readonly number[],
  ): Promise<never> {
    this.limited.add(job.jobId);
    const limitMs = await this.#backend.getRateLimitTtl().catch(() => 0);
    if (limitMs <= 0) {
      this.limited.delete(job.jobId);
      return this.snooze(job, elseMs, survived);
    }
    return this.#endingIn(new RateLimitError(), job.jobId, survived);
  }

  /** BullMQ's own scripts, which come next, say nothing of what the process lived through. */
  #endingIn(error: Error, jobId: string, survived: readonly number[]): Promise<never> {
    if (survived.length === 0) return Promise.reject(error);
    return endingIn(error, this.#backend.noteSurvived(jobId, survived));
  }

  // If these two cannot be carried out, the worker closes or the job is no longer its own: any other error would use up
  // an attempt.

  snooze(job: BullDelivery, delayMs: number, survived: readonly number[]): Promise<never> {
    const { jobId, token, attemptsMade } = job;
    const snoozing = this.#backend.snooze(jobId, survived, delayMs, token, attemptsMade);
    return endingIn(new Snoozed(delayMs), snoozing);
  }

  giveBack(
    { jobId, token, attemptsMade }: BullDelivery,
    survived: readonly number[],
  ): Promise<never> {
    const givenBack = this.#backend.giveBack(jobId, token, { attemptsMade, survived });
    return endingIn(new WaitingError(), givenBack);
  }

  dropMissing({ jobId, token }: BullDelivery): Promise<'dropped' | 'damaged' | 'elsewhere'> {
    return this.#backend.dropMissing(jobId, token);
  }

  leave(): never {
    throw new WaitingError(); // BullMQ takes it for moved, and leaves it alone
  }
}

async function endingIn(error: Error, moved: Promise<unknown>): Promise<never> {
  await moved.catch(() => undefined);
  throw error;
}
