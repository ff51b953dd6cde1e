/** Closing the cells of several leases to all older holders, once all of them are held. */
import { cellName } from '../../memcached/item-names.ts';
import type { Item, Outcome } from '../../memcached/server.ts';
import type { Acquired } from '../acquirer.ts';
import type { DrawnToken } from '../lock.ts';
import type { OwnCommits } from '../own-commits.ts';
import type { HeldCell } from './lease-session.ts';
import { closedByAcquiring, guardCell, type Guarding } from './strict-cell.ts';
import type { CellCodec } from './cell-codec.ts';

/** What was read beside the locks, for the next acquisitions. */
export async function noteFound(acquired: readonly Acquired[], commits: OwnCommits): Promise<void> {
  for (const { key, lease, read } of acquired) {
    const found = await read;
    const cas = found.kind === 'done' ? found.value.cas : undefined;
    commits.found(cellName(key), lease.connection, cas);
  }
}

/** Undefined: not all of them were closed by the acquisitions alone. */
export async function closedCells(acquired: readonly Acquired[]): Promise<Guarding[] | undefined> {
  const closed: Guarding[] = [];
  for (const one of acquired) {
    const guarding = await closedByAcquiring(one);
    if (guarding === undefined) return undefined;
    closed.push(guarding);
  }
  return closed;
}

export function closeCells(acquired: readonly Acquired[], codec: CellCodec): Promise<Guarding[]> {
  return Promise.all(
    acquired.map(async (one) =>
      guardCell(one.lease, cellName(one.key), await lastRead(one), () => codec.placeholder()),
    ),
  );
}

/** The acquisition may have given the cell a new CAS, though others' have not. */
async function lastRead(acquired: Acquired): Promise<Outcome<Item>> {
  const closed = await closedByAcquiring(acquired);
  if (closed?.kind !== 'guarded' || closed.item === undefined) return acquired.read;
  return { kind: 'done', value: { ...closed.item, cas: closed.cas } };
}

/** Undefined: a lease was lost on the way. Throws what makes a key unusable. */
export function heldCells(
  acquired: readonly Acquired[],
  guardings: readonly Guarding[],
  codec: CellCodec,
  drawn: DrawnToken,
): HeldCell[] | undefined {
  const cells: HeldCell[] = [];
  for (const [index, guarding] of guardings.entries()) {
    const { key, lease } = acquired[index] as Acquired;
    if (guarding.kind === 'failed') throw guarding.cause;
    if (guarding.kind === 'lost') return undefined;
    const { item, cas } = guarding;
    const value = item === undefined ? undefined : codec.decode(item, drawn);
    cells.push({ key, lease, item, cas, value });
  }
  return cells;
}
