/**
 * The cells of a joint commit, which Redis has acknowledged. Each write is conditional on what was read before: one that finds
 * something else is not repeated here, under no lease, but left to a visit of its key.
 */
import { CELL_FLAGS, cellItemOf } from '../../cells/envelope.ts';
import { cellName } from '../../memcached/item-names.ts';
import type { Cas, Outcome } from '../../memcached/server.ts';
import { knownCell, NO_CELL } from '../turn/known-cell.ts';
import type { Turn } from '../turn/turn-state.ts';
import type { FoldedKey } from './fold-run.ts';

/**
 * Returns the keys whose cells are not known to be written, or gone.
 * @param last nothing more will be done under the turn's lease
 */
export async function writeCells(
  turn: Turn,
  keys: readonly FoldedKey[],
  last: boolean,
): Promise<string[]> {
  const writing = keys.map((folded) => ({ folded, outcome: write(folded) }));
  if (last) turn.release(); // in the same write
  const unwritten: string[] = [];
  for (const { folded, outcome } of writing) {
    const written = await outcome;
    const isDone = written.kind === 'done';
    const isDeleted = !isDone && (await isGone(folded, written));
    if (!isDone && !isDeleted) unwritten.push(folded.of.key);
    if (folded.of.key === turn.key) noteOwn(turn, folded, isDeleted ? undefined : written);
  }
  return unwritten;
}

function write(folded: FoldedKey): Promise<Outcome<Cas>> {
  const { connection, key, cas } = folded.of;
  const item = cellItemOf(folded.bytes, folded, true);
  const name = cellName(key);
  return cas === undefined ? connection.add(name, item) : connection.replace(name, item, cas);
}

/** There is no room for the value: nothing is better than one that is no longer true. Redis has it. */
async function isGone({ of }: FoldedKey, written: Outcome<Cas>): Promise<boolean> {
  if (written.kind !== 'refused') return false;
  if (written.reason !== 'too-large' && written.reason !== 'out-of-memory') return false;
  // Where nothing was, an older commit may have landed since.
  if (of.cas === undefined) return false;
  const deleted = await of.connection.delete(cellName(of.key), of.cas);
  return deleted.kind === 'done' || (deleted.kind === 'refused' && deleted.reason === 'missing');
}

/** What the turn's next batch begins with; if it is not known, there is none. `written`: undefined: the cell is deleted. */
function noteOwn(turn: Turn, { bytes }: FoldedKey, written: Outcome<Cas> | undefined): void {
  if (written === undefined) turn.cell = NO_CELL;
  else if (written.kind === 'done')
    turn.cell = knownCell({ value: bytes, flags: CELL_FLAGS, cas: written.value });
}
