import { type Clock, settlesWithin } from './clock.ts';

/** Milliseconds for saying goodbye to servers that answer; counted again while what is left gets less. */
const GOODBYE_MS = 1_000;
/** Milliseconds for what ends by itself once its connections are gone. */
const ABANDONED_MS = 500;

export interface Closing {
  readonly clock: Clock;
  /** Everything in good order. */
  readonly orderly: Promise<unknown>;
  /** Milliseconds for what is being worked on; 0: nothing is. */
  readonly workMs: number;
  /** Aborts when it is to be over at once. */
  readonly now?: AbortSignal;
  /** How much is still on its way. */
  readonly left: () => number;
  /** Ends every connection, whatever is under way. */
  readonly abandon: () => void;
}

/**
 * Closes in good order, as long as that makes sense: a server that is away or frozen would be waited
 * for without end, since every command waits for the next connection. False: it was abandoned.
 */
export async function closeInTime(closing: Closing): Promise<boolean> {
  const { clock, orderly, workMs, now, left, abandon } = closing;
  if (workMs > 0 && (await settlesWithin(clock, workMs, orderly, now))) return true;
  let before: number;
  do {
    before = left();
    if (await settlesWithin(clock, GOODBYE_MS, orderly)) return true;
  } while (left() < before);
  abandon();
  await settlesWithin(clock, ABANDONED_MS, orderly);
  return false;
}
