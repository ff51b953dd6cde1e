/**
 * Before a job fails for good because processes died of it, those that live get the time to say so. One may have lost the
 * job's lock and the lease a moment ago, and notices that within a lease (simulation, seed 94460).
 */
import { pause } from '../../base/clock.ts';
import type { FoldTurn } from './batch.ts';

/** Of a lease: nobody trusts one for longer than it lasts, and the word needs time to arrive. */
const HEARD_WITHIN_LEASES = 1.25;
/** Looks per lease whether the worker closes. */
const LOOKS_PER_LEASE = 8;

/** False: our own lease was lost meanwhile. */
export async function waitForLastWord({ lease, context, closing }: FoldTurn): Promise<boolean> {
  const { clock } = context;
  const { durationMs, signal } = lease;
  const untilMs = clock.monotonicMs() + durationMs * HEARD_WITHIN_LEASES;
  let leftMs = durationMs;
  while (leftMs > 0 && !closing() && lease.trustLeftMs() > 0) {
    await pause(clock, Math.min(leftMs, durationMs / LOOKS_PER_LEASE), signal);
    leftMs = untilMs - clock.monotonicMs();
  }
  return lease.trustLeftMs() > 0;
}
