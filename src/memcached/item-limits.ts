/** How long an item may live, as memcached counts, and what it takes of `item_size_max`. */
import { assert } from '../base/assert.ts';
import type { Clock } from '../base/clock.ts';
import type { NewItem } from './server.ts';

/** Seconds; memcached takes anything longer for a date. */
export const RELATIVE_TTL_MAX: number = 60 * 60 * 24 * 30;
/** The binary field has 32 bits. */
const EXPIRY_MAX = 0xffff_ffff;
/** In the text protocols: with more, 1.6.18 and 1.6.38 say "stored", and the item is gone at once. */
export const EXPIRY_MAX_TEXT = 0x7fff_ffff;

/**
 * What goes into a request for an item that is to live `ttlSeconds`: up to 30 days the seconds
 * themselves, beyond that a date in seconds since 1970, and 0 for an item that does not expire.
 */
export function expiryField(ttlSeconds: number, clock: Pick<Clock, 'wallMs'>): number {
  if (!Number.isInteger(ttlSeconds) || ttlSeconds < 0) {
    assert(false, `a lifetime of ${ttlSeconds} seconds`);
  }
  if (ttlSeconds <= RELATIVE_TTL_MAX) return ttlSeconds;
  return Math.min(EXPIRY_MAX, Math.floor(clock.wallMs() / 1000) + ttlSeconds);
}

/** Bytes; memcached's default, taken of servers that do not tell. */
export const ITEM_SIZE_MAX_DEFAULT: number = 1024 * 1024;
/** memcached 1.5 and 1.6 keep this beside name and value: 48 header, 8 CAS, 1 + 2 terminators. */
const HEADER_BYTES = 48 + 8 + 1 + 2;
/** Beside flags other than 0. 8 in a server that was built with 64-bit client flags. */
export const FLAGS_BYTES = 4;

export function itemBytes(
  name: string,
  { value, flags }: Pick<NewItem, 'value' | 'flags'>,
  flagsBytes: number = FLAGS_BYTES,
): number {
  const forFlags = flags === 0 ? 0 : flagsBytes;
  return HEADER_BYTES + forFlags + Buffer.byteLength(name) + value.length;
}
