/**
 * One turn at the gate: from the acquired lease to its release. Each batch goes the same way, and
 * wherever the process dies, freezes or gets an answer late, the next holder finds out:
 *
 *   take         Redis      take.ts         dies here: nothing happened
 *   reconcile    in memory  find-start.ts   dies here: nothing happened
 *   fold         in memory  ../fold/        dies here: nothing happened
 *   commit       memcached  commit.ts       dies here: the cell is ahead of the copy; the next holder acknowledges it
 *   acknowledge  Redis      acknowledge.ts  dies here: the jobs' outcomes wait in their hashes
 *   settle       in memory  settle.ts       BullMQ completes the jobs, or delivers them again, and they find their outcome
 *
 * From reconcile on, jobs of several keys go another way (../joint/drive.ts). Three more steps are rarely needed. A cell
 * that is ahead of the copy is acknowledged for its author (acknowledge.ts), one that is behind it is put right
 * (putting-right.ts), and one that strict updates are going to change is closed to older holders first
 * (closing-the-cell.ts).
 */
import { TorilError } from '../../errors.ts';
import type { Item, Outcome } from '../../memcached/server.ts';
import { driveJoint } from '../joint/drive.ts';
import { foldToFit } from '../fold/fitting.ts';
import { UnfaithfulValue } from '../fold/replayable-value.ts';
import { acknowledgeFor, acknowledgement, isAccepted } from './acknowledge.ts';
import { closeToOlderHolders } from './closing-the-cell.ts';
import { commit, mustCommit } from './commit.ts';
import { findStart, reportBeginning } from './find-start.ts';
import { knownCell } from './known-cell.ts';
import { putRight } from './putting-right.ts';
import { isLast, settle, settleUncommitted } from './settle.ts';
import { isRestricted, noteTaken, takeRequest } from './take.ts';
import { AGAIN, type BatchEnd, MORE, NEXT, type Turn, type TurnEnd } from './turn-state.ts';

/** @param cell what was read in the same write as the lock was acquired */
export async function takeTurn(turn: Turn, cell: Outcome<Item>): Promise<TurnEnd> {
  const { context, memory } = turn;
  let end: BatchEnd = AGAIN;
  try {
    end = begin(turn, cell);
    for (let batches = 0; end.kind === 'next'; batches++) {
      if (batches === context.options.batchesPerLease) return (end = MORE);
      if (turn.closing() && !memory.owesVisit) return (end = MORE);
      end = await oneBatch(turn);
    }
    return end;
  } catch (thrown) {
    if (thrown instanceof UnfaithfulValue) {
      memory.distrustsValues = true;
      return (end = AGAIN);
    }
    if (!(thrown instanceof TorilError)) throw thrown; // a fault of Toril
    return (end = { kind: 'unavailable', cause: thrown });
  } finally {
    turn.putBack();
    turn.tellSurvived();
    turn.release();
    turn.observer?.ended(end);
    turn.drive([]);
    turn.neighbours.goneOn(turn.key);
    for (const key of turn.toVisit) turn.neighbours.visit(key);
  }
}

function begin(turn: Turn, cell: Outcome<Item>): BatchEnd {
  if (cell.kind === 'unknown') return { kind: 'unavailable', cause: cell.cause };
  if (cell.kind === 'done') turn.cell = knownCell(cell.value);
  else if (cell.reason !== 'missing') return AGAIN;
  return NEXT;
}

/** The lane's head, from where it stands to what its jobs are told. */
async function oneBatch(turn: Turn): Promise<BatchEnd> {
  const { context, arrivals, memory, observer } = turn;
  const startedMs = context.clock.monotonicMs();
  turn.endApply();
  if (turn.takenKeys.length > 1) turn.putBack(); // else the next take would leave them to their former holder

  const asked = arrivals.jobIds();
  const taken = noteTaken(turn, asked, await context.lanes.take(takeRequest(turn, asked)));
  observer?.took(taken.entries);

  const found = findStart(turn, taken);
  if (found.kind === 'unacknowledged') return acknowledgeFor(found.envelope, turn, taken);
  if (found.kind === 'behind') return putRight(turn, taken);
  if (found.kind !== 'start') return found;
  if (taken.joint !== undefined) return driveJoint(turn, taken, taken.joint, found.start);
  turn.drive([]);
  if (found.isStrict && !(await closeToOlderHolders(turn))) return turn.lost();

  turn.restricted = isRestricted(turn, taken);
  const folding = foldToFit(turn, taken, found.start);
  const fitting = folding instanceof Promise ? await folding : folding;
  if (fitting instanceof TorilError) return turn.held(fitting);
  const { batch } = fitting;
  observer?.folded(batch);
  if (batch.stop.kind === 'lost' || turn.lease.trustLeftMs() <= 0) return turn.lost();
  if (!mustCommit(turn, batch)) return settleUncommitted(turn, taken, batch);

  const last = isLast(taken, batch);
  const committed = await commit(turn, taken, fitting, { last, isStrict: found.isStrict });
  observer?.committed();
  if (committed.kind !== 'committed') return committed;
  reportBeginning(context, turn.key, found.start);

  const answer = await context.lanes.acknowledge(acknowledgement(turn, taken, fitting));
  observer?.acknowledged();
  if (!isAccepted(turn, taken, batch, answer)) return AGAIN;

  const end = settle(turn, taken, batch, answer.missing === true);
  if (batch.decided > 0)
    memory.pace.measured(batch.decided, context.clock.monotonicMs() - startedMs);
  return end;
}
