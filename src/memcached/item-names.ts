/**
 * How a user's key becomes the names of its two memcached items: the cell and, beside it, the lock.
 * Both are routed by the key itself, so that they share a server.
 */
import { createHash } from 'node:crypto';
import { TorilError } from '../errors.ts';

/** Bytes; memcached closes the connection at 251. */
const NAME_BYTES_MAX = 250;
/** Bytes of a user's key. */
export const KEY_BYTES_MAX = 1024;
const RESERVED_PREFIX = 'toril:';
const LOCK_PREFIX = 'toril:lock:';
const HASHED_PREFIX = 'toril:sha256:';
/** Blanks and control characters end or corrupt a name in memcached's text protocol. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const UNSAFE = /[\u0000-\u0020\u007f]/;

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

/** The item that holds the value: the key itself where memcached can take it, else its SHA-256. */
export function cellName(key: string): string {
  return isSafe(key) ? key : HASHED_PREFIX + sha256(key);
}

/** The item that holds the lease. */
export function lockName(key: string): string {
  const name = LOCK_PREFIX + key;
  return isSafe(name) ? name : LOCK_PREFIX + HASHED_PREFIX + sha256(key);
}

function isSafe(name: string): boolean {
  return (
    !UNSAFE.test(name) &&
    (name.length <= NAME_BYTES_MAX / 3 || Buffer.byteLength(name) <= NAME_BYTES_MAX)
  );
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
