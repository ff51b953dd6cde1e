/**
 * The contract between what delivers jobs and what becomes of them. Two engines: BullMQ (bullmq/bull-deliveries.ts),
 * and a played one (testing/bullmq/played-deliveries.ts) on which the test bed and the simulation run. What stands above
 * it, from a delivery to what is told of it, is written once: workers/deliveries/intake.ts.
 *
 * An engine hands each job that it delivers to the worker once, and hears of each one how it ended. A job may be
 * delivered again at any time, also while somebody still has it: then what the former one says of it does nothing.
 */
import type { Completable } from './lanes.ts';

/** One delivery of a job: the job as this worker has got it. */
export interface Delivery {
  readonly jobId: string;
  /** The update's name; undefined: nothing is left of the job in Redis. */
  readonly name: string | undefined;
  readonly data: unknown;
  /** Milliseconds since 1970 at which it was added; an id may be used again. */
  readonly addedMs: number;
  readonly attemptsMade: number;
  /** How often it has been delivered, this time included. */
  readonly deliveries: number;
  /** Times its process died or froze while it had the job. */
  readonly stalls: number;
  /** How it has left its lane, encoded (outcome.ts); empty: it has not. */
  readonly outcome: string;
  /** The lane that it has entered; empty: none. */
  readonly lane: string;
  /** How it may be completed together with its commit; undefined: it may not. */
  readonly completable: Completable | undefined;
  /** Whether it would not be delivered again if its attempt ended with this error. */
  isLastAttempt(thrown: Error): boolean;
}

/**
 * What is told of a delivered job: one of these, once. `Told` is whatever the engine needs back. What cannot be told at
 * once is repeated by the engine until it is told, or the job is no longer this delivery's.
 *
 * `survived`: under which tokens it was begun alone here, since it had stalled before. The process lives, so this is told
 * even if another worker has the job by now (lanes.ts, `startAlone`).
 */
export interface Deliveries<Job extends Delivery, Told> {
  /** It is in the value. @param resultJson empty: none */
  complete(job: Job, resultJson: string): Told;
  /**
   * It failed for good. `left`: because it has left its lane so, and an operator's retry is a new beginning; `holds`: it
   * stays at its lane's head, and is kept for somebody to decide about it.
   */
  fail(job: Job, thrown: Error, survived: readonly number[], why?: 'left' | 'holds'): Told;
  /** Its attempt failed, and it has more of them: one is charged, and it comes again after its backoff. */
  retry(job: Job, thrown: Error, survived: readonly number[]): Told;
  /** It met a rate limit: it comes again when that is over, or after `elseMs` if there is none. No attempt is charged. */
  waitForLimit(job: Job, elseMs: number, survived: readonly number[]): Told;
  /** It gives its slot back for a while, without an attempt. */
  snooze(job: Job, delayMs: number, survived: readonly number[]): Told;
  /** Back to the front of the queue, without an attempt: its worker closes. */
  giveBack(job: Job, survived: readonly number[]): Told;
  /**
   * A job without a name: takes it out of the queue if nothing is left of it (`dropped`), unless more is left
   * (`damaged`), or somebody else has it (`elsewhere`).
   */
  dropMissing(job: Job): Promise<'dropped' | 'damaged' | 'elsewhere'>;
  /** It was dropped, or is somebody else's: nothing is to be done. */
  leave(job: Job): Told;
}
