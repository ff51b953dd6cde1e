/** What an item takes of memcached's `item_size_max`. */
import type { NewItem } from './server.ts';

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
