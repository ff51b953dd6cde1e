/** What a queue is opened with, and what is enqueued on it. */
import type { Job, JobsOptions, QueueOptions as BullQueueOptions } from 'bullmq';
import type { Observer } from '../telemetry/observer.ts';
import type { AnyUpdate, InputOf, ResultOf } from '../updates/update.ts';

export interface QueueOptions extends BullQueueOptions {
  /**
   * The updates that this producer enqueues. With it, a job of any other name is refused
   * (UNKNOWN_UPDATE), whichever way it is added.
   */
  readonly updates?: readonly AnyUpdate[];
  /**
   * Milliseconds for which it is tried to add a job, if Redis does not answer: 100 to an hour, default 60,000. An
   * add whose answer is lost is repeated, and carried out once.
   */
  readonly enqueueMs?: number;
  /** Milliseconds that closing waits for what is being added. Default 5,000. */
  readonly closeMs?: number;
  /** Measures what it does: `openTelemetry()` of toril/opentelemetry, for example. BullMQ's own option is `telemetry`. */
  readonly observer?: Observer;
}

/** One job of a bulk. */
export interface Enqueue<U extends AnyUpdate = AnyUpdate> {
  readonly update: U;
  readonly data: InputOf<U>;
  readonly options?: JobsOptions;
}

/** The jobs of a bulk, in its order. */
export type EnqueuedBulk<Updates extends readonly AnyUpdate[]> = {
  -readonly [Place in keyof Updates]: Job<
    InputOf<Updates[Place]>,
    ResultOf<Updates[Place]>,
    Updates[Place]['name']
  >;
};
