/**
 * Which state of a key is the true one: the cell in memcached or the copy in Redis. Pure. Memcached
 * may lose a cell, bring an old one back or accept a write much later, so a cell is believed only if
 * it extends what Redis last acknowledged. Redis has the last word.
 */
import { TorilError } from '../errors.ts';
import type { CellContent, Envelope } from './envelope.ts';

/** What Redis last acknowledged for the key. */
export interface Acknowledged {
  /** 0: nothing yet. */
  readonly token: number;
}

export type Standing =
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

/** @param remembersFrom Redis has forgotten all commits whose token is below this number */
export function believe(
  content: CellContent,
  copy: Acknowledged,
  remembersFrom: number,
  queue: string,
): Standing {
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
      return believeEnvelope(content.envelope, copy, remembersFrom, queue);
  }
}

function believeEnvelope(
  envelope: Envelope,
  copy: Acknowledged,
  remembersFrom: number,
  queue: string,
): Standing {
  if (envelope.queue !== '' && envelope.queue !== queue)
    return { kind: 'refused', cause: anotherQueue(envelope.queue, queue) };
  if (envelope.queue === '' && copy.token !== 0) return { kind: 'refused', cause: overwritten() };
  if (envelope.token === copy.token) return { kind: 'clean', envelope };
  if (envelope.base === copy.token) {
    return isForgotten(envelope, remembersFrom)
      ? { kind: 'refused', cause: forgotten(envelope) }
      : { kind: 'unacknowledged', envelope };
  }
  if (envelope.base > copy.token) return { kind: 'refused', cause: wentBack(envelope, copy) };
  return { kind: 'restore', found: 'stale' };
}

/**
 * The first commit of a key is built on nothing, and nothing is what a Redis without its data knows,
 * too. A value under a lock has a token of another counter, and was never acknowledged.
 */
function isForgotten({ base, token, queue }: Envelope, remembersFrom: number): boolean {
  return base === 0 && queue !== '' && token < remembersFrom;
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

function forgotten({ token }: Envelope): TorilError {
  return new TorilError(
    'REDIS_WENT_BACK',
    `the cell holds the first commit of its key (${token}), and Redis has lost all that it knew of the queue since then (a flush, an obliterated queue, a failover). Say "toril lane KEY --trust cell" to go on from memcached, or delete the cell to begin anew.`,
  );
}

function wentBack(envelope: Envelope, copy: Acknowledged): TorilError {
  return new TorilError(
    'REDIS_WENT_BACK',
    `the cell was built on commit ${envelope.base}, but Redis remembers none after ${copy.token}: it has lost acknowledged writes (a failover, an old dump, a flush). Say "toril lane KEY --trust cell" to go on from memcached, or "--trust copy" to go on from Redis.`,
  );
}
