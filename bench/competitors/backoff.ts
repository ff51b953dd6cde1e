/** Waiting between two attempts, as lock recipes advise: exponential with full jitter. */
import { setTimeout as sleep } from 'node:timers/promises';

const FIRST_MS = 1;
const LONGEST_MS = 50;

/** @param attempt 0 for the first */
export async function backOff(attempt: number, longestMs = LONGEST_MS): Promise<void> {
  await sleep(Math.random() * Math.min(longestMs, FIRST_MS * 2 ** attempt));
}
