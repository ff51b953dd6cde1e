/**
 * What this process has seen of locks that others hold: which version, since when. From it follow
 * how long to wait before asking again and when a lock may be taken over.
 */
import type { Random } from '../base/random.ts';
import type { Cas, Connection } from '../memcached/server.ts';
import { takeoverDueMs } from './lease.ts';
import type { LockContent } from './lock-item.ts';

/**
 * Locks watched at a time. Beyond it the one not asked for longest is forgotten, which costs its
 * contenders time, never safety: watching starts over, and the item expires in the end.
 */
export const OBSERVATIONS_MAX = 16_384;
/** Owner ids of our own that may still stand in a lock though nobody holds it. */
const ABANDONED_MAX = 16_384;

/** Short at first: most leases live a few milliseconds. */
const RETRY_FIRST_MS = 1;
const RETRY_MAX_MS = 50;

export interface LockObservation {
  readonly owner: string;
  readonly cas: Cas;
  /**
   * Where `cas` was read last. A server that restarts gives old numbers to new locks, so that a
   * takeover may only go out on the very connection on which its CAS was seen.
   */
  readonly connection: Connection;
  /** From when on the lock may be taken over. */
  readonly dueMs: number;
  /** How many times in a row the lock was found held, by whomever. */
  readonly times: number;
}

export class LockObservations {
  readonly #seen = new Map<string, LockObservation>();
  readonly #abandoned = new Set<string>();

  get size(): number {
    return this.#seen.size;
  }

  /** The CAS with which the lock may be taken over on this connection now, if it may. */
  takeoverCas(lockName: string, connection: Connection, nowMs: number): Cas | undefined {
    if (this.#seen.size === 0) return undefined;
    const last = this.#seen.get(lockName);
    if (last === undefined || last.connection !== connection || nowMs < last.dueMs)
      return undefined;
    return last.cas;
  }

  /** Somebody holds the lock. `nowMs`: when the answer arrived. */
  see(
    lockName: string,
    connection: Connection,
    cas: Cas,
    { owner, durationMs }: LockContent,
    nowMs: number,
  ): LockObservation {
    const last = this.#seen.get(lockName);
    // An owner id is made for one attempt, so owner and CAS together never come back, not even
    // after a restart: the time watched so far counts on another connection too.
    const same = last !== undefined && last.cas === cas && last.owner === owner;
    const dueMs = this.#abandoned.has(owner) ? nowMs : takeoverDueMs(nowMs, durationMs);
    const observation: LockObservation = {
      owner,
      cas,
      connection,
      dueMs: same ? Math.min(last.dueMs, dueMs) : dueMs,
      times: (last?.times ?? 0) + 1,
    };
    this.#seen.delete(lockName);
    this.#seen.set(lockName, observation);
    forgetOldest(this.#seen, OBSERVATIONS_MAX);
    return observation;
  }

  /** The lock is free, or ours. */
  forget(lockName: string): void {
    if (this.#seen.size > 0) this.#seen.delete(lockName);
  }

  /**
   * An owner id of this process may still stand in its lock, or may yet be written there by a late
   * request, but no lease goes with it any more: the one of us that meets it need not watch it first.
   */
  abandon(owner: string): void {
    this.#abandoned.add(owner);
    forgetOldest(this.#abandoned, ABANDONED_MAX);
  }
}

/** With jitter, growing from about 1 ms to 50 ms, but never past the moment a takeover is due. */
export function retryAfterMs(observation: LockObservation, nowMs: number, random: Random): number {
  const doublings = Math.min(observation.times - 1, 16);
  const ceilingMs = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** doublings);
  const jitteredMs = ceilingMs * (0.5 + random.fraction() / 2);
  return Math.max(0, Math.min(jitteredMs, observation.dueMs - nowMs));
}

/** Maps and Sets keep the order of insertion. */
function forgetOldest(things: Map<string, unknown> | Set<string>, limit: number): void {
  if (things.size <= limit) return;
  for (const name of things.keys()) {
    things.delete(name);
    return;
  }
}
