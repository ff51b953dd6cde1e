/**
 * BullMQ, as far as the search plays it: it delivers a job to its worker, and again, at once, as long as that gives it
 * back. What stands between a delivery and the gate is the shipped code (src/workers/deliveries/intake.ts).
 */
import type { Deliveries, Delivery } from '../../src/jobs/deliveries.ts';
import { dataOf, UPDATE } from './worker-plan.ts';

/** What becomes of a delivery. `back`: its slot is given back, without an attempt. */
export type DeliveryEnd = 'completed' | 'failed' | 'charged' | 'back';

/**
 * @param keys of its lanes
 * @param outcome how it has left its lane, as Redis knows it at its delivery; empty: it has not
 */
export function deliveryOf(jobId: string, keys: readonly string[], outcome: string): Delivery {
  const [lane] = keys as [string];
  return {
    ...{ jobId, name: UPDATE, data: dataOf(jobId, keys), addedMs: 0, lane, outcome },
    ...{ attemptsMade: 0, deliveries: 1, stalls: 0, completable: undefined },
    isLastAttempt: () => true,
  };
}

export class ExploredDeliveries implements Deliveries<Delivery, DeliveryEnd> {
  readonly #ended: (jobId: string, end: DeliveryEnd, text: string) => void;

  /** @param ended `text`: the result, or the error */
  constructor(ended: (jobId: string, end: DeliveryEnd, text: string) => void) {
    this.#ended = ended;
  }

  complete(job: Delivery, resultJson: string): DeliveryEnd {
    return this.#end(job, 'completed', resultJson);
  }

  fail(job: Delivery, thrown: Error): DeliveryEnd {
    return this.#end(job, 'failed', thrown.message);
  }

  retry(job: Delivery, thrown: Error): DeliveryEnd {
    return this.#end(job, 'charged', thrown.message);
  }

  waitForLimit(job: Delivery): DeliveryEnd {
    return this.#end(job, 'back', '');
  }

  snooze(job: Delivery): DeliveryEnd {
    return this.#end(job, 'back', '');
  }

  giveBack(job: Delivery): DeliveryEnd {
    return this.#end(job, 'back', '');
  }

  dropMissing(): never {
    throw new Error('no job is removed here');
  }

  leave(): never {
    throw new Error('no job is removed here');
  }

  #end({ jobId }: Delivery, end: DeliveryEnd, text: string): DeliveryEnd {
    this.#ended(jobId, end, text);
    return end;
  }
}
