/**
 * Jobs of several keys, met at the head of a lane whose lease is held. Lane order is their lock: while one is at the head of
 * all its lanes, no ordinary commit of these keys can begin. They are decided in Redis first, by one step for all keys, and
 * their cells are written afterwards. After take and reconcile (turn.ts):
 *
 *   ready        in memory  ready.ts         not ready: a visit to each lane where it is not next, and then it waits
 *   read         memcached  run-keys.ts      the other keys' cells; dies here: nothing happened
 *   fold         in memory  fold-run.ts      dies here: nothing happened
 *   acknowledge  Redis      drive.ts         dies here: the copies are ahead of the cells, which a visit puts right
 *   write        memcached  write-cells.ts   dies here: the same, of some cells
 *   settle       in memory  drive.ts         the commit is no longer behind; BullMQ completes the jobs
 *
 * The own lease spares two processes the same work, and guards nothing: of two drivers, the first acknowledgement wins.
 */
import { TorilError } from '../../errors.ts';
import type { JointCommit, JointEntry, JointHead } from '../../jobs/joint-lanes.ts';
import type { Taken } from '../../jobs/lanes.ts';
import type { LaneEntry } from '../../jobs/lane.ts';
import type { Settlement } from '../deliveries/arrival.ts';
import type { Batch, FoldStart } from '../fold/batch.ts';
import { noteOfJoint } from '../fold/history-notes.ts';
import { reportBeginning } from '../turn/find-start.ts';
import { isLast, settle, settleUncommitted } from '../turn/settle.ts';
import { isRestricted, laneEntries } from '../turn/take.ts';
import { AGAIN, type BatchEnd, type Turn } from '../turn/turn-state.ts';
import { type FoldedRun, foldRun } from './fold-run.ts';
import { notReady, waitFor } from './ready.ts';
import { type RunKeys, runKeys } from './run-keys.ts';
import { writeCells } from './write-cells.ts';

/** @param start where the own key's fold begins */
export async function driveJoint(
  turn: Turn,
  taken: Taken,
  joint: JointHead,
  start: FoldStart,
): Promise<BatchEnd> {
  if (joint.ready === 0) return notReady(turn, taken, joint);
  const { driven } = turn.memory.worker;
  const keys = [turn.key, ...joint.others.keys()];
  // Another combiner of this process drives some of these keys right now, and would only be refused, or refuse us.
  if (keys.some((key) => (driven.get(key) ?? turn) !== turn)) return { kind: 'in-hand' };
  turn.drive(keys);
  try {
    return await drive(turn, taken, joint, start);
  } finally {
    // They stay this turn's until it knows how it goes on: who waits at them only looks what was decided.
    keys.forEach((key) => turn.neighbours.goneOn(key));
  }
}

async function drive(
  turn: Turn,
  taken: Taken,
  joint: JointHead,
  start: FoldStart,
): Promise<BatchEnd> {
  const { context, memory } = turn;
  const { run, cascadeTo } = runOf(turn, taken, joint);
  const found = await runKeys(turn, taken, joint, run, start);
  if (found.kind !== 'keys') return seenTo(turn, found);

  turn.restricted = isRestricted(turn, taken);
  const startedMs = context.clock.monotonicMs();
  const folded = await foldRun(turn, taken, run, found.keys, cascadeTo);
  if (folded instanceof TorilError) return turn.held(folded);
  const { batch } = folded;
  // Not of the whole way: a few jobs, slow because they are few, would have only a few taken again.
  if (batch.decided > 0)
    memory.worker.runPace.measured(batch.decided, context.clock.monotonicMs() - startedMs);
  turn.observer?.folded(batch);
  // Whether the lease is still trusted does not matter any more: Redis refuses what somebody else was faster with.
  if (batch.stop.kind === 'lost') return turn.lost();
  const elsewhere = stopsElsewhere(turn, folded, run);
  if (folded.decisions.size === 0) {
    if (elsewhere === undefined) return settleUncommitted(turn, taken, batch);
    return waitsFor(turn, taken, elsewhere, batch.stop.kind === 'delivery');
  }

  const { accepted, onward } = await context.lanes.acknowledgeJoint(
    commitOf(turn, taken, run, folded),
  );
  turn.observer?.acknowledged();
  if (!accepted) {
    context.report('acknowledgementRefused', { key: turn.key, token: taken.token });
    return AGAIN;
  }
  // The run may have ended before it was to: before one that fails, or in a limited queue after each job, and each of these waited for IN_HAND_MS.
  turn.putBack(new Set(folded.keys.map(({ of }) => of.key)));
  reportCommitted(turn, taken, folded);
  const own = ownBatch(turn, folded, elsewhere);
  const last = isLast(taken, own);
  const unwritten = await writeCells(turn, folded.keys, last);
  turn.observer?.committed();
  for (const { of } of folded.keys)
    if (!unwritten.includes(of.key)) reportBeginning(context, of.key, of);
  const isWritten = unwritten.length === 0;
  if (isWritten) context.lanes.settled(taken.token, isLasting(folded)).catch(() => undefined); // else the sweep says so
  const end = settleJobs(turn, taken, run, own, isWritten);
  noteVisits(turn, folded, onward, unwritten);
  return isWritten ? end : AGAIN;
}

/** A key of the job before which the run ends, if that is in other lanes only: what is to be done for it is theirs. */
function stopsElsewhere(
  { key }: Turn,
  { batch: { stop } }: FoldedRun,
  run: readonly JointEntry[],
): string | undefined {
  const stopped = 'jobId' in stop ? run.find(({ jobId }) => jobId === stop.jobId) : undefined;
  return stopped?.keys.includes(key) === false ? stopped.keys[0] : undefined;
}

function waitsFor(
  turn: Turn,
  taken: Taken,
  other: string,
  stands: boolean,
): Promise<BatchEnd> | BatchEnd {
  turn.putBack();
  const blocked = { blockedBy: [other], missingIn: [], isInHand: false, stands };
  if (laneEntries(taken, turn.key).length > 0) return notReady(turn, taken, blocked);
  turn.toVisit.add(other);
  return waitFor(turn, [other], stands);
}

function isLasting({ keys }: FoldedRun): boolean {
  return keys.every(({ valueJson, expireMs }) => valueJson !== undefined && expireMs === 0);
}

/** The batch as the turn of its own key sees it. */
function ownBatch({ key }: Turn, { batch, keys }: FoldedRun, elsewhere: string | undefined): Batch {
  const own = keys.find(({ of }) => of.key === key);
  return {
    ...batch,
    decided: own?.jobIds.length ?? 0,
    ...(elsewhere !== undefined && { stop: { kind: 'commit' } }),
  };
}

/** The first ready entries; ended where a cascade of one of their keys begins or ends to reach them. */
function runOf(
  { key }: Turn,
  { entries, copy }: Taken,
  { ready, others }: JointHead,
): { readonly run: readonly JointEntry[]; readonly cascadeTo: number } {
  const run = entries.slice(0, ready).filter(isJoint);
  const isCascaded = ({ keys, sequence }: JointEntry): boolean =>
    keys.some(
      (one) => sequence <= (one === key ? copy : (others.get(one)?.copy ?? copy)).cascadeTo,
    );
  const [first] = run as [JointEntry];
  if (isCascaded(first)) return { run: [first], cascadeTo: first.sequence };
  const end = run.findIndex(isCascaded);
  return { run: end < 0 ? run : run.slice(0, end), cascadeTo: 0 };
}

function isJoint(entry: LaneEntry): entry is JointEntry {
  return entry.keys !== undefined;
}

/** Keys of the run whose states are not clear: their own combiners see to them, or tell why they cannot. */
function seenTo(turn: Turn, found: Exclude<RunKeys, { kind: 'keys' }>): BatchEnd {
  if (found.kind === 'held') {
    const { key, cause } = found;
    const { context } = turn;
    context.report('laneHeld', { key, jobId: undefined, reason: cause.message, code: cause.code });
    return { kind: 'blocked', delayMs: context.options.blockedMs };
  }
  const others = found.keys.filter((key) => key !== turn.key);
  others.forEach((key) => turn.toVisit.add(key));
  return others.length > 0 ? { kind: 'waits', forKeys: others } : AGAIN;
}

function commitOf(
  turn: Turn,
  taken: Taken,
  run: readonly JointEntry[],
  { batch, decisions, keys }: FoldedRun,
): JointCommit {
  const { context, memory } = turn;
  const noted = keys.map(({ of, valueJson }) => ({ key: of.key, origin: of.origin, valueJson }));
  const concerned = run.filter(({ jobId }) => decisions.has(jobId));
  return {
    at: turn.key,
    dataSet: taken.dataSet.id,
    token: taken.token,
    decisions,
    paceMs: memory.worker.runPace.ms,
    keys: keys.map(({ of, watermark, jobIds, valueJson, expireMs }) => ({
      ...{ key: of.key, base: of.copy.token, watermark, jobIds, expireMs },
      value: valueJson === undefined ? 'deleted' : { json: valueJson },
    })),
    history: noteOfJoint(noted, concerned, batch.decided, context),
  };
}

function reportCommitted(
  { context, key }: Turn,
  { token }: Taken,
  { batch, keys }: FoldedRun,
): void {
  const names = keys.map(({ of }) => of.key);
  context.report('committed', { key, token, jobs: batch.applied, keys: names });
  if (batch.unapplied.length > 0)
    context.report('jobsNotApplied', { key, jobIds: batch.unapplied });
}

/** Delivered jobs hear of it; those that wait for the cells, once it is known that these are written. */
function settleJobs(
  turn: Turn,
  taken: Taken,
  run: readonly JointEntry[],
  batch: Batch,
  isWritten: boolean,
): BatchEnd {
  const told = (settlement: Settlement): Settlement =>
    settlement.kind === 'decided'
      ? { ...settlement, outcome: { ...settlement.outcome, joint: taken.token } }
      : settlement;
  const settlements = isWritten
    ? batch.settlements
    : new Map([...batch.settlements].map(([jobId, its]) => [jobId, told(its)]));
  for (const { jobId, keys } of run) {
    const [first] = keys as [string];
    const settlement = settlements.get(jobId);
    if (first !== turn.key && settlement !== undefined)
      turn.neighbours.settle(first, jobId, settlement);
  }
  return settle(turn, taken, { ...batch, settlements }, false);
}

/**
 * Lanes that go on behind these jobs: nobody else may know that they can. Those whose next job is in the own lane are met there:
 * a visit to each of 1,000 keys beside a hot one found nothing but that, and took its jobs from it, 7 of 10. And cells that are
 * behind, of which the own one is the turn's next business.
 */
function noteVisits(
  { toVisit, key }: Turn,
  { keys }: FoldedRun,
  onward: readonly string[] | undefined,
  unwritten: readonly string[],
): void {
  for (const { of } of keys) {
    if (of.key !== key && (onward?.includes(of.key) ?? true)) toVisit.add(of.key);
    else toVisit.delete(of.key);
  }
  for (const other of unwritten) if (other !== key) toVisit.add(other);
}
