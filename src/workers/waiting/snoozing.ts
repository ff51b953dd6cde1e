/**
 * For how long a job gives its worker slot back. Pure. Coming back too late costs nothing but the
 * job's own latency, and not even that once somebody has decided it, since it is then promoted;
 * coming back too early costs a delivery. So ten thousand jobs of one slow key hold no slots.
 */
import type { TorilWorkerOptions } from '../../options.ts';

/** Milliseconds per job that are assumed while nothing is known of a key's pace. */
const PACE_ASSUMED_MS = 5;
/** Milliseconds between two jobs of a lane that stands still, so that they do not all look at once. */
export const STANDSTILL_SPREAD_MS = 50;
/** Milliseconds per job from which on a key counts as slow. */
export const SLOW_PACE_MS = 3;
/**
 * Milliseconds per job from which on a key whose jobs wait too long has the next ones snoozed before they
 * are delivered. With 4 workers and 2 ms per job, each was delivered 2.4 times, for 1.2 ms of CPU time; with
 * it 1.1 times, for half of that.
 */
export const SNOOZE_AHEAD_PACE_MS = 1;
/** Milliseconds: the first time a job is away, however little patience it has. */
const AWAY_MIN_MS = 1;
/** Keeps powers of two finite; snoozeMsMax is reached long before. */
const DOUBLINGS_MAX = 20;
/** A snoozed job comes back a little early rather than late. */
const EARLY_SHARE = 0.9;

export interface Waiting {
  /** Jobs before it in its lane. */
  readonly rank: number;
  /** Milliseconds per job of the key; 0: not known. */
  readonly paceMs: number;
  /** How often BullMQ has delivered it, this time included. */
  readonly deliveries: number;
}

/**
 * Milliseconds per job to reckon with. Of the first update, while it is waited for, one knows only that
 * it is slow, and jobs that are back too early have to be snoozed once more.
 */
export function expectedPaceMs(
  measuredMs: number,
  awaitedMs: number,
  { patienceMs }: Pick<TorilWorkerOptions, 'patienceMs'>,
): number {
  const isGuess = measuredMs === 0 && awaitedMs >= SLOW_PACE_MS;
  return Math.max(measuredMs, awaitedMs, isGuess ? patienceMs : 0);
}

/** Milliseconds until its turn, if somebody is at work on the key. */
export function untilTurnMs({ rank, paceMs }: Waiting): number {
  return rank * (paceMs || PACE_ASSUMED_MS);
}

/**
 * Milliseconds to be away while somebody else holds the lease: until its turn, and each time longer,
 * but never so long that nobody is there to take over from a holder that has died.
 */
export function awayUntilTurnMs(waiting: Waiting, options: TorilWorkerOptions): number {
  // Without patience a lease that nobody renews would be looked at every millisecond until its end.
  const firstMs = Math.max(options.patienceMs, AWAY_MIN_MS);
  const again = firstMs * 2 ** Math.min(waiting.deliveries - 1, DOUBLINGS_MAX);
  return Math.max(untilTurnMs(waiting), options.patienceMs, Math.min(again, options.leaseMs / 4));
}

/**
 * Milliseconds to be away while the lane stands still: its head is blocked, or a server is down. The
 * head looks again soon. All others each time later: what it waits for may be a delivery that their
 * own are in the way of, by priority or by a rate limit.
 */
export function awayAtStandstillMs({ rank, deliveries }: Waiting, atLeastMs: number): number {
  if (rank === 0) return atLeastMs;
  const again = atLeastMs * 2 ** Math.min(deliveries - 1, DOUBLINGS_MAX);
  return Math.max(again, rank * STANDSTILL_SPREAD_MS);
}

/** The delay to ask BullMQ for: whole milliseconds, spread a little, within the limit. */
export function delayMs(awayMs: number, options: TorilWorkerOptions, fraction: number): number {
  const spread = EARLY_SHARE + (1 - EARLY_SHARE) * fraction;
  return Math.ceil(Math.min(Math.max(awayMs * spread, 1), options.snoozeMsMax));
}
