/** What BullMQ is told of a delivered job, once it is settled. */
import { DelayedError, type Job, UnrecoverableError, WaitingError } from 'bullmq';
import type { TorilBackend } from '../jobs/bull-backend.ts';
import { failureOf } from '../jobs/outcome.ts';
import { isFinal } from './fold-errors.ts';
import type { Settlement } from './arrival.ts';

/** Whether BullMQ would not deliver the job again after this error. */
export function isLastAttempt(job: Job, thrown: Error): boolean {
  const givesUp = isFinal(thrown) || thrown instanceof UnrecoverableError;
  return givesUp || job.attemptsMade + 1 >= (job.opts.attempts ?? 0);
}

/** The job's result, or an error that BullMQ understands. A promise only where Redis is asked: most jobs are applied. */
export function report(
  job: Job,
  token: string,
  settlement: Settlement,
  backend: TorilBackend,
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
    case 'retry':
      throw settlement.thrown;
    case 'held':
      backend.keepWhenFailed(jobId);
      throw forGood(settlement.thrown);
    // If these two cannot be carried out, the job stays active until BullMQ takes it for stalled: any
    // other error would use up an attempt.
    case 'parked': {
      const { delayMs, survivedStart = false } = settlement;
      const parking = backend.park(jobId, survivedStart, delayMs, token, job.attemptsMade);
      return endingIn(new DelayedError(), parking);
    }
    case 'returned':
      return endingIn(new WaitingError(), backend.moveJobFromActiveToWait(jobId, token));
  }
}

async function endingIn(error: Error, moved: Promise<unknown>): Promise<never> {
  await moved.catch(() => undefined);
  throw error;
}

/** BullMQ gives up at once only for its own error; the stack stays the original one. */
function forGood(thrown: Error): Error {
  if (thrown.name === 'UnrecoverableError') return thrown;
  const final = new UnrecoverableError(thrown.message);
  if (thrown.stack !== undefined) final.stack = thrown.stack;
  final.cause = thrown;
  return final;
}
