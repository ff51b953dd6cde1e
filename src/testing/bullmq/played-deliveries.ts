/**
 * The played engine of deliveries: what BullMQ's worker says of a job to the played queue. The test bed and the
 * simulation differ in how a call travels, and in nothing else.
 */
import type { Deliveries } from '../../jobs/deliveries.ts';
import { backoffMs, type BackoffStrategy } from './job-options.ts';
import type { JobQueue } from './job-queue.ts';
import type { Answer, PlayedDelivery } from './job-record.ts';

export interface PlayedDeliveriesOptions {
  readonly queue: JobQueue;
  /** Milliseconds since 1970, by Redis' clock as far as the worker knows it. */
  readonly wallMs: () => number;
  /** A call's way to Redis and back. Resolves once it was carried out; never rejects. */
  readonly call: (execute: () => Answer) => Promise<void>;
  /** Of the worker's settings. */
  readonly backoffStrategy?: BackoffStrategy | undefined;
  /** Milliseconds before the next attempt where the strategy says none. */
  readonly blockedMs: number;
  /** A number in [0, 1). */
  readonly fraction: () => number;
}

/** What a strategy says of a job that is not to be tried again. */
const GIVE_UP = -1;

export class PlayedDeliveries implements Deliveries<PlayedDelivery, Promise<void>> {
  readonly #options: PlayedDeliveriesOptions;

  constructor(options: PlayedDeliveriesOptions) {
    this.#options = options;
  }

  complete(job: PlayedDelivery, resultJson: string): Promise<void> {
    const { queue, call } = this.#options;
    return call(() => queue.delivered.complete(job.jobId, job.lock, resultJson, job));
  }

  fail(
    { jobId, lock, delivery }: PlayedDelivery,
    thrown: Error,
    survived: readonly number[],
    why?: 'left' | 'holds',
  ): Promise<void> {
    const { queue, call } = this.#options;
    return call(() => queue.delivered.fail(jobId, lock, thrown, { survived, why, delivery }));
  }

  /** The job stays active while a strategy of the user's takes its time. */
  async retry(job: PlayedDelivery, thrown: Error, survived: readonly number[]): Promise<void> {
    const { queue, call, wallMs } = this.#options;
    const { delivery } = job;
    const inMs = await this.#backoffMs(job, thrown);
    if (inMs === GIVE_UP) return this.fail(job, thrown, survived);
    return call(() =>
      queue.delivered.retry(job.jobId, job.lock, thrown, inMs, {
        survived,
        delivery,
        wallMs: wallMs(),
      }),
    );
  }

  #backoffMs({ jobId, attemptsMade }: PlayedDelivery, thrown: Error): number | Promise<number> {
    const { queue, fraction } = this.#options;
    const { backoff } = queue.record(jobId)?.options ?? {};
    const type = typeof backoff === 'object' ? backoff.type : undefined;
    return (
      backoffMs(backoff, attemptsMade + 1, fraction) ?? this.#told(attemptsMade + 1, type, thrown)
    );
  }

  /** One that throws, or is missing, has the job wait all the same: as a worker of Toril's. */
  async #told(attemptsMade: number, type: string | undefined, thrown: Error): Promise<number> {
    const { backoffStrategy, blockedMs } = this.#options;
    try {
      return (await backoffStrategy?.(attemptsMade, type, thrown)) ?? blockedMs;
    } catch {
      return blockedMs;
    }
  }

  /** There are none: as if the limit had been over by now. */
  waitForLimit(job: PlayedDelivery, elseMs: number, survived: readonly number[]): Promise<void> {
    return this.snooze(job, elseMs, survived);
  }

  snooze(
    { jobId, lock }: PlayedDelivery,
    delayMs: number,
    survived: readonly number[],
  ): Promise<void> {
    const { queue, call, wallMs } = this.#options;
    return call(() => queue.delivered.snooze(jobId, lock, wallMs() + delayMs, survived));
  }

  giveBack({ jobId, lock }: PlayedDelivery, survived: readonly number[]): Promise<void> {
    const { queue, call } = this.#options;
    return call(() => queue.delivered.giveBack(jobId, lock, { survived }));
  }

  /** Each has its name. */
  dropMissing(): Promise<'elsewhere'> {
    return Promise.resolve('elsewhere');
  }

  leave(): Promise<void> {
    return Promise.resolve();
  }
}
