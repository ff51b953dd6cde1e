/**
 * What BullMQ is told of a failure. It reads an error's name, message and stack wherever it likes, gives up at once
 * only for its own UnrecoverableError, and takes others of its names for no failure at all. So it gets an error
 * of ours with texts that were read once; listeners and backoff strategies get the one that was thrown.
 */
import { DelayedError, UnrecoverableError } from 'bullmq';
import { messageOf, stackOf } from '../../errors.ts';

/** Characters of a message and of a stack that are kept in Redis; BullMQ keeps a stack per attempt. */
const TEXT_MAX = 262_144;

/** BullMQ gives the job up, whatever attempts it has left. */
class FailedForGood extends UnrecoverableError {
  readonly thrown: Error;

  constructor(thrown: Error) {
    super(told(messageOf(thrown)));
    this.thrown = thrown;
    takeStack(this, thrown);
  }
}

/** BullMQ charges an attempt, and delivers the job again if it has some left. */
class FailedAttempt extends Error {
  override readonly name = 'FailedAttempt';
  readonly thrown: Error;

  constructor(thrown: Error) {
    super(told(messageOf(thrown)));
    this.thrown = thrown;
    takeStack(this, thrown);
  }
}

/** No failure: the job is in BullMQ's delayed set until its turn. */
export class Snoozed extends DelayedError {
  readonly delayMs: number;

  constructor(delayMs: number) {
    super();
    this.delayMs = delayMs;
  }
}

export function forGood(thrown: Error): Error {
  return new FailedForGood(thrown);
}

export function forThisAttempt(thrown: Error): Error {
  return new FailedAttempt(thrown);
}

/** The error that was thrown, of one that BullMQ was told; anything else as it is. */
export function thrownOf(error: unknown): unknown {
  const isOurs = error instanceof FailedForGood || error instanceof FailedAttempt;
  return isOurs ? error.thrown : error;
}

function takeStack(ours: Error, thrown: Error): void {
  const stack = stackOf(thrown);
  ours.stack = stack === undefined ? '' : told(stack);
}

function told(text: string): string {
  if (text.length <= TEXT_MAX) return text;
  return `${text.slice(0, TEXT_MAX)}… (${text.length} characters)`;
}
