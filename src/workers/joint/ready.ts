/** A job of several keys that is the first one of a lane, but not of all its lanes: it waits, and holds its lanes. */
import { TorilError } from '../../errors.ts';
import type { JointHead } from '../../jobs/joint-lanes.ts';
import type { Taken } from '../../jobs/lanes.ts';
import type { LaneEntry } from '../../jobs/lane.ts';
import { encodeDecision } from '../../updates/outcome.ts';
import { dropped } from '../fold/fold-errors.ts';
import { laneEntries } from '../turn/take.ts';
import { type BatchEnd, NEXT, type Turn } from '../turn/turn-state.ts';

export async function notReady(
  turn: Turn,
  taken: Taken,
  { blockedBy, missingIn, isInHand, stands }: Omit<JointHead, 'ready' | 'others' | 'lost'>,
): Promise<BatchEnd> {
  if (isInHand) return { kind: 'in-hand' };
  const entry = laneEntries(taken, turn.key)[0] as LaneEntry;
  const [missing] = missingIn;
  if (missing !== undefined) return apart(turn, entry, missing);
  const { context, memory, key } = turn;
  const { jobId, sequence } = entry;
  // With another sequence it has entered again, after an operator's retry for example.
  const wait = `${jobId} ${sequence}`;
  const { blockedSince } = memory.worker;
  const failAfterMs = mayWaitMs(turn, entry);
  let sinceMs = blockedSince.get(wait);
  if (sinceMs === undefined) {
    const isLimited = failAfterMs !== undefined;
    const waitedMs = isLimited ? await context.lanes.noteWait(jobId, sequence, failAfterMs) : 0;
    sinceMs = context.clock.monotonicMs() - waitedMs;
    blockedSince.set(wait, sinceMs);
    context.report('laneWaits', { key, jobId, forKey: blockedBy[0] as string });
  }
  const waitedMs = context.clock.monotonicMs() - sinceMs;
  const leftMs = (failAfterMs ?? Number.POSITIVE_INFINITY) - waitedMs;
  if (leftMs <= 0 && (await gaveUp(turn, entry, waitedMs, blockedBy))) return NEXT;
  // Whoever waits for its outcome waits here: nobody else may pull the lanes that hold it up.
  blockedBy.forEach((other) => turn.toVisit.add(other));
  // Of one that is to give up after a while, somebody must look in time.
  const end = waitFor(turn, blockedBy, stands && failAfterMs === undefined);
  return end.kind === 'waits' && leftMs > 0 ? { ...end, withinMs: leftMs } : end;
}

/**
 * For lanes of which this one's first job is not the first. While they stand still, so does this one, and its jobs give their
 * slots back: the delivery that all of them wait for may need one. With 4 workers, 35 of 400 jobs that failed once, and a
 * patience of 1 s, they kept it waiting until their patience was over each time: 51 s instead of 0.9 s in all.
 */
export function waitFor({ context }: Turn, forKeys: readonly string[], stands: boolean): BatchEnd {
  return stands
    ? { kind: 'blocked', delayMs: context.options.blockedMs }
    : { kind: 'waits', forKeys };
}

/** Undefined: for ever; or the worker does not know its update. */
function mayWaitMs({ context }: Turn, { name }: LaneEntry): number | undefined {
  const { onBlocked } = context.registry.find(name) ?? {};
  return typeof onBlocked === 'object' ? onBlocked.failAfterMs : undefined;
}

/** It has left all its lanes. */
async function gaveUp(
  turn: Turn,
  entry: LaneEntry,
  waitedMs: number,
  blockedBy: readonly string[],
): Promise<boolean> {
  const named = blockedBy.map((one) => `"${one}"`).join(', ');
  // What holds it up may be at a key that it does not have: a transaction before it waits for that.
  const how = blockedBy.some((one) => entry.keys?.includes(one)) ? 'at' : 'that wait for';
  const message = `it has waited at "${turn.key}" for ${Math.round(waitedMs)} ms for the jobs before it ${how} ${named} (onBlocked).`;
  return leaves(turn, entry, { code: 'JOINT_BLOCKED', message });
}

/** Out of all its lanes; those of this process, at one of which it waits, look at once. False: it is in none. */
async function leaves(
  { context, key, toVisit, neighbours }: Turn,
  { jobId, keys = [] }: LaneEntry,
  { code, message }: { readonly code: string; readonly message: string },
): Promise<boolean> {
  const outcome = { kind: 'failed', code, message, cascades: false } as const;
  if (!(await context.lanes.withdraw(jobId, encodeDecision(outcome)))) return false;
  for (const other of keys) {
    if (other === key) continue;
    toVisit.add(other);
    neighbours.wake(other); // which tells those that wait for its lane
  }
  return true;
}

/** Somebody has changed a lane by hand, or settled one of its keys: nobody but an operator knows what is right. */
async function apart(turn: Turn, entry: LaneEntry, missing: string): Promise<BatchEnd> {
  const { key } = turn;
  const { jobId, directive, finished } = entry;
  const isOver = directive === 'drop' || finished !== 'no';
  if (isOver && (await leaves(turn, entry, dropped()))) return NEXT;
  const cause = new TorilError(
    'LANES_APART',
    `transaction ${jobId} waits at "${key}", but is missing in the lane of "${missing}", changed by hand. See whether its effect is there, then say "toril lane ${key} --drop".`,
  );
  return turn.held(cause);
}
