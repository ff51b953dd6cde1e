/** What is told of a delivered job, once it is settled. */
import type { Deliveries, Delivery } from '../../jobs/deliveries.ts';
import { failureOf } from '../../updates/outcome.ts';
import { isFinal } from '../fold/fold-errors.ts';
import type { Settlement } from './arrival.ts';

/** How a delivery ended, also where no gate was asked. */
export type Ending =
  | Settlement
  /** The job is in none of BullMQ's lists any more. */
  | { readonly kind: 'gone' };

/** Whether it would not be delivered again after this error. */
export function isLastAttempt(job: Delivery, thrown: Error): boolean {
  return isFinal(thrown) || job.isLastAttempt(thrown);
}

export function tell<Job extends Delivery, Told>(
  deliveries: Deliveries<Job, Told>,
  job: Job,
  ending: Ending,
  survived: readonly number[],
  blockedMs: number,
): Told {
  switch (ending.kind) {
    case 'decided': {
      const { outcome, thrown } = ending;
      return outcome.kind === 'applied'
        ? deliveries.complete(job, outcome.result)
        : deliveries.fail(job, thrown ?? failureOf(outcome), survived, 'left');
    }
    case 'retry': {
      const { thrown } = ending;
      if (isLastAttempt(job, thrown)) return deliveries.fail(job, thrown, survived);
      return deliveries.retry(job, thrown, survived);
    }
    case 'held':
      return deliveries.fail(job, ending.thrown, survived, 'holds');
    case 'limited':
      return deliveries.waitForLimit(job, blockedMs, survived);
    case 'snoozed':
      return deliveries.snooze(job, ending.delayMs, survived);
    case 'gone':
      return deliveries.leave(job);
    case 'returned':
    case 'superseded':
      return deliveries.giveBack(job, survived);
  }
}
