/** settle: delivered jobs hear what became of them, and the turn goes on, ends, or says why it cannot go on. */
import type { Taken } from '../../jobs/lanes.ts';
import { MOVED } from '../../updates/outcome.ts';
import type { Batch } from '../fold/batch.ts';
import { AGAIN, type BatchEnd, IDLE, MORE, NEXT, type Turn } from './turn-state.ts';

/** Milliseconds between two looks at a head that waits for its delivery, if BullMQ does not say when. */
const DELIVERY_WAIT_MS = 250;

/** Nothing was decided, so nothing was committed. */
export function settleUncommitted(turn: Turn, taken: Taken, batch: Batch): BatchEnd {
  turn.arrivals.settleMany(batch.settlements);
  return afterwards(turn, batch, true, taken.headDueInMs);
}

export function settle(turn: Turn, taken: Taken, batch: Batch, missing: boolean): BatchEnd {
  const { arrivals } = turn;
  if (missing) arrivals.settleUndecided(batch.settlements);
  else arrivals.settleMany(batch.settlements);
  return afterwards(turn, batch, hasMore(taken, batch), 0);
}

/** Nothing more will be done under this lease once the batch is committed. */
export function isLast(taken: Taken, batch: Batch): boolean {
  const { kind } = batch.stop;
  return kind === 'end' || kind === 'commit' || kind === 'joint' ? !hasMore(taken, batch) : true;
}

/** Jobs are left in the lane. */
function hasMore(taken: Taken, batch: Batch): boolean {
  if (taken.length > batch.decided) return true;
  for (const decision of batch.decisions.values()) if (decision === MOVED) return true;
  return false;
}

function afterwards(turn: Turn, { stop }: Batch, more: boolean, headDueInMs: number): BatchEnd {
  const { context, key, arrivals } = turn;
  const { blockedMs } = context.options;
  switch (stop.kind) {
    case 'end':
    case 'commit':
    case 'joint':
      return more ? NEXT : IDLE;
    case 'closing':
      return MORE;
    case 'lost':
    case 'again':
      return AGAIN;
    case 'delivery':
      if (arrivals.get(stop.jobId) !== undefined) return MORE; // it came meanwhile
      context.deliverNext(stop.jobId, key);
      return { kind: 'blocked', delayMs: Math.max(DELIVERY_WAIT_MS, headDueInMs) };
    case 'unknown-update':
      context.report('updateUnknown', { key, jobId: stop.jobId, name: stop.name });
      return { kind: 'blocked', delayMs: blockedMs };
    case 'held': {
      const { jobId, reason } = stop;
      context.report('laneHeld', { key, jobId, reason, code: 'JOB_FAILED' });
      return { kind: 'blocked', delayMs: blockedMs };
    }
  }
}
