/**
 * A cell that Redis has gone past: memcached brought it back, or a commit landed in it whose acknowledgement was
 * refused. Readers see it until it is put right, so a worker that meets it does that before anything else: the cell
 * becomes what the copy says. It travels with the CAS under which the cell was read, so that it can only take the
 * place of that very stale value, however late it lands. The same for a cell that is missing since whoever had a joint
 * commit acknowledged died before it wrote it: this can only come where nothing is.
 *
 *   dies before     the cell is as stale as it was
 *   dies after      the cell is what the copy says
 */
import { assert } from '../../base/assert.ts';
import { cellItem, type NewEnvelope, NONE_NAMED } from '../../cells/envelope.ts';
import type { Taken } from '../../jobs/lanes.ts';
import type { Cas, Outcome } from '../../memcached/server.ts';
import { AGAIN, MORE, type Turn, type TurnEnd } from './turn-state.ts';

/** Readers see a value that never was acknowledged, or no longer is the last one. */
export async function putRight(turn: Turn, taken: Taken): Promise<TurnEnd> {
  const { cas, content } = turn.cell;
  if (turn.lease.trustLeftMs() <= 0) return turn.lost();
  if (!(await becomesTheCopy(turn, cas, taken))) return AGAIN;
  turn.memory.owesVisit = false;
  turn.memory.owesCell = false;
  const found = content.kind === 'missing' ? 'missing' : 'stale';
  // Else it was not written yet, or its author has died.
  if (!taken.copy.behind) turn.context.report('cellRestored', { key: turn.key, found });
  return MORE; // the copy may have gone on meanwhile: an acknowledgement was under way
}

/** False: somebody else was at the cell meanwhile, or nobody knows. @param cas undefined: nothing was there */
async function becomesTheCopy(turn: Turn, cas: Cas | undefined, taken: Taken): Promise<boolean> {
  const { lease, cellName, context } = turn;
  const { connection } = lease;
  const envelope = copied(taken, context.queue);
  if (envelope !== undefined) {
    const item = cellItem(envelope, true);
    const written = await (cas === undefined
      ? connection.add(cellName, item)
      : connection.replace(cellName, item, cas));
    if (written.kind === 'done') return true;
    if (!hasNoRoom(written)) return false;
  }
  if (cas === undefined) return true; // there is no room, and readers see that nothing is there
  // Without a copy, or without room for it, nothing is better than what is no longer true.
  const deleted = await connection.delete(cellName, cas);
  return deleted.kind === 'done';
}

/** Undefined: none is kept. */
function copied({ copy, expiresInMs, dataSet }: Taken, queue: string): NewEnvelope | undefined {
  const { token, watermark, value } = copy;
  assert(value !== 'not-sent', 'a copy is sent unless its cell is believed');
  if (value === 'not-kept') return undefined;
  return {
    valueJson: value === 'deleted' ? undefined : value.json,
    token,
    // What it was built on is not known any more. So a Redis that goes back behind it is noticed:
    // nothing can be taken for the commit's base but the commit itself.
    base: token,
    watermark,
    queue,
    dataSet: dataSet.id,
    jobs: '',
    decisions: NONE_NAMED,
    expireMs: value === 'deleted' ? 0 : expiresInMs,
  };
}

function hasNoRoom(written: Outcome<unknown>): boolean {
  if (written.kind !== 'refused') return false;
  return written.reason === 'out-of-memory' || written.reason === 'too-large';
}
