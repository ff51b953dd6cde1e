/** commit: the envelope goes into memcached, under the CAS of the cell that it was built on; with the release behind it if it is the last one. */
import { cellItemOf } from '../../cells/envelope.ts';
import { TorilError } from '../../errors.ts';
import type { Taken } from '../../jobs/lanes.ts';
import type { Batch, FittingBatch } from '../fold/batch.ts';
import { committedCell } from './known-cell.ts';
import { AGAIN, type Turn, type TurnEnd } from './turn-state.ts';

/** It is in memcached; Redis has yet to take it. */
export type Committed = { readonly kind: 'committed' } | TurnEnd;

const COMMITTED: Committed = { kind: 'committed' };

/**
 * Also if all that a batch does is to give a job up: it is about to be reported as failed, though it stays in its lane.
 * That is a commit as well, even if it changes nothing: another holder, who took the lane before us, may be about to
 * apply the very job (found by the simulation).
 */
export function mustCommit({ arrivals }: Turn, { decided, stop }: Batch): boolean {
  if (decided > 0) return true;
  return stop.kind === 'held' && arrivals.get(stop.jobId) !== undefined;
}

/**
 * Whether what is written over is in Redis as well, so that memcached may lose it if it has no room: the next turn
 * restores it. A value that is adopted is nowhere else; and what a strict update has closed stays closed.
 */
function isCopied(
  { context }: Turn,
  { copy }: Taken,
  { origin }: FittingBatch,
  isStrict: boolean,
): boolean {
  if (!context.options.durableCopies || isStrict || copy.value === 'not-kept') return false;
  return origin === 'base' || origin === 'nothing';
}

/** @param last nothing more will be done under this lease */
export async function commit(
  turn: Turn,
  taken: Taken,
  fitting: FittingBatch,
  { last, isStrict }: { readonly last: boolean; readonly isStrict: boolean },
): Promise<Committed> {
  const { lease, cellName, context, key, memory } = turn;
  const { bytes } = fitting;
  turn.takenToken = 0;
  const { cas } = turn.cell;
  const copied = isCopied(turn, taken, fitting, isStrict);
  const item = cellItemOf(bytes, fitting, copied, last);
  const writing =
    cas === undefined
      ? lease.connection.add(cellName, item)
      : lease.connection.replace(cellName, item, cas);
  if (last) turn.release(); // in the same write
  const outcome = await writing;
  if (outcome.kind === 'done') {
    if (!last) turn.cell = committedCell(fitting, taken, outcome.value, context.queue);
    memory.owesVisit = true; // until Redis has taken it
    return COMMITTED;
  }
  if (outcome.kind === 'unknown' || outcome.reason === 'not-sent') return turn.lost();
  if (outcome.reason === 'out-of-memory') return { kind: 'unavailable', cause: outOfMemory(key) };
  if (outcome.reason === 'too-large') memory.noteRefused(lease.connection.epoch, bytes.length);
  else context.report('commitRefused', { key, token: taken.token });
  return AGAIN;
}

function outOfMemory(key: string): TorilError {
  return new TorilError(
    'MEMCACHED_REFUSED',
    `memcached has no room for the cell of "${key}". Give it more memory (-m).`,
  );
}
