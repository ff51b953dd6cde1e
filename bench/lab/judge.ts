/** Who was right: from the hash in memcached and the evidence to what is lost, doubled, reordered. */
import { auditKey, chainBehind, type Verdict } from '../chain-audit.ts';
import type { Arrival, Evidence } from './evidence.ts';

/** @param hash of the value in the end; undefined: there is none */
export function judge(hash: number | undefined, { steps, arrivals, done }: Evidence): Verdict {
  const found = hash === undefined ? [] : chainBehind(hash, steps);
  // What no client was told to be done may be in the value or not.
  const { lost, doubled } = auditKey(done.keys(), found, true);
  return { lost, doubled, reordered: overtaken(found, arrivals) };
}

/**
 * Updates that were applied behind one that came later: whose first request went out only when the
 * other's had been answered already. Those that came at the same time have no order to keep.
 */
export function overtaken(
  found: readonly number[],
  arrivals: ReadonlyMap<number, Arrival>,
): number {
  let latestStartMs = Number.NEGATIVE_INFINITY;
  let count = 0;
  for (const i of new Set(found)) {
    const arrival = arrivals.get(i);
    if (arrival === undefined) continue;
    if (arrival.arrivedMs < latestStartMs) count++;
    latestStartMs = Math.max(latestStartMs, arrival.startedMs);
  }
  return count;
}

/** The longest time in which no client was told anything, in milliseconds. */
export function longestStandstillMs(startedMs: number, { done }: Evidence): number {
  let longest = 0;
  let lastMs = startedMs;
  for (const atMs of [...done.values()].toSorted((one, other) => one - other)) {
    longest = Math.max(longest, atMs - lastMs);
    lastMs = atMs;
  }
  return longest;
}
