/** acknowledge: Redis takes a commit as the key's state, if the copy is what it was built on: our own, or one whose author died first. */
import { strangers } from '../../cells/reconcile.ts';
import type { Envelope } from '../../cells/envelope.ts';
import { decodeSequences } from '../../cells/sequences.ts';
import type { Acknowledgement, Taken } from '../../jobs/lanes.ts';
import type { Acknowledged } from '../../jobs/lane.ts';
import type { Batch, FittingBatch } from '../fold/batch.ts';
import { lateOf } from '../fold/fitting.ts';
import { noteOf, noteOfRecovered } from '../fold/history-notes.ts';
import { AGAIN, type BatchEnd, NEXT, type Turn } from './turn-state.ts';

export function acknowledgement(turn: Turn, taken: Taken, fitting: FittingBatch): Acknowledgement {
  const { context, key, arrivals, memory } = turn;
  const { batch, valueJson, expireMs } = fitting;
  return {
    key,
    dataSet: taken.dataSet.id,
    base: taken.copy.token,
    token: taken.token,
    watermark: batch.watermark,
    decided: batch.decided,
    late: lateOf(taken.entries, batch),
    value: copyValue(turn, valueJson),
    expireMs,
    decisions: batch.decisions,
    paceMs: memory.pace.ms,
    history: noteOf(fitting, taken, context),
    completable: arrivals.completableWith(batch.settlements),
  };
}

/** The commit is the key's state. */
export function isAccepted(
  turn: Turn,
  { token }: Taken,
  { applied, unapplied }: Batch,
  { accepted, missing }: Acknowledged,
): boolean {
  const { context, key, memory } = turn;
  if (!accepted) {
    context.report('acknowledgementRefused', { key, token });
    return false;
  }
  memory.owesVisit = false;
  context.report('committed', { key, token, jobs: applied });
  if (unapplied.length > 0) context.report('jobsNotApplied', { key, jobIds: unapplied });
  if (missing === true) tellForgotten(turn, token);
  return true;
}

/** Our predecessor died between commit and acknowledge, or its acknowledgement is still under way. */
export async function acknowledgeFor(
  envelope: Envelope,
  turn: Turn,
  taken: Taken,
): Promise<BatchEnd> {
  const { context, key, memory } = turn;
  const valueJson = envelope.value === undefined ? undefined : JSON.stringify(envelope.value);
  const sequences = decodeSequences(envelope.jobs, envelope.watermark);
  const { accepted, missing, wentBack } = await context.lanes.acknowledge({
    key,
    dataSet: taken.dataSet.id,
    base: taken.copy.token,
    token: envelope.token,
    watermark: envelope.watermark,
    decided: sequences.length,
    sequences,
    late: envelope.late,
    value: copyValue(turn, valueJson),
    expireMs: envelope.expireMs,
    decisions: envelope.decisions,
    paceMs: memory.pace.ms,
    history: noteOfRecovered(envelope, valueJson, taken, context),
  });
  turn.observer?.acknowledged();
  if (accepted || wentBack === true) memory.owesVisit = false; // nothing is left to look at
  if (wentBack === true) return turn.held(strangers(envelope));
  if (!accepted) return AGAIN;
  context.report('commitRecovered', { key, token: envelope.token });
  if (missing === true) tellForgotten(turn, envelope.token);
  return NEXT;
}

/** Its jobs are in the value. If they were added again, that would not be noticed. */
function tellForgotten({ context, key }: Turn, token: number): void {
  context.report('jobsForgotten', { key, token, code: 'REDIS_WENT_BACK' });
}

function copyValue({ context }: Turn, valueJson: string | undefined): Acknowledgement['value'] {
  if (!context.options.durableCopies) return 'not-kept';
  return valueJson === undefined ? 'deleted' : { json: valueJson };
}
