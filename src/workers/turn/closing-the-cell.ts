/**
 * Strict updates act on the outside world, so no older holder's write may land once they begin: the
 * cell gets a new CAS, and then the lock must still be ours. The order is essential. For each batch
 * again: its token was just drawn, and only if the lock was ours after that do all who come later
 * draw higher ones (found by the simulation).
 */
import { CELL_FLAGS, PLACEHOLDER_ITEM } from '../../cells/envelope.ts';
import { guardCell } from '../../lock/strict/strict-cell.ts';
import type { Cas, Item, Outcome } from '../../memcached/server.ts';
import type { Turn } from './turn-state.ts';

/** False: the lease is lost, or somebody's late write came in between. */
export async function closeToOlderHolders(turn: Turn): Promise<boolean> {
  const { lease, cellName, cell } = turn;
  const guarding = await guardCell(lease, cellName, readAgain(cell.cas), () => PLACEHOLDER_ITEM);
  if (guarding.kind === 'failed') throw guarding.cause;
  // With another CAS, what was believed is no longer what is there.
  if (guarding.kind === 'lost' || guarding.item?.cas !== cell.cas) return false;
  turn.cell = { ...cell, cas: guarding.cas };
  return true;
}

/** The read that the turn began with, as far as the guard needs it. */
function readAgain(cas: Cas | undefined): Outcome<Item> {
  if (cas === undefined) return { kind: 'refused', reason: 'missing' };
  return { kind: 'done', value: { value: PLACEHOLDER_ITEM.value, flags: CELL_FLAGS, cas } };
}
