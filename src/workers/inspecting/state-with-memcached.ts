/** What a lane does or waits for, with what memcached tells of its key. Pure. */
import type { LaneState } from '../../jobs/reports/lane-report.ts';
import { stateOf } from '../../jobs/reports/lane-state.ts';
import type { LaneFacts } from '../../jobs/reports/lane-views.ts';
import type { CellStanding } from './cell-standing.ts';
import type { LockSight } from './lock-sight.ts';

export interface MemcachedSight {
  /** The address of the key's server. */
  readonly server: string;
  /** The lists of servers that workers have registered, and that was asked; undefined: none is registered. */
  readonly registered: string | undefined;
  readonly given: string;
  readonly cell: CellStanding;
  /** Undefined: nobody holds the lease. */
  readonly lock: LockSight | undefined;
  /** The cells of the first job's other keys, if it has several. */
  readonly others: readonly OtherCellSight[];
}

export interface OtherCellSight {
  readonly key: string;
  readonly server: string;
  readonly cell: CellStanding;
}

/** Whatever memcached says, these come first. */
const SETTLED: ReadonlySet<LaneState['kind']> = new Set([
  ...(['empty', 'held', 'job-gone', 'not-applied', 'children', 'paused'] as const),
  ...(['no-workers', 'unknown-update', 'other-lane', 'lanes-apart', 'redis'] as const),
]);
/** What a lane with a living holder is in for a moment. */
const MOVING: ReadonlySet<LaneState['kind']> = new Set([
  ...(['queued', 'delivered', 'snoozed', 'stalled'] as const),
]);

export function stateWithMemcached(facts: LaneFacts, sight: MemcachedSight): LaneState {
  const inRedis = stateOf(facts);
  if (SETTLED.has(inRedis.kind)) return inRedis;
  return serverState(sight) ?? leaseState(inRedis, facts, sight.lock);
}

function serverState(sight: MemcachedSight): LaneState | undefined {
  const { server, registered, given, cell, others } = sight;
  if (registered !== undefined && registered !== given)
    return { kind: 'other-servers', registered, given };
  const own = cellState(server, cell);
  if (own !== undefined) return own;
  for (const { key, server: its, cell: theirs } of others) {
    const state = cellState(its, theirs);
    if (state !== undefined) return { ...state, key };
  }
  return undefined;
}

function cellState(
  server: string,
  { standing, code = '', reason = '' }: CellStanding,
): (LaneState & { kind: 'memcached' | 'cell' }) | undefined {
  if (standing === 'unreachable') return { kind: 'memcached', server, code, reason };
  if (standing === 'refused') return { kind: 'cell', code, reason };
  if (standing === 'foreign')
    return { kind: 'cell', code: 'FOREIGN_VALUE', reason: 'it holds what Toril did not write' };
  return undefined;
}

function leaseState(inRedis: LaneState, facts: LaneFacts, lock: LockSight | undefined): LaneState {
  if (lock === undefined) {
    // What was noted as in hand was left behind by a process that died.
    const isNoted = inRedis.kind === 'lease' || inRedis.kind === 'working';
    return isNoted ? stateOf({ ...facts, inHand: undefined }) : inRedis;
  }
  const { leaseMs, unchangedMs: silentMs } = lock;
  const isMoving = MOVING.has(inRedis.kind);
  const takeoverInMs = Math.max(0, Math.round(leaseMs * 1.1) + 10 - silentMs);
  if (isMoving && silentMs > leaseMs / 2)
    return { kind: 'lease', worker: undefined, leaseMs, silentMs, takeoverInMs };
  return isMoving ? { kind: 'working', worker: undefined, sinceMs: undefined } : inRedis;
}
