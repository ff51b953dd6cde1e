/**
 * How a user's key becomes the names of its two memcached items: the cell and, beside it, the lock.
 * Both are routed by the key itself, so that they share a server.
 */
import { createHash } from 'node:crypto';

/** Bytes; memcached closes the connection at 251. */
const NAME_BYTES_MAX = 250;
const LOCK_PREFIX = 'toril:lock:';
const HASHED_PREFIX = 'toril:sha256:';
/** The item that holds the value: the key itself where memcached can take it, else its SHA-256. */
export function cellName(key: string): string {
  return isSafe(key, 0) ? key : HASHED_PREFIX + sha256(key);
}

/** The item that holds the lease. */
export function lockName(key: string): string {
  if (isSafe(key, LOCK_PREFIX.length)) return LOCK_PREFIX + key;
  return LOCK_PREFIX + HASHED_PREFIX + sha256(key);
}

/**
 * Whether memcached can take the key behind a prefix of so many bytes. Blanks and control characters
 * end or corrupt a name in its text protocol. Every job asks twice: a loop takes a third of what a
 * regular expression does.
 */
function isSafe(key: string, prefixBytes: number): boolean {
  for (let index = 0; index < key.length; index++) {
    const code = key.charCodeAt(index);
    if (code <= 0x20 || code === 0x7f) return false;
  }
  const bytesMax = NAME_BYTES_MAX - prefixBytes;
  return key.length <= bytesMax / 3 || Buffer.byteLength(key) <= bytesMax;
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
