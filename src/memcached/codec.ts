/**
 * The binary protocol as bytes. The only file that knows memjs; it encodes and decodes, and no
 * more: memjs's own client must not carry a lock (it repeats `add` after a time-out and answers a
 * retry with the late reply of the connection before).
 */
import { type Message, Utils } from 'memjs';
import { assert } from '../base/assert.ts';
import type { Cas, NewItem } from './server.ts';

export const OPCODE = {
  get: 0x00,
  add: 0x02,
  replace: 0x03,
  delete: 0x04,
  version: 0x0b,
  append: 0x0e,
  stat: 0x10,
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

const REPLY_MAGIC = 0x81;
const HEADER_BYTES = 24;
const CAS_OFFSET = 16;
const BODY_LENGTH_OFFSET = 8;
/** Bytes; memcached closes the connection at 251. */
const NAME_BYTES_MAX = 250;
/** Bytes. memcached takes no `item_size_max` above 1 GiB; a longer reply is no reply of memcached. */
const BODY_BYTES_MAX = 1024 * 1024 * 1024 + 1024;
/** Of what is shown of bytes that are no reply. */
const EXCERPT_BYTES = 64;
const NOTHING = Buffer.alloc(0);

export interface Reply {
  readonly opcode: number;
  readonly status: number;
  readonly opaque: number;
  readonly cas: Cas;
  readonly name: Buffer;
  readonly extras: Buffer;
  readonly value: Buffer;
}

export interface RequestParts {
  readonly name?: string;
  readonly extras?: Buffer;
  readonly value?: Buffer;
  /** 0n (the default): unconditional. */
  readonly cas?: Cas;
}

export function encodeRequest(opcode: Opcode, opaque: number, parts: RequestParts): Buffer {
  const name = parts.name === undefined ? NOTHING : Buffer.from(parts.name);
  assert(name.length <= NAME_BYTES_MAX, `an item name of ${name.length} bytes`);
  const { extras = NOTHING, value = NOTHING, cas = 0n } = parts;
  const request = Utils.makeRequestBuffer(opcode, name, extras, value, opaque);
  if (cas !== 0n) request.writeBigUInt64BE(cas, CAS_OFFSET);
  return request;
}

/** The extras of a request that stores: flags, then expiry. */
export function storageExtras({ flags }: NewItem, expiry: number): Buffer {
  const extras = Buffer.allocUnsafe(8);
  extras.writeUInt32BE(flags, 0);
  extras.writeUInt32BE(expiry, 4);
  return extras;
}

export function expiryExtras(expiry: number): Buffer {
  const extras = Buffer.allocUnsafe(4);
  extras.writeUInt32BE(expiry, 0);
  return extras;
}

/**
 * Cuts the bytes of a connection into replies. The chunks of an incomplete reply are only
 * collected, and joined once, when it is complete: 1 MiB may come in a thousand of them.
 */
export class ReplyReader {
  readonly #receive: (reply: Reply) => void;
  readonly #garbage: (what: string) => void;
  #chunks: Buffer[] = [];
  #bytes = 0;
  /** How many bytes must be there before it is worth looking again. */
  #needed = 1;
  #stopped = false;

  /** @param garbage called once, when bytes came that are no reply; nothing is read after that */
  constructor(receive: (reply: Reply) => void, garbage: (what: string) => void) {
    this.#receive = receive;
    this.#garbage = garbage;
  }

  push(chunk: Buffer): void {
    if (this.#stopped) return;
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes < this.#needed) return;
    let rest = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks, this.#bytes);
    while (!this.#stopped) {
      const length = this.#lengthOf(rest);
      // One byte is enough to know garbage: "ERROR" would never fill a header.
      this.#needed = length ?? (rest.length === 0 ? 1 : HEADER_BYTES);
      if (length === undefined || rest.length < length) break;
      this.#deliver(rest.subarray(0, length));
      rest = rest.subarray(length);
    }
    this.#chunks = rest.length === 0 ? [] : [rest];
    this.#bytes = rest.length;
  }

  /** Nothing more is delivered, also not from the chunk at hand. */
  stop(): void {
    this.#stopped = true;
  }

  #lengthOf(bytes: Buffer): number | undefined {
    if (bytes.length > 0 && bytes[0] !== REPLY_MAGIC) this.#fail(bytes);
    if (bytes.length < HEADER_BYTES) return undefined;
    const bodyBytes = bytes.readUInt32BE(BODY_LENGTH_OFFSET);
    if (bodyBytes > BODY_BYTES_MAX) this.#fail(bytes);
    return HEADER_BYTES + bodyBytes;
  }

  #deliver(bytes: Buffer): void {
    const message = Utils.parseMessage(bytes);
    if (message === false) this.#fail(bytes);
    else this.#receive(replyOf(message));
  }

  #fail(bytes: Buffer): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#garbage(JSON.stringify(bytes.toString('latin1', 0, EXCERPT_BYTES)));
  }
}

function replyOf({ header, key, extras, val }: Message): Reply {
  return {
    opcode: header.opcode,
    status: header.status,
    opaque: header.opaque,
    cas: header.cas.readBigUInt64BE(0),
    name: key,
    extras,
    value: val,
  };
}
