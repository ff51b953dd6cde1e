/**
 * How a user's key becomes the names of its two memcached items: the cell and, beside it, the lock.
 * Both are routed by the key itself, so that they share a server.
 */
import { createHash } from 'node:crypto';

/** Bytes; memcached closes the connection at 251. */
const NAME_BYTES_MAX = 250;
const LOCK_PREFIX = 'toril:lock:';
const HASHED_PREFIX = 'toril:sha256:';
/** Blanks and control characters end or corrupt a name in memcached's text protocol. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const UNSAFE = /[\u0000-\u0020\u007f]/;

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
