/**
 * The binary protocol as bytes, by memjs. It leaves three things to its caller: the CAS, which is written into the
 * request behind it; the length of a name; and whether what came is a reply at all (replies.ts).
 */
import { Utils } from 'memjs';
import { assert } from '../../base/assert.ts';
import type { Cas } from '../server.ts';
import type { Room } from '../socket/room.ts';

export const OPCODE = {
  set: 0x01,
  add: 0x02,
  replace: 0x03,
  /** Answered only if the item is there. */
  getQuietly: 0x09,
  noop: 0x0a,
  version: 0x0b,
  append: 0x0e,
  stat: 0x10,
  /** Answered only if nothing was deleted. */
  deleteQuietly: 0x14,
  quitQuietly: 0x17,
  getAndTouch: 0x1d,
  saslMechanisms: 0x20,
  saslAuth: 0x21,
} as const;
export type Opcode = (typeof OPCODE)[keyof typeof OPCODE];

export const STATUS = {
  ok: 0x00,
  missing: 0x01,
  exists: 0x02,
  tooLarge: 0x03,
  notStored: 0x05,
  authRefused: 0x20,
  unknownCommand: 0x81,
  outOfMemory: 0x82,
} as const;

export const REPLY_MAGIC = 0x81;

/** Where the fields of a header are that we look at ourselves. */
export const HEADER = {
  nameLength: 2,
  extrasLength: 4,
  bodyLength: 8,
  cas: 16,
  bytes: 24,
} as const;

/** Bytes; memcached closes the connection at 251. */
const NAME_BYTES_MAX = 250;
const EXTRAS_BYTES_MAX = 8;
/** Bytes of UTF-8 for one unit of a string, at most. */
const UNIT_BYTES_MAX = 3;
const NOTHING = Buffer.alloc(0);

/** What a request says. All parts are named, so that all requests have one shape. */
export interface RequestParts {
  /** Empty: none. */
  readonly name: string;
  readonly flags: number | undefined;
  readonly expiry: number | undefined;
  readonly value: Buffer | undefined;
  /** 0n: unconditional. */
  readonly cas: Cas;
}

/** A request without a value. */
export function plain(name: string, cas: Cas = 0n): RequestParts {
  return { name, flags: undefined, expiry: undefined, value: undefined, cas };
}

/** Bytes that a request takes at most. */
export function bytesAtMost({ name, value }: RequestParts): number {
  const valueBytes = value === undefined ? 0 : value.length;
  return HEADER.bytes + EXTRAS_BYTES_MAX + name.length * UNIT_BYTES_MAX + valueBytes;
}

/** The room must have `bytesAtMost` left. */
export function writeRequest(
  room: Room,
  opcode: Opcode,
  opaque: number,
  parts: RequestParts,
): void {
  const request = encodeRequest(opcode, opaque, parts);
  room.bytes.set(request, room.used);
  room.used += request.length;
}

/** A request by itself. */
export function encodeRequest(
  opcode: Opcode,
  opaque: number,
  { name, flags, expiry, value = NOTHING, cas }: RequestParts,
): Buffer {
  const extras = extrasOf(flags, expiry);
  const request = Utils.makeRequestBuffer(opcode, name, extras, value, opaque);
  const nameBytes = request.length - HEADER.bytes - extras.length - value.length;
  if (nameBytes > NAME_BYTES_MAX) assert(false, `an item name of ${nameBytes} bytes`);
  if (cas !== 0n) request.writeBigUInt64BE(cas, HEADER.cas);
  return request;
}

function extrasOf(flags: number | undefined, expiry: number | undefined): Buffer {
  if (expiry === undefined) return NOTHING;
  if (flags === undefined) return bytesOf([expiry]);
  return bytesOf([flags, expiry]);
}

function bytesOf(fields: readonly number[]): Buffer {
  const bytes = Buffer.allocUnsafe(fields.length * 4);
  fields.forEach((field, index) => bytes.writeUInt32BE(field, index * 4));
  return bytes;
}
