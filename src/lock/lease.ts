/**
 * The arithmetic of a lease: when trust in it ends, when to renew, when another may take it over.
 * Pure: no clock is read here. All times are milliseconds on one process's own monotonic clock;
 * times of two processes are never compared. A renewal has until the connection's own deadline or
 * until trust ends, whichever comes first; neither needs arithmetic.
 *
 * Trust counted from the moment of sending: riverqueue/river, internal/leadership/elector.go.
 * Staleness by the observer's own clock: awslabs/amazon-dynamodb-lock-client.
 */
import { TorilError } from '../errors.ts';

/** Below it a renewal, due at a third, would compete with ordinary pauses of the event loop. */
export const LEASE_MIN_MS = 100;
/** Keeps the lock item's lifetime far away from 30 days, from where memcached takes it for a date. */
export const LEASE_MAX_MS: number = 60 * 60 * 1000;
export const LEASE_DEFAULT_MS = 10_000;

/**
 * A contender waits this much longer than the lease, since two machines' clocks do not run at the
 * same rate: NTP slews by up to 0.05 %, chrony by up to 8.3 % unless told otherwise. The fixed part
 * is for timers, which count whole milliseconds.
 */
const TAKEOVER_MARGIN_RATE = 0.1;
const TAKEOVER_MARGIN_MIN_MS = 10;

/** An item set for N seconds may be gone after N-2: memcached counts whole ticks. */
const TTL_ROUNDING_SECONDS = 2;
const TTL_MIN_SECONDS = 3;

/** When one is due after a renewal for which the server had no room: some tries before trust ends. */
const RENEWAL_RETRY_FRACTION = 1 / 9;

/** Throws INVALID_OPTIONS unless `leaseMs` is a length that a lease can have. */
export function checkLeaseMs(leaseMs: number): void {
  if (isLeaseMs(leaseMs)) return;
  throw new TorilError(
    'INVALID_OPTIONS',
    `leaseMs is ${leaseMs}. It is a whole number of milliseconds from ${LEASE_MIN_MS} to ${LEASE_MAX_MS}.`,
  );
}

export function isLeaseMs(leaseMs: number): boolean {
  return Number.isInteger(leaseMs) && leaseMs >= LEASE_MIN_MS && leaseMs <= LEASE_MAX_MS;
}

/** `sentMs`: when the last request that succeeded was handed over for sending, not when it was answered. */
export function trustEndMs(sentMs: number, durationMs: number): number {
  return sentMs + durationMs;
}

/** At a third, so that a second renewal still fits before the end if the first one is slow. */
export function renewalDueMs(sentMs: number, durationMs: number): number {
  return sentMs + durationMs / 3;
}

/** When to try again after a renewal, sent at `sentMs`, that was refused without the lease being lost. */
export function renewalRetryMs(sentMs: number, durationMs: number): number {
  return sentMs + durationMs * RENEWAL_RETRY_FRACTION;
}

/**
 * From when on a contender may take the lock over: it has seen the same version of it for the
 * holder's whole lease length and the margin. `firstSeenMs` must be the moment at which the first
 * answer *arrived*: at that moment the version existed, so the holder's request for it had been
 * sent earlier, and trust, counted from that sending, ends earlier than this.
 */
export function takeoverDueMs(firstSeenMs: number, holderDurationMs: number): number {
  return firstSeenMs + holderDurationMs + takeoverMarginMs(holderDurationMs);
}

export function takeoverMarginMs(holderDurationMs: number): number {
  return TAKEOVER_MARGIN_MIN_MS + holderDurationMs * TAKEOVER_MARGIN_RATE;
}

/**
 * Seconds for the lock item to live: it must not be gone before a takeover would be due, whatever
 * memcached's rounding does. It is the broom that sweeps up behind holders that died.
 */
export function itemTtlSeconds(durationMs: number): number {
  const neededMs = durationMs + takeoverMarginMs(durationMs);
  return Math.max(TTL_MIN_SECONDS, Math.ceil(neededMs / 1000) + TTL_ROUNDING_SECONDS);
}
