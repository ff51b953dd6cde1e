/**
 * An operator's word on a key whose cell and copy contradict each other (REDIS_WENT_BACK, a foreign
 * or damaged cell): which of the two is true. Done under the key's lease, after the strict path's
 * second step, so that no holder's write can land in between.
 */
import type { Clock } from '../base/clock.ts';
import { cellItem, decodeItem, type Envelope, PLACEHOLDER_ITEM } from '../cells/envelope.ts';
import { decodeSequences } from '../cells/sequences.ts';
import { TorilError } from '../errors.ts';
import { checkKey } from '../key.ts';
import type { Acknowledgement, Copy, Lanes } from '../jobs/lanes.ts';
import { encodeDecision } from '../updates/outcome.ts';
import { Acquirer, type Acquired } from '../lock/acquirer.ts';
import type { LeaseLocks } from '../lock/lock.ts';
import { WaitBudget } from '../lock/wait-budget.ts';
import { guardCell } from '../lock/strict/strict-cell.ts';
import { cellName } from '../memcached/item-names.ts';
import type { Cas, Item } from '../memcached/server.ts';
import type { MemcachedServers } from '../memcached/servers.ts';
import type { TrustEnd } from './trust-end.ts';

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
  readonly lanes: Pick<Lanes, 'inspect' | 'overwriteCopy' | 'renumber'>;
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
export function trustCopy(context: TrustContext, key: string): Promise<TrustEnd> {
  return underLease(context, key, async ({ item, cas, acquired }) => {
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
 * which nothing is known any more: they fail with REDIS_WENT_BACK.
 * @throws TorilError LEASE_TIMED_OUT, LEASE_LOST, INVALID_KEY, REDIS_FAILED (then it is unknown
 *   whether the copy was overwritten; doing it again is harmless), MEMCACHED_*
 */
export function trustCell(context: TrustContext, key: string): Promise<TrustEnd> {
  return underLease(context, key, async ({ item, cas, acquired }) => {
    const content = decodeItem(item);
    if (content.kind === 'missing') return { kind: 'no-cell' };
    if (content.kind === 'unreadable') return { kind: 'unusable', cause: content.cause };
    if (content.kind === 'foreign') return { kind: 'unusable', cause: notOurs(key) };
    const { envelope } = content;
    if (envelope.queue !== '' && envelope.queue !== context.queue) {
      return { kind: 'unusable', cause: anotherQueue(envelope.queue) };
    }
    const { keys = NO_KEYS } = envelope;
    if (keys.length > 1) return { kind: 'unusable', cause: ofSeveralKeys(key, keys) };
    const { copy, paceMs, dataSet } = await context.lanes.inspect(key, 1);
    const isOurs = envelope.queue === '' || envelope.dataSet === dataSet.id;
    // What Redis has acknowledged since would be lost: that is nobody's wish.
    if (envelope.token <= copy.token)
      return isOurs ? { kind: 'copy-is-newer' } : { kind: 'unusable', cause: olderThanCopy(key) };
    // First: if it ends here, the copy still contradicts the cell, and nobody goes on silently.
    if (!isOurs) await takeOver(acquired, cas, envelope, dataSet.id);
    // The last moment: from here on only Redis is written, which a successor cannot undo.
    if (acquired.lease.trustLeftMs() <= 0) throw lost(key);
    // No job gets a number from now on that might be one of the commit's.
    await context.lanes.renumber(key, highest(envelope));
    await context.lanes.overwriteCopy({
      key,
      dataSet: dataSet.id,
      base: copy.token,
      token: envelope.token,
      watermark: envelope.watermark,
      value: copyValue(envelope, copy),
      expireMs: envelope.expireMs,
      paceMs,
      ...(isOurs ? await fates(context.lanes, key, envelope, copy) : NONE_LEAVES),
    });
    await context.lanes.renumber(key, 0);
    return { kind: 'cell-trusted', token: envelope.token, watermark: envelope.watermark };
  });
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

/** Waits for the lease, closes the cell to older holders, acts, and releases. */
async function underLease(
  context: TrustContext,
  key: string,
  act: (guarded: GuardedCell) => Promise<TrustEnd>,
): Promise<TrustEnd> {
  checkKey(key);
  const { servers, locks, clock, waitMs } = context;
  const acquirer = new Acquirer({ memcached: servers, leases: locks, clock });
  const budget = new WaitBudget(clock, waitMs, undefined);
  let acquired: Acquired | undefined;
  try {
    [acquired] = await acquirer.acquireAll([key], LEASE_MS, budget);
    if (acquired === undefined) throw lost(key);
    const guarded = await guard(acquired);
    return guarded === 'no-cell' ? { kind: 'no-cell' } : await act(guarded);
  } finally {
    budget.end();
    await acquired?.lease.release();
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

function lost(key: string): TorilError {
  return new TorilError(
    'LEASE_LOST',
    `the lease on "${key}" was lost on the way, and nothing was changed. Try again.`,
  );
}

function unknownWrite(key: string, done: string, cause: TorilError): TorilError {
  return new TorilError(
    cause.code,
    `whether the cell of "${key}" was ${done} is unknown: ${cause.message} Look at the lane, and try again if it is still as it was.`,
    { cause },
  );
}

function notOurs(key: string): TorilError {
  return new TorilError(
    'FOREIGN_VALUE',
    `memcached holds a value under "${key}" that Toril did not write; it cannot be trusted as a cell.`,
  );
}

function olderThanCopy(key: string): TorilError {
  return new TorilError(
    'CELL_OF_ANOTHER_REDIS',
    `the cell of "${key}" belongs to another Redis data set and is older than what this one has acknowledged. Say "--trust copy" to restore the value from here.`,
  );
}

const NO_KEYS: readonly string[] = [];

/** One of them alone would have half a transaction. */
function ofSeveralKeys(key: string, keys: readonly string[]): TorilError {
  const others = keys.filter((one) => one !== key).map((one) => `"${one}"`);
  return new TorilError(
    'LANES_APART',
    `the commit in the cell of "${key}" changed ${others.join(', ')} as well, so this cell cannot be trusted alone. Say "--trust copy" of each of these keys: their copies agree, and jobs that wait are applied.`,
  );
}

function anotherQueue(queue: string): TorilError {
  return new TorilError(
    'CELL_OF_ANOTHER_QUEUE',
    `the cell belongs to the queue "${queue}"; ask there.`,
  );
}
