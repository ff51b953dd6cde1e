/**
 * The strict protocol for one cell: once `guardCell` has succeeded, no write of an older holder
 * lands any more, however late it arrives. An older holder may have sent its write (a replace with
 * the CAS that it knew) and lost its lease with the write under way; giving the cell a new CAS
 * makes that write fail. Dates from the exhaustive search described in docs.
 *
 *   1  get(cell) -> c0            add(lock) -> held        (LeaseLocks.attempt)
 *   2  bump(cell, c0) -> c1       get(lock): still ours    (guardCell)
 *   3  replace(cell, new, c1)     delete(lock)             (with-lease.ts)
 *
 * In 2 the bump goes first: the lock is then known to be ours at a moment at which the cell was
 * closed to all before us already. A cell that is missing gets a placeholder, so that an older
 * holder's late `add` finds something there.
 *
 * If the own last commit c0 is still there, it is done in one round trip less (`closedByAcquiring`):
 *
 *   1  get(cell) -> c0            add(lock) -> held            bump(cell, c0) -> c1
 *   2  replace(cell, new, c1)     delete(lock)
 *
 * Nothing has to be confirmed. Each acquisition closes the cell before it returns. So a bump that finds c0 proves that
 * none has returned since that commit, and the cell is closed to all that returned before it. A later contender
 * finds c1, not what it has read, and its look at the lock shows that it is too late. For the same reason the
 * token may be drawn before 1: nobody has begun anything with a higher one.
 */
import { TorilError } from '../../errors.ts';
import type { Cas, Item, NewItem, Outcome } from '../../memcached/server.ts';
import type { Acquired } from '../acquirer.ts';
import type { Lease } from '../lock.ts';

/** Every further try means that a late write of an older holder landed since the last read: there are few of those. */
const GUARD_TRIES_MAX = 10;

export type Guarding =
  /** `item`: as it was read; undefined: there was none, and our placeholder is there now. */
  | { readonly kind: 'guarded'; readonly item: Item | undefined; readonly cas: Cas }
  /** The lease is over; nothing was written, except that a placeholder may be left behind. */
  | { readonly kind: 'lost' }
  | { readonly kind: 'failed'; readonly cause: TorilError };

/** Undefined: the acquisition alone has not closed the cell; `guardCell` may. */
export async function closedByAcquiring({
  lease,
  read: reading,
  closing,
}: Acquired): Promise<Guarding | undefined> {
  const [read, closed] = [await reading, await closing];
  if (read.kind !== 'done' || closed?.kind !== 'done') return undefined;
  // This process may have stood still between the two answers, and somebody else begun.
  if (lease.trustLeftMs() === 0) return { kind: 'lost' };
  return { kind: 'guarded', item: read.value, cas: closed.value };
}

/** `firstRead`: the read that travelled beside the acquiring request, on the lease's connection. */
export async function guardCell(
  lease: Lease,
  cellName: string,
  firstRead: Outcome<Item>,
  placeholder: () => NewItem,
): Promise<Guarding> {
  const { connection } = lease;
  let read = firstRead;
  for (let tries = 1; tries <= GUARD_TRIES_MAX; tries++) {
    if (read.kind === 'unknown' || (read.kind === 'refused' && read.reason !== 'missing')) {
      return { kind: 'lost' };
    }
    const item = read.kind === 'done' ? read.value : undefined;
    const closing =
      item === undefined
        ? connection.add(cellName, placeholder())
        : connection.bump(cellName, item.cas);
    const [closed, ours] = await Promise.all([closing, lease.confirm()]);
    if (!ours || closed.kind === 'unknown') return { kind: 'lost' };
    if (closed.kind === 'done') return { kind: 'guarded', item, cas: closed.value };
    if (closed.reason === 'too-large' || closed.reason === 'out-of-memory') {
      return { kind: 'failed', cause: refusal(cellName, closed.reason) };
    }
    read = await connection.get(cellName);
  }
  // An append that finds no room says "not stored", just as if the item were missing.
  return { kind: 'failed', cause: refusal(cellName, 'changed or without room at every try') };
}

function refusal(cellName: string, why: string): TorilError {
  return new TorilError(
    'MEMCACHED_REFUSED',
    `memcached did not take the cell "${cellName}": ${why}.`,
  );
}
