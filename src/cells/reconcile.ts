/**
 * Which state of a key is the true one: the cell in memcached or the copy in Redis. Pure. Memcached
 * may lose a cell, bring an old one back or accept a write much later, so a cell is believed only if
 * it extends what Redis last acknowledged. Redis has the last word, if it is the Redis that the cell
 * belongs to, and remembers all that it has given out.
 */
import type { DataSet } from '../redis/data-set.ts';
import { TorilError } from '../errors.ts';
import type { CellContent, Envelope } from './envelope.ts';

/** What Redis last acknowledged for the key. */
export interface Acknowledged {
  /** 0: nothing yet. */
  readonly token: number;
  readonly watermark: number;
}

export type Reconciled =
  /** The cell is the acknowledged state. */
  | { readonly kind: 'clean'; readonly envelope: Envelope }
  /** The cell's commit landed, its acknowledgement did not: acknowledge it first. */
  | { readonly kind: 'unacknowledged'; readonly envelope: Envelope }
  /** The cell is missing, or cannot be believed: start from the copy. */
  | { readonly kind: 'restore'; readonly found: 'missing' | 'stale' }
  /** The key is new. */
  | { readonly kind: 'fresh' }
  /** The key is new to Toril, but somebody keeps a value there. */
  | { readonly kind: 'foreign'; readonly bytes: Buffer }
  /** Nobody but an operator can tell: the lane stops, loudly. */
  | { readonly kind: 'refused'; readonly cause: TorilError };

/** Where a cell is looked at from. */
export interface Viewpoint {
  /** The queue's qualified name. */
  readonly queue: string;
  /** What the copy was read from. */
  readonly dataSet: DataSet;
  /** Drawn since the cell was read, and so above all that was drawn before. */
  readonly token: number;
  /** Of the first job that waits; undefined: none does. */
  readonly firstSequence: number | undefined;
  /** Whether this process has worked with that data set. */
  readonly knows: (dataSetId: string) => boolean;
}

export function reconcile(content: CellContent, copy: Acknowledged, from: Viewpoint): Reconciled {
  // Every acknowledgement takes out what is at or below its watermark: a job there got its number since.
  const { token, firstSequence = token } = from;
  if (copy.token >= token || copy.watermark >= Math.min(token, firstSequence))
    return { kind: 'refused', cause: countsAgain(Math.max(copy.token, copy.watermark)) };
  switch (content.kind) {
    case 'missing':
      return copy.token === 0 ? { kind: 'fresh' } : { kind: 'restore', found: 'missing' };
    case 'foreign':
      return copy.token === 0
        ? { kind: 'foreign', bytes: content.bytes }
        : { kind: 'refused', cause: overwritten() };
    case 'unreadable':
      return { kind: 'refused', cause: content.cause };
    case 'envelope':
      return reconcileEnvelope(content.envelope, copy, from);
  }
}

function reconcileEnvelope(envelope: Envelope, copy: Acknowledged, from: Viewpoint): Reconciled {
  const isOfLock = envelope.queue === '';
  if (!isOfLock && envelope.queue !== from.queue)
    return { kind: 'refused', cause: anotherQueue(envelope.queue, from.queue) };
  if (isOfLock && copy.token !== 0) return { kind: 'refused', cause: overwritten() };
  // A lock draws its tokens from a counter, and so from a data set, of its own.
  if (!isOfLock && envelope.dataSet !== from.dataSet.id)
    return { kind: 'refused', cause: anotherDataSet(envelope, from) };
  if (envelope.token >= from.token) return { kind: 'refused', cause: countsAgain(envelope.token) };
  if (envelope.token === copy.token) return { kind: 'clean', envelope };
  if (envelope.base === copy.token) return { kind: 'unacknowledged', envelope };
  if (envelope.base > copy.token) return { kind: 'refused', cause: wentBack(envelope, copy) };
  return { kind: 'restore', found: 'stale' };
}

function overwritten(): TorilError {
  return new TorilError(
    'FOREIGN_VALUE',
    'something other than this queue (a plain client, or a lock of openLocks) wrote over the cell. Stop that writer, then say "toril lane KEY --trust copy" to restore the value from Redis.',
  );
}

function anotherQueue(theirs: string, ours: string): TorilError {
  return new TorilError(
    'CELL_OF_ANOTHER_QUEUE',
    `the cell belongs to the queue "${theirs}", not to "${ours}". Give the two queues different keys.`,
  );
}

const SETTLE_EMPTIED =
  'Say "toril lane KEY --trust cell" to go on from memcached, or delete the cell to start over.';
const SETTLE_FOREIGN =
  'Give the two of them different keys, or a memcached each: a key in memcached has one owner.';

/**
 * Redis was emptied, or another one stands in its place, or two of them share the memcached. Who has seen both knows; and a
 * data set that is younger than the cell cannot have replaced the one that wrote it.
 */
function anotherDataSet(
  { dataSet: theirs, token }: Envelope,
  { dataSet: ours, knows }: Viewpoint,
): TorilError {
  const what = `the cell was committed with another Redis data set (${theirs || 'without a name'}) than the one that answers here (${ours.id})`;
  if (knows(theirs)) {
    return new TorilError(
      'REDIS_WENT_BACK',
      `${what}, which this process worked with before: Redis was emptied or replaced since (a flush, an obliterated queue, SWAPDB, another server behind the address). ${SETTLE_EMPTIED}`,
    );
  }
  if (token < ours.madeAt) {
    return new TorilError(
      'REDIS_WENT_BACK',
      `${what}, before that one began. Either Redis was emptied or replaced since (a flush, an obliterated queue, a failover): ${SETTLE_EMPTIED} Or two Redis servers or databases share this memcached: ${SETTLE_FOREIGN}`,
    );
  }
  return new TorilError(
    'CELL_OF_ANOTHER_REDIS',
    `${what}, and that one is at work beside it: two Redis servers, databases or environments share this memcached. ${SETTLE_FOREIGN} To take the key over all the same, say "toril lane KEY --trust cell" or "--trust copy".`,
  );
}

function countsAgain(before: number): TorilError {
  return new TorilError(
    'REDIS_WENT_BACK',
    `Redis has forgotten that it gave out the number ${before}: it lost acknowledged writes, and its clock is behind (a replica that was promoted, an old dump). Set its clock right: the key goes on by itself once the numbers are past that one, if nothing else was lost. Or say "toril lane KEY --trust cell" or "--trust copy".`,
  );
}

/** Jobs wait at or below the last number of the cell's commit that it has not decided. */
export function strangers({ token }: Envelope): TorilError {
  return new TorilError(
    'REDIS_WENT_BACK',
    `Redis has lost its writes since the cell's commit ${token} was made, and has given its jobs' numbers to others since (a replica was promoted whose clock is behind). Say "toril lane KEY --trust cell" to keep the commit, or "--trust copy" to give it up; the jobs that wait are applied either way.`,
  );
}

function wentBack(envelope: Envelope, copy: Acknowledged): TorilError {
  return new TorilError(
    'REDIS_WENT_BACK',
    `the cell was built on commit ${envelope.base}, but Redis remembers none after ${copy.token}: it has lost acknowledged writes (a failover, an old dump, a flush). Say "toril lane KEY --trust cell" to go on from memcached, or "--trust copy" to go on from Redis.`,
  );
}
