/** What a queue is opened with, and what is enqueued on it. */
import type { Job, JobsOptions, QueueOptions as BullQueueOptions } from 'bullmq';
import { refuseMisspelt } from '../options.ts';
import { checkConnection } from '../redis/connection-option.ts';
import type { Observer } from '../telemetry/observer.ts';
import type { AnyUpdate, InputOf, ResultOf } from '../updates/update.ts';
import { QUEUE_OPTIONS } from './bullmq/option-names.ts';

export interface QueueOptions extends BullQueueOptions {
  /**
   * The updates that this producer enqueues. With it, a job of any other name is refused
   * (UNKNOWN_UPDATE), whichever way it is added.
   */
  readonly updates?: readonly AnyUpdate[] | undefined;
  /**
   * Milliseconds for which it is tried to add a job, if Redis does not answer: 100 to an hour, default 60,000. An
   * add whose answer is lost is repeated, and carried out once.
   */
  readonly enqueueMs?: number | undefined;
  /** Milliseconds that closing waits for what is being added. Default 5,000. */
  readonly closeMs?: number | undefined;
  /** Measures what it does: `openTelemetry()` of toril/opentelemetry, for example. BullMQ's own option is `telemetry`. */
  readonly observer?: Observer | undefined;
}

const OWN_OPTIONS: readonly string[] = Object.keys({
  ...{ updates: true, enqueueMs: true, closeMs: true, observer: true },
} satisfies Record<Exclude<keyof QueueOptions, keyof BullQueueOptions>, true>);

/** What is wrong without a look at their values. @throws TorilError INVALID_OPTIONS */
export function checkQueueOptions(options: QueueOptions): void {
  refuseMisspelt('a queue', options, [...QUEUE_OPTIONS, ...OWN_OPTIONS]);
  if ('connection' in options) checkConnection(options.connection);
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
