/** Asking Redis about a queue: its client would wait for the next connection without end, and in silence. */
import { type Clock, settlesWithin, systemClock } from '../base/clock.ts';
import { TorilError } from '../errors.ts';

/** Milliseconds within which Redis must answer. */
const ANSWER_MS = 10_000;

/** @throws TorilError REDIS_FAILED: it did not answer in time; and whatever was thrown in time */
export async function answered<T>(asked: Promise<T>, clock: Clock = systemClock): Promise<T> {
  if (await settlesWithin(clock, ANSWER_MS, asked)) return asked;
  throw new TorilError(
    'REDIS_FAILED',
    `Redis did not answer within ${ANSWER_MS} ms. If it was told to change something, look whether it has. Is it running, is the address right?`,
  );
}
