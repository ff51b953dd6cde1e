/**
 * An operator's word on a key whose cell and copy contradict each other (REDIS_WENT_BACK, a foreign
 * or damaged cell): which of the two is true. Done under the key's lease, after the strict path's
 * second step, so that no holder's write can land in between.
 */
import type { Clock } from '../../base/clock.ts';
import { cellItem, decodeItem, type Envelope, PLACEHOLDER_ITEM } from '../../cells/envelope.ts';
import { decodeSequences } from '../../cells/sequences.ts';
import { checkKey } from '../../key.ts';
import type { Acknowledgement, Lanes } from '../../jobs/lanes.ts';
import type { Copy } from '../../jobs/lane.ts';
import { encodeDecision } from '../../updates/outcome.ts';
import { Acquirer, type Acquired } from '../../lock/acquirer.ts';
import type { LeaseLocks } from '../../lock/lock.ts';
import { WaitBudget } from '../../lock/wait-budget.ts';
import { guardCell } from '../../lock/strict/strict-cell.ts';
import { cellName } from '../../memcached/item-names.ts';
import type { Cas, Item } from '../../memcached/server.ts';
import type { MemcachedServers } from '../../memcached/servers.ts';
import type { TrustEnd } from './trust-end.ts';
import {
  anotherQueue,
  lost,
  notOurs,
  ofSeveralKeys,
  olderThanCopy,
  unknownWrite,
} from './trust-errors.ts';

const LEASE_MS = 10_000;
/** More than any lane has. */
const JOBS_MAX: number = 2 ** 31;
const UNKNOWN_FATE = encodeDecision({
  kind: 'failed',
  cascades: false,
  code: 'REDIS_WENT_BACK',
  message:
    'Redis had lost acknowledged writes, and an operator went on from the cell: whether this job is in its value is not known.',
});

export interface TrustContext {
  /** The queue's qualified name, as envelopes bear it ("bull:orders"). */
  readonly queue: string;
  readonly servers: MemcachedServers;
  readonly locks: LeaseLocks;
  readonly lanes: Pick<Lanes, 'inspect' | 'overwriteCopy' | 'renumber' | 'withdraw'>;
  readonly clock: Clock;
  /** Milliseconds to wait for the lease. */
  readonly waitMs: number;
}

/** The cell under the lease, closed to all older holders. */
interface GuardedCell {
  readonly item: Item;
  readonly cas: Cas;
  readonly acquired: Acquired;
}

/**
 * Deletes the cell, whatever it is, if Redis can restore it. Tokens and sequences go on above its own.
 * @throws TorilError LEASE_TIMED_OUT, LEASE_LOST, INVALID_KEY, REDIS_FAILED; MEMCACHED_TIMED_OUT and
 *   the like if it is unknown whether the cell was deleted
 */
export async function trustCopy(context: TrustContext, key: string): Promise<TrustEnd> {
  return underLeases(context, [key], async ([cell]) => {
    if (cell === undefined || cell === 'no-cell') return NO_CELL;
    const { item, cas, acquired } = cell;
    const { copy, dataSet } = await context.lanes.inspect(key, 1);
    if (!hasValue(copy)) return { kind: 'no-copy' };
    const content = decodeItem(item);
    const isOurs = content.kind === 'envelope' && content.envelope.dataSet === dataSet.id;
    await context.lanes.renumber(key, isOurs ? highest(content.envelope) : 0);
    const outcome = await acquired.lease.connection.delete(cellName(key), cas);
    if (outcome.kind === 'unknown') throw unknownWrite(key, 'deleted', outcome.cause);
    if (outcome.kind === 'refused' && outcome.reason !== 'missing') throw lost(key);
    return { kind: 'copy-trusted', token: copy.token };
  });
}

/**
 * Makes the copy be what the cell says. If the cell's commit is the only one that Redis has forgotten, all other
 * jobs are new, and go on behind it. Else those at or below its watermark may have been applied by commits of
 * which nothing is known any more: they fail with REDIS_WENT_BACK. So do all of a commit of several keys, whose cells do not
 * tell what became of its jobs.
 * @param keys one; or all whose cells hold commits of several keys that Redis has forgotten together (trust-together.ts)
 * @throws TorilError LEASE_TIMED_OUT, LEASE_LOST, INVALID_KEY, REDIS_FAILED (then it is unknown
 *   whether the copies were overwritten; doing it again is harmless), MEMCACHED_*
 */
export function trustCells(
  context: TrustContext,
  keys: readonly string[],
): Promise<readonly TrustEnd[]> {
  return underLeases(context, keys, async (cells) => {
    const found = await Promise.all(
      cells.map(async (cell) => (cell === 'no-cell' ? NO_CELL : candidate(context, cell))),
    );
    const candidates = found.filter((one) => 'envelope' in one);
    for (const apart of candidates) {
      if (!(await isApart(context, apart, keys, found))) continue;
      const cause = ofSeveralKeys(apart.key, apart.envelope.keys ?? []);
      return keys.map(() => ({ kind: 'unusable', cause }));
    }
    await loseJointJobs(context, candidates);
    const ends: TrustEnd[] = [];
    for (const one of found) ends.push('envelope' in one ? await settle(context, one) : one);
    return ends;
  });
}

const NO_CELL: TrustEnd = { kind: 'no-cell' };

/** A cell that may become the truth. */
interface Candidate {
  readonly key: string;
  readonly cell: GuardedCell;
  readonly envelope: Envelope;
  readonly copy: Copy;
  readonly paceMs: number;
  readonly dataSet: string;
  /** It is of this data set, or of a lock. */
  readonly isOurs: boolean;
}

async function candidate(context: TrustContext, cell: GuardedCell): Promise<Candidate | TrustEnd> {
  const { key } = cell.acquired;
  const content = decodeItem(cell.item);
  if (content.kind === 'missing') return NO_CELL;
  if (content.kind === 'unreadable') return { kind: 'unusable', cause: content.cause };
  if (content.kind === 'foreign') return { kind: 'unusable', cause: notOurs(key) };
  const { envelope } = content;
  if (envelope.queue !== '' && envelope.queue !== context.queue) {
    return { kind: 'unusable', cause: anotherQueue(envelope.queue) };
  }
  const { copy, paceMs, dataSet } = await context.lanes.inspect(key, 1);
  const isOurs = envelope.queue === '' || envelope.dataSet === dataSet.id;
  // What Redis has acknowledged since would be lost: that is nobody's wish.
  if (envelope.token <= copy.token)
    return isOurs ? { kind: 'copy-is-newer' } : { kind: 'unusable', cause: olderThanCopy(key) };
  return { key, cell, envelope, copy, paceMs, dataSet: dataSet.id, isOurs };
}

/** Another key that its commit has changed does not have it: one of them alone would have half a transaction. */
async function isApart(
  { lanes }: TrustContext,
  { envelope }: Candidate,
  keys: readonly string[],
  found: readonly (Candidate | TrustEnd)[],
): Promise<boolean> {
  for (const key of envelope.keys ?? []) {
    const other = found[keys.indexOf(key)];
    const isCell = other !== undefined && 'envelope' in other;
    const { token } = isCell ? other.envelope : (await lanes.inspect(key, 1)).copy;
    if (token < envelope.token) return true;
  }
  return false;
}

/** They leave the lanes of all their keys, also of those that are not settled here. */
async function loseJointJobs(
  { lanes }: TrustContext,
  candidates: readonly Candidate[],
): Promise<void> {
  for (const { key, envelope } of candidates) {
    const { head } = await lanes.inspect(key, JOBS_MAX);
    const lost = head.filter(
      ({ keys, sequence }) => keys !== undefined && sequence <= envelope.watermark,
    );
    for (const { jobId } of lost) await lanes.withdraw(jobId, UNKNOWN_FATE);
  }
}

async function settle(context: TrustContext, of: Candidate): Promise<TrustEnd> {
  const { key, cell, envelope, copy, paceMs, dataSet, isOurs } = of;
  const { acquired, cas } = cell;
  // First: if it ends here, the copy still contradicts the cell, and nobody goes on silently.
  if (!isOurs) await takeOver(acquired, cas, envelope, dataSet);
  // The last moment: from here on only Redis is written, which a successor cannot undo.
  if (acquired.lease.trustLeftMs() <= 0) throw lost(key);
  // No job gets a number from now on that might be one of the commit's.
  await context.lanes.renumber(key, highest(envelope));
  await context.lanes.overwriteCopy({
    ...{ key, dataSet, base: copy.token, token: envelope.token, watermark: envelope.watermark },
    value: copyValue(envelope, copy),
    expireMs: envelope.expireMs,
    paceMs,
    ...(isOurs ? await fates(context.lanes, key, envelope, copy) : NONE_LEAVES),
  });
  await context.lanes.renumber(key, 0);
  return { kind: 'cell-trusted', token: envelope.token, watermark: envelope.watermark };
}

function highest({ token, watermark }: Envelope): number {
  return Math.max(token, watermark);
}

type Fates = Pick<Acknowledgement, 'decided' | 'sequences' | 'late' | 'decisions'>;
/** Jobs of this Redis are not in the value of another. */
const NONE_LEAVES: Fates = { decided: 0, sequences: [], decisions: new Map() };

/** Which of the jobs that wait at or below the cell's watermark its commits have decided, and how. */
async function fates(
  lanes: TrustContext['lanes'],
  key: string,
  { base, jobs, late, watermark, decisions }: Envelope,
  copy: Copy,
): Promise<Fates> {
  const sequences = decodeSequences(jobs, watermark);
  if (base === copy.token) return { decided: sequences.length, sequences, late, decisions };
  const { head } = await lanes.inspect(key, JOBS_MAX);
  const lost = head.filter(
    ({ sequence }) => sequence <= watermark && !sequences.includes(sequence),
  );
  const all = [...decisions, ...lost.map(({ jobId }) => [jobId, UNKNOWN_FATE] as const)];
  return { decided: all.length, late, decisions: new Map(all) };
}

/** The cell of another data set becomes one of this. */
async function takeOver(
  { key, lease }: Acquired,
  cas: Cas,
  envelope: Envelope,
  dataSet: string,
): Promise<void> {
  const { value } = envelope;
  const valueJson = value === undefined ? undefined : JSON.stringify(value);
  const item = cellItem({ ...envelope, valueJson, dataSet, late: undefined });
  const outcome = await lease.connection.replace(cellName(key), item, cas);
  if (outcome.kind === 'unknown') throw unknownWrite(key, 'overwritten', outcome.cause);
  if (outcome.kind === 'refused') throw lost(key);
}

/** Waits for the leases, closes the cells to older holders, acts, and releases. */
async function underLeases<End>(
  context: TrustContext,
  keys: readonly string[],
  act: (cells: readonly (GuardedCell | 'no-cell')[]) => Promise<End>,
): Promise<End> {
  keys.forEach(checkKey);
  const { servers, locks, clock, waitMs } = context;
  const acquirer = new Acquirer({ memcached: servers, leases: locks, clock });
  const budget = new WaitBudget(clock, waitMs, undefined);
  let acquired: readonly Acquired[] = [];
  try {
    acquired = await acquirer.acquireAll(keys, LEASE_MS, budget);
    const cells: (GuardedCell | 'no-cell')[] = [];
    for (const one of acquired) cells.push(await guard(one));
    return await act(cells);
  } finally {
    budget.end();
    await Promise.all(acquired.map(({ lease }) => lease.release()));
  }
}

async function guard(acquired: Acquired): Promise<GuardedCell | 'no-cell'> {
  const { key, lease, read } = acquired;
  const name = cellName(key);
  const guarding = await guardCell(lease, name, await read, () => PLACEHOLDER_ITEM);
  if (guarding.kind === 'failed') throw guarding.cause;
  if (guarding.kind === 'lost') throw lost(key);
  const { item, cas } = guarding;
  if (item !== undefined) return { item, cas, acquired };
  await lease.connection.delete(name, cas); // our own placeholder; its expiry is the broom
  return 'no-cell';
}

/** `deleted` with a token is an acknowledged state, too: the next job starts from `initial`. */
function hasValue({ token, value }: Copy): boolean {
  return token !== 0 && value !== 'not-kept';
}

/** Whether copies are kept is told by the one that is there; where there is none, one more is no harm. */
function copyValue(
  { value }: Envelope,
  copy: Copy,
): { readonly json: string } | 'deleted' | 'not-kept' {
  if (copy.token !== 0 && copy.value === 'not-kept') return 'not-kept';
  return value === undefined ? 'deleted' : { json: JSON.stringify(value) };
}
