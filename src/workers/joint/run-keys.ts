/**
 * The keys of a run: the cell of each one and its copy, and which of them is the true state. The own key has been looked
 * at by its turn; the others are read here, under no lease: lane order is their lock, and their writes are conditional.
 */
import { PLACEHOLDER_ITEM } from '../../cells/envelope.ts';
import { reconcile } from '../../cells/reconcile.ts';
import { TorilError } from '../../errors.ts';
import type { KnownOrigin } from '../../history/history.ts';
import type { JointEntry, JointHead, OtherKey } from '../../jobs/joint-lanes.ts';
import type { Taken } from '../../jobs/lanes.ts';
import type { Copy } from '../../jobs/lane.ts';
import { cellName } from '../../memcached/item-names.ts';
import type { Cas, Connection, Item, MemcachedServer, Outcome } from '../../memcached/server.ts';
import type { FoldStart } from '../fold/batch.ts';
import type { JointValues } from '../../updates/calling/joint-updates.ts';
import { adopt } from '../turn/adopt.ts';
import { insteadOf, originOfClean } from '../turn/find-start.ts';
import { knownCell, type KnownCell, NO_CELL } from '../turn/known-cell.ts';
import type { Turn } from '../turn/turn-state.ts';

export interface RunKey {
  readonly key: string;
  readonly copy: Copy;
  readonly connection: Connection;
  readonly server: MemcachedServer;
  /** Under which the cell is written; undefined: there is none. */
  readonly cas: Cas | undefined;
  /** Where the fold begins. */
  readonly start: JointValues[number];
  readonly origin: KnownOrigin;
  /** As of a fold of this key alone. */
  readonly instead: FoldStart['instead'];
  /** Milliseconds of life that its value has left; 0: for ever. */
  readonly expireMs: number;
}

export type RunKeys =
  | { readonly kind: 'keys'; readonly keys: readonly RunKey[] }
  /** Some of them must be seen to first: a commit of theirs is not acknowledged, or somebody was at work in between. */
  | { readonly kind: 'visit'; readonly keys: readonly string[] }
  /** Only an operator can make the lane go on. */
  | { readonly kind: 'held'; readonly key: string; readonly cause: TorilError };

/** @throws TorilError a server is out of reach */
export async function runKeys(
  turn: Turn,
  taken: Taken,
  { others, lost }: JointHead,
  run: readonly JointEntry[],
  start: FoldStart,
): Promise<RunKeys> {
  const firsts = new Map<string, number>();
  for (const entry of run)
    for (const key of entry.keys) if (!firsts.has(key)) firsts.set(key, entry.sequence);
  const keys: RunKey[] = [];
  const visit: string[] = [];
  // One promise for each cell: an asynchronous function made it six, of up to 127 cells.
  for (const asked of await askOthers(turn, others)) {
    const { key, other, connection } = asked;
    const outcome = await asked.reading;
    if (outcome.kind === 'unknown') throw about(key, outcome.cause);
    const found = cellOf(outcome);
    const cell = found && other.lost ? await close(connection, key, found) : found;
    const state = cell && stateOf(turn, taken, asked, cell, firsts.get(key));
    if (state instanceof TorilError) return { kind: 'held', key, cause: state };
    // A cell that could not be read tells nothing of its key: this turn begins again.
    if (state === undefined) visit.push(cell === undefined ? turn.key : key);
    else keys.push(state);
  }
  const own = await ownKey(turn, taken, start, lost);
  if (own === undefined) return { kind: 'visit', keys: [turn.key, ...visit] };
  return visit.length > 0 ? { kind: 'visit', keys: visit } : { kind: 'keys', keys: [own, ...keys] };
}

/** Undefined: somebody was at the cell in between. */
async function ownKey(
  turn: Turn,
  { copy }: Taken,
  { fresh, expireMs, origin, instead }: FoldStart,
  lost: boolean,
): Promise<RunKey | undefined> {
  const { key, lease, server, cell } = turn;
  const { connection } = lease;
  const known = lost ? await close(connection, key, cell) : cell;
  if (known === undefined) return undefined;
  const value = fresh();
  const start = value === undefined ? null : ([value] as const);
  return { key, copy, connection, server, cas: known.cas, start, origin, instead, expireMs };
}

/** The cell of another key, which is just being read. */
interface AskedCell {
  readonly key: string;
  readonly other: OtherKey;
  readonly server: MemcachedServer;
  readonly connection: Connection;
  readonly reading: Promise<Outcome<Item>>;
}

async function askOthers({ context }: Turn, others: JointHead['others']): Promise<AskedCell[]> {
  const asked: AskedCell[] = [];
  for (const [key, other] of others) {
    const server = context.servers.serverFor(key);
    const connection = server.current ?? (await connectionFor(key, server));
    asked.push({ key, other, server, connection, reading: connection.get(cellName(key)) });
  }
  return asked;
}

async function connectionFor(key: string, server: MemcachedServer): Promise<Connection> {
  try {
    if (server.trouble !== undefined) throw server.trouble;
    return await server.connection();
  } catch (thrown) {
    throw thrown instanceof TorilError ? about(key, thrown) : thrown;
  }
}

/** The event is about the key at which its transaction was met, which may be at a server that is there. */
function about(key: string, cause: TorilError): TorilError {
  return new TorilError(cause.code, `"${key}": ${cause.message}`, { cause });
}

/** Undefined: nothing was asked. */
function cellOf(read: Exclude<Outcome<Item>, { kind: 'unknown' }>): KnownCell | undefined {
  if (read.kind === 'done') return knownCell(read.value);
  return read.reason === 'missing' ? NO_CELL : undefined;
}

/**
 * The cell gets a new CAS, or a placeholder, if a job was dropped from its lane: its holder may have frozen before the commit
 * of that job, and readers would see it for a moment. Undefined: it was not done.
 */
async function close(
  connection: Connection,
  key: string,
  cell: KnownCell,
): Promise<KnownCell | undefined> {
  const name = cellName(key);
  const closed = await (cell.cas === undefined
    ? connection.add(name, PLACEHOLDER_ITEM)
    : connection.bump(name, cell.cas));
  if (closed.kind === 'unknown') throw about(key, closed.cause);
  return closed.kind === 'done' ? { ...cell, cas: closed.value } : undefined;
}

/** Undefined: it must be seen to first. */
function stateOf(
  turn: Turn,
  { token, dataSet, entries }: Taken,
  { key, other: { copy, expiresInMs }, server, connection }: AskedCell,
  { content, cas }: KnownCell,
  firstSequence: number | undefined,
): RunKey | TorilError | undefined {
  const { context, memory } = turn;
  const { queue } = context;
  const knows = memory.worker.dataSets.has;
  const reconciled = reconcile(content, copy, { queue, dataSet, token, firstSequence, knows });
  // Not spread from parts, which took 2 KB for each of up to 127.
  const found = (
    start: RunKey['start'],
    origin: KnownOrigin,
    expireMs: number,
    instead?: RunKey['instead'],
  ): RunKey => ({ key, copy, connection, server, cas, start, origin, instead, expireMs });
  switch (reconciled.kind) {
    case 'unacknowledged':
      return undefined;
    // Its copy was read before the cell, so somebody may have committed in between; else its own combiner says why.
    case 'refused':
      return undefined;
    case 'clean': {
      const { value, expireMs } = reconciled.envelope;
      const leftMs = expireMs > 0 ? Math.max(1, expiresInMs) : expiresInMs;
      return found(value === undefined ? null : [value], originOfClean(value), leftMs);
    }
    case 'fresh':
      return found(null, 'nothing', 0);
    case 'foreign': {
      const itsJobs = entries.filter(({ keys }) => keys?.includes(key) === true);
      const adopted = adopt(context, key, reconciled.bytes, itsJobs);
      if (adopted instanceof TorilError) return adopted;
      return found([JSON.parse(adopted)], { adopted }, 0);
    }
    case 'restore': {
      // A stale one is not memcached's doing here: the driver of the commit before may be about to write it.
      const instead = reconciled.found === 'missing' ? insteadOf(copy) : undefined;
      return typeof copy.value === 'object'
        ? found([JSON.parse(copy.value.json)], 'base', expiresInMs, instead)
        : found(null, 'nothing', expiresInMs, instead);
    }
  }
}
