/** take: the lane's head, the copy, and a fencing token that was drawn after the lease was acquired. */
import type { Taken, TakeRequest } from '../../jobs/lanes.ts';
import type { LaneEntry } from '../../jobs/lane.ts';
import { decodeOutcome } from '../../updates/outcome.ts';
import type { Arrivals } from '../deliveries/arrivals.ts';
import type { Turn } from './turn-state.ts';

/** @param asked jobs that were delivered here and wait for their outcome */
export function takeRequest(turn: Turn, asked: readonly string[]): TakeRequest {
  const { context, key, memory, cell, observer } = turn;
  return {
    key,
    cell: cell.content.kind === 'envelope' ? cell.content.envelope : undefined,
    arrivals: asked,
    jobsMax: memory.pace.jobsToTake(context.options),
    ...(context.registry.hasTransactions && {
      runJobsMax: memory.worker.runPace.jobsToTake(context.options),
    }),
    dataMax: context.options.batchDataMax,
    traces: context.inTrace !== undefined || observer?.wantsTraces === true,
  };
}

/** Settles those of `asked` whose outcome is known by now. */
export function noteTaken(turn: Turn, asked: readonly string[], taken: Taken): Taken {
  const { context, key, arrivals } = turn;
  const { decided, gone, length } = taken;
  for (const [jobId, text] of decided) {
    const outcome = decodeOutcome(text);
    if (outcome !== undefined) arrivals.settle(jobId, { kind: 'decided', outcome });
  }
  if (length === laneEntries(taken, key).length) dismissAbsent(arrivals, asked, taken);
  if (gone.length > 0) context.report('jobsMissing', { key, jobIds: gone });
  noteInHand(turn, taken);
  return taken;
}

/** Of the entries that were taken, those of the lane: a run of jobs of several keys has others as well. */
export function laneEntries({ entries, joint }: Taken, key: string): readonly LaneEntry[] {
  return joint === undefined ? entries : entries.filter(({ keys }) => keys?.includes(key));
}

function noteInHand(turn: Turn, { entries, token, joint }: Taken): void {
  const isInHand = joint === undefined ? entries.length > 0 : joint.ready > 0;
  turn.takenToken = isInHand ? token : 0;
  turn.takenKeys = joint === undefined ? [turn.key] : [turn.key, ...joint.others.keys()];
}

/** In this batch, only delivered jobs may be applied. */
export function isRestricted({ context, arrivals }: Turn, { restricted }: Taken): boolean {
  return restricted || context.rateLimited || smellsOfPoison(arrivals);
}

/**
 * A job waits here with which a process has died before. It may have died of another one in the
 * same batch, which was never delivered itself and so is not suspected: until the
 * culprit dies in a delivery of its own, only delivered jobs are applied. Without this rule a job
 * that was often given back killed nine processes before it was found out.
 */
function smellsOfPoison(arrivals: Arrivals): boolean {
  for (const { stalls } of arrivals.waiting()) if (stalls > 0) return true;
  return false;
}

/** A delivered job that is neither in its lane nor decided was removed from BullMQ meanwhile. */
function dismissAbsent(arrivals: Arrivals, asked: readonly string[], { entries }: Taken): void {
  const [only] = entries;
  if (asked.length === 1 && asked[0] === only?.jobId) return; // nearly always
  const present = new Set(entries.map(({ jobId }) => jobId));
  for (const jobId of asked) {
    if (!present.has(jobId)) arrivals.settle(jobId, { kind: 'snoozed', delayMs: 0 });
  }
}
