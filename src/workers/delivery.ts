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

/** Returns the job's result, or throws what BullMQ understands. */
export async function report(
  job: Job,
  token: string,
  settlement: Settlement,
  backend: TorilBackend,
): Promise<unknown> {
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
    case 'parked':
      await backend
        .park(jobId, settlement.survivedStart === true, settlement.delayMs, token, job.attemptsMade)
        .catch(() => undefined);
      throw new DelayedError();
    case 'returned':
      await backend.moveJobFromActiveToWait(jobId, token).catch(() => undefined);
      throw new WaitingError();
  }
}

/** BullMQ gives up at once only for its own error; the stack stays the original one. */
function forGood(thrown: Error): Error {
  if (thrown.name === 'UnrecoverableError') return thrown;
  const final = new UnrecoverableError(thrown.message);
  if (thrown.stack !== undefined) final.stack = thrown.stack;
  final.cause = thrown;
  return final;
}
