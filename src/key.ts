/** What may name a cell, a lane and a lock: the one rule for users' keys. */
import { TorilError } from './errors.ts';

export const KEY_BYTES_MAX = 1024;
/** The names of Toril's own items in memcached begin so. */
const RESERVED_PREFIX = 'toril:';

/** Throws INVALID_KEY unless `key` may name a cell. */
export function checkKey(key: unknown): asserts key is string {
  const problem = problemOf(key);
  if (problem !== undefined) {
    throw new TorilError(
      'INVALID_KEY',
      `${problem}. A key is a non-empty string of at most ${KEY_BYTES_MAX} bytes.`,
    );
  }
}

/**
 * Keys that a user gave, each once. A string is none: it would be taken for a list of its letters, and nothing for no keys.
 * @throws TorilError INVALID_KEY
 */
export function keysOnce(call: string, given: Iterable<string>): string[] {
  const list: unknown = given;
  if (typeof list === 'object' && list !== null && Symbol.iterator in list) {
    const keys = [...new Set(given)];
    keys.forEach(checkKey);
    return keys;
  }
  const what = list === null ? 'null' : `what is of type ${typeof list}`;
  throw new TorilError('INVALID_KEY', `${call} takes a list of keys, not ${what}.`);
}

function problemOf(key: unknown): string | undefined {
  if (typeof key !== 'string') return `the key is of type ${typeof key}, not a string`;
  if (key === '') return 'the key is empty';
  const bytes = Buffer.byteLength(key);
  if (bytes > KEY_BYTES_MAX) return `the key has ${bytes} bytes ("${key.slice(0, 32)}…")`;
  if (key.startsWith(RESERVED_PREFIX))
    return `the key "${key}" starts with "${RESERVED_PREFIX}", which Toril keeps for itself`;
  if (!key.isWellFormed()) return 'the key holds half a surrogate pair, which has no UTF-8 form';
  return undefined;
}
