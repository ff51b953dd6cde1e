/** A state of the whole: servers, workers, what is under way, and which faults are left. */
import { NOTHING_WATCHED, type Watch } from './checks.ts';
import type { MemcachedState } from './memcached-states.ts';
import type { RedisState } from './redis-states.ts';
import type { WorkerNode } from './worker-tree.ts';

/** A worker and what is on its links. */
export interface Place {
  readonly node: WorkerNode;
  /** The outcomes of its oldest requests, which are executed: they are on their way back. */
  readonly outcomes: readonly number[];
  /** The server has closed its connection; it has not heard of it. */
  readonly isGone: boolean;
  /** It does nothing until memcached restarts (independent-steps.ts): of its calls, so many were sent before, and may run. */
  readonly cutOff: number | undefined;
  /** As `outcomes`, of its calls to Redis. */
  readonly replies: readonly number[];
  /** There may be something else to be seen than when it last looked (enabled.ts). */
  readonly hasNews: boolean;
  /** Of a worker that has finished, or is cut off: what it has sent and is not executed. */
  readonly left: readonly number[];
}

/** What was sent on a connection that is no more. It may land at any time, in order, or never. */
export interface Orphan {
  readonly owner: number;
  readonly to: 'memcached' | 'redis';
  readonly requests: readonly number[];
}

/** How many faults of each kind may still strike. */
export interface Budget {
  /** How often the length of a lease passes: for one worker, or for all if their clocks run in step. */
  readonly expiries: number;
  readonly renewals: number;
  readonly evictions: number;
  readonly restarts: number;
  readonly timeouts: number;
  readonly crashes: number;
  readonly refusals: number;
  /** Of all kinds together. */
  readonly faults: number;
}

export interface State {
  readonly memcached: MemcachedState;
  readonly redis: RedisState;
  readonly places: readonly Place[];
  readonly orphans: readonly Orphan[];
  readonly budget: Budget;
  readonly watch: Watch;
}

export function firstState(
  memcached: MemcachedState,
  redis: RedisState,
  nodes: readonly WorkerNode[],
  budget: Budget,
): State {
  const places = nodes.map((node) => ({
    node,
    outcomes: [],
    isGone: false,
    cutOff: undefined,
    replies: [],
    hasNews: true,
    left: [],
  }));
  return { memcached, redis, places, orphans: [], budget, watch: NOTHING_WATCHED };
}

/**
 * Writes a state into numbers, the same for the same state only. Returns how many. The order of
 * orphans has no meaning, so they are sorted.
 */
export function encode(state: State, into: Int32Array): number {
  const { memcached, redis, places, orphans, budget, watch } = state;
  let at = 0;
  into[at++] = memcached.id;
  into[at++] = redis.id;
  for (const { node, outcomes, isGone, cutOff, replies, left, hasNews } of places) {
    if (isAtRest({ node, cutOff })) {
      into[at++] = -1 - left.length * 16 - (cutOff ?? -1) - 1;
      for (const request of left) into[at++] = request;
      if (node.over) continue;
    }
    into[at++] = node.id;
    into[at++] = (outcomes.length * 8 + replies.length) * 4 + (isGone ? 2 : 0) + (hasNews ? 1 : 0);
    for (const outcome of outcomes) into[at++] = outcome;
    for (const reply of replies) into[at++] = reply;
  }
  const { expiries, renewals, evictions, restarts, timeouts, crashes, refusals, faults } = budget;
  into[at++] = (((expiries * 8 + renewals) * 8 + evictions) * 8 + restarts) * 8 + timeouts;
  into[at++] = (crashes * 8 + refusals) * 64 + faults;
  const { lostCells, isLockLost, begun, landed, landedBits, deniedBits } = watch;
  into[at++] = begun * 16 + lostCells * 2 + (isLockLost ? 1 : 0);
  into[at++] = landed;
  into[at++] = landedBits;
  into[at++] = deniedBits;
  for (const { owner, to, requests } of orphans) {
    into[at++] = (owner * 2 + (to === 'redis' ? 1 : 0)) * 64 + requests.length;
    for (const request of requests) into[at++] = request;
  }
  return at;
}

/** It has finished, or waits for a restart: what it has sent to memcached is seen by nobody any more. */
export function isAtRest({ node, cutOff }: Pick<Place, 'node' | 'cutOff'>): boolean {
  return node.over || cutOff !== undefined;
}

/** Memcached will restart: somebody is cut off until then. */
export function isRestartDue({ places }: State): boolean {
  return places.some(({ cutOff }) => cutOff !== undefined);
}

/** It may, or will. */
export function restartsLater(state: State): boolean {
  const { restarts, faults } = state.budget;
  return (restarts > 0 && faults > 0) || isRestartDue(state);
}
