/** A job that BullMQ has delivered to this process and that waits for its outcome. */
import type { Completable } from '../../jobs/lanes.ts';
import type { JobOutcome } from '../../updates/outcome.ts';

/** How the wait of a delivered job ended. A closed list: the worker's glue handles each. */
export type Settlement =
  /** It left its lane: applied, or failed for good (`thrown`: the original error, if it was thrown here). */
  | { readonly kind: 'decided'; readonly outcome: JobOutcome; readonly thrown?: Error }
  /** Its update threw, and it has attempts left: BullMQ charges one and delivers it again. */
  | { readonly kind: 'retry'; readonly thrown: Error }
  /** Its update met a rate limit: BullMQ delivers it again when that is over, without an attempt. */
  | { readonly kind: 'limited' }
  /** Its attempts are used up, but it stays at the lane's head and holds the key. */
  | { readonly kind: 'held'; readonly thrown: Error }
  /** It gives its slot back for a while, without an attempt. */
  | { readonly kind: 'snoozed'; readonly delayMs: number }
  /** The worker closes: back to the front of the queue, without an attempt. */
  | { readonly kind: 'returned' }
  /** BullMQ took it for stalled, and has delivered it to this worker once more: the newer delivery counts. */
  | { readonly kind: 'superseded' };

/** The asynchronous context in which a job was delivered: an `AsyncResource`. */
interface Scope {
  runInAsyncScope<T>(call: () => T): T;
}

export interface Arrival {
  readonly jobId: string;
  /** In which its update is called, also in the batch of another delivery. Undefined: in the caller's. */
  readonly scope?: Scope | undefined;
  /** Milliseconds since 1970 at which it was added; an id may be used again. */
  readonly addedMs?: number;
  /** Monotonic milliseconds. */
  readonly arrivedAtMs: number;
  /** Attempts that it had used up when it was delivered; undefined: not known. */
  readonly attemptsMade?: number;
  /** How often BullMQ has delivered it, this time included. */
  readonly deliveries: number;
  /** Times a process died or froze while it had the job, for whatever reason. */
  readonly stalls: number;
  /** How it may be completed together with its commit; undefined: it may not. */
  readonly completable?: Completable | undefined;
  /** Whether BullMQ would not deliver it again after this error. */
  isLastAttempt(thrown: Error): boolean;
  /** Called exactly once. */
  settle(settlement: Settlement): void;
}
