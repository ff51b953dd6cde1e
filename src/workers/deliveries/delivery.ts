/** What BullMQ is told of a delivered job, once it is settled. */
import { DelayedError, type Job, RateLimitError, UnrecoverableError, WaitingError } from 'bullmq';
import type { TorilBackend } from '../../jobs/bullmq/bull-backend.ts';
import { failureOf } from '../../updates/outcome.ts';
import type { Settlement } from './arrival.ts';
import { isFinal } from '../fold/fold-errors.ts';
import { forGood, forThisAttempt } from './told-failures.ts';

/** How a delivery ended, also where no gate was asked. */
export type Ending =
  | Settlement
  /** The job is in none of BullMQ's lists any more. */
  | { readonly kind: 'gone' };

/** Whether BullMQ would not deliver the job again after this error. */
export function isLastAttempt(job: Job, thrown: Error): boolean {
  const givesUp = isFinal(thrown) || thrown instanceof UnrecoverableError;
  return givesUp || job.attemptsMade + 1 >= (job.opts.attempts ?? 0);
}

/** The job's result, or an error that BullMQ understands. A promise only where Redis is asked: most jobs are applied. */
export function report(
  job: Job,
  token: string,
  settlement: Ending,
  backend: TorilBackend,
  blockedMs: number,
): unknown {
  const jobId = job.id as string;
  switch (settlement.kind) {
    case 'decided': {
      const { outcome, thrown } = settlement;
      if (outcome.kind === 'failed') {
        backend.forgetWhenFailed(jobId);
        throw forGood(thrown ?? failureOf(outcome));
      }
      return outcome.result === '' ? undefined : JSON.parse(outcome.result);
    }
    case 'retry': {
      const { thrown } = settlement;
      backend.noteAttempts(jobId, job.attemptsMade);
      throw isLastAttempt(job, thrown) ? forGood(thrown) : forThisAttempt(thrown);
    }
    case 'held':
      backend.keepWhenFailed(jobId);
      throw forGood(settlement.thrown);
    case 'limited':
      return untilLimitIsOver(job, token, backend, blockedMs);
    // If these two cannot be carried out, the worker closes or the job is no longer its own: any other
    // error would use up an attempt.
    case 'parked': {
      const { delayMs, survivedStart = false } = settlement;
      const parking = backend.park(jobId, survivedStart, delayMs, token, job.attemptsMade);
      return endingIn(new DelayedError(), parking);
    }
    case 'gone':
      throw new WaitingError(); // BullMQ takes it for moved, and leaves it alone
    case 'returned': {
      const { survivedStart = false } = settlement;
      const { attemptsMade } = job;
      const givenBack = backend.giveBack(jobId, token, { attemptsMade, survivedStart });
      return endingIn(new WaitingError(), givenBack);
    }
  }
}

/**
 * As BullMQ does it: back to the front of the queue, and this worker fetches nothing while the limit lasts. One who
 * has set none (`queue.rateLimit(ms)`) would be delivered again at once, and again.
 */
async function untilLimitIsOver(
  job: Job,
  token: string,
  backend: TorilBackend,
  blockedMs: number,
): Promise<never> {
  const jobId = job.id as string;
  const limitMs = await backend.getRateLimitTtl().catch(() => 0);
  if (limitMs > 0) throw new RateLimitError();
  return endingIn(
    new DelayedError(),
    backend.park(jobId, false, blockedMs, token, job.attemptsMade),
  );
}

async function endingIn(error: Error, moved: Promise<unknown>): Promise<never> {
  await moved.catch(() => undefined);
  throw error;
}
