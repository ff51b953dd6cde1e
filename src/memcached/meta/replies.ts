/** Replies of the meta protocol as bytes, read in place: a line, and behind `VA` a block. */
import type { ReplyParser, ReplySink } from '../protocol.ts';
import type { Cas } from '../server.ts';

/** What a reply's line begins with. `other`: words, to be read as text. */
export const CODE = {
  other: 0,
  value: 1,
  done: 2,
  miss: 3,
  notStored: 4,
  exists: 5,
  notFound: 6,
  noop: 7,
  /** Of a classic store. */
  stored: 8,
} as const;
type Code = (typeof CODE)[keyof typeof CODE];

/** Bytes. memcached takes no `item_size_max` above 1 GiB; a longer block is no reply of memcached. */
const BLOCK_BYTES_MAX = 1024 * 1024 * 1024;
/** Bytes of a line; memcached's own are far shorter. */
const LINE_BYTES_MAX = 2048;
/** Of what is shown of bytes that are no reply. */
const EXCERPT_BYTES = 64;
/** Digits of numbers that fit into a Number; those of 64 bits have up to 20. */
const SAFE_DIGITS = 15;
const DIGITS_MAX = 20;
/** Bytes up to which a loop is faster than a call out of JavaScript. */
const SHORT_BYTES = 96;
const NOTHING = Buffer.alloc(0);
const STORED = Buffer.from('STORED');

const LF = 0x0a;
const CR = 0x0d;
const BLANK = 0x20;
const LETTER = {
  ...{ A: 0x41, D: 0x44, E: 0x45, F: 0x46, H: 0x48, M: 0x4d, N: 0x4e, S: 0x53, V: 0x56 },
  ...{ W: 0x57, X: 0x58, Z: 0x5a, c: 0x63, f: 0x66 },
} as const;

/** The reply that is being delivered. One object serves for all of them: take what you need at once. */
export class MetaReply {
  code: Code = CODE.other;
  /** An item's; undefined if the reply has none. */
  cas: Cas | undefined = undefined;
  flags: number | undefined = undefined;
  /** The item was bumped (`md I`), not stored since, and this is the first look at it since the last bump. */
  isFirstLook = false;
  /** It was bumped, and not stored since. */
  isBumped = false;
  #bytes: Buffer = NOTHING;
  #lineStart = 0;
  #lineEnd = 0;
  #blockStart = 0;
  #blockEnd = 0;

  /** The line. */
  get words(): string {
    return this.#bytes.toString('latin1', this.#lineStart, this.#lineEnd);
  }

  /** Whether the block is this value. The loop is faster for what is short, as locks are. */
  hasValue(value: Buffer): boolean {
    if (this.#blockEnd - this.#blockStart !== value.length) return false;
    if (value.length > SHORT_BYTES) return this.value.equals(value);
    for (let index = 0; index < value.length; index++)
      if (this.#bytes[this.#blockStart + index] !== value[index]) return false;
    return true;
  }

  /** The block behind the line: a view of the bytes that came. */
  get value(): Buffer {
    return this.#bytes.subarray(this.#blockStart, this.#blockEnd);
  }

  enter(bytes: Buffer): void {
    this.#bytes = bytes;
  }

  /** The bytes are not kept from being freed any longer. */
  leave(): void {
    this.#bytes = NOTHING;
  }

  /**
   * Becomes the reply whose line stands here, without its end. Returns the bytes of its block; undefined: this is
   * no reply.
   */
  readLine(start: number, end: number): number | undefined {
    this.#lineStart = start;
    this.#lineEnd = end;
    this.cas = undefined;
    this.flags = undefined;
    this.isFirstLook = false;
    this.isBumped = false;
    this.code = this.#codeAt(start, end);
    if (this.code === CODE.other || this.code === CODE.stored) return 0;
    let blockBytes = 0;
    let at = start + 2;
    if (this.code === CODE.value) {
      const sizeAt = this.#skipBlanks(at, end);
      const sizeEnd = this.#digitsEnd(sizeAt, end);
      blockBytes = this.#number(sizeAt, sizeEnd) ?? -1;
      if (blockBytes < 0 || blockBytes > BLOCK_BYTES_MAX) return undefined;
      at = sizeEnd;
    }
    return this.#readFlags(at, end) ? blockBytes : undefined;
  }

  blockAt(start: number, end: number): void {
    this.#blockStart = start;
    this.#blockEnd = end;
  }

  #codeAt(start: number, end: number): Code {
    const bytes = this.#bytes;
    if (end - start < 2) return CODE.other;
    if (end - start > 2 && bytes[start + 2] !== BLANK) return this.#wordAt(start, end);
    const first = bytes[start];
    const second = bytes[start + 1];
    if (first === LETTER.H && second === LETTER.D) return CODE.done;
    if (first === LETTER.V && second === LETTER.A) return CODE.value;
    if (first === LETTER.E && second === LETTER.N) return CODE.miss;
    if (first === LETTER.N && second === LETTER.S) return CODE.notStored;
    if (first === LETTER.E && second === LETTER.X) return CODE.exists;
    if (first === LETTER.N && second === LETTER.F) return CODE.notFound;
    if (first === LETTER.M && second === LETTER.N) return CODE.noop;
    return CODE.other;
  }

  #wordAt(start: number, end: number): Code {
    if (end - start !== STORED.length) return CODE.other;
    for (let index = 0; index < STORED.length; index++)
      if (this.#bytes[start + index] !== STORED[index]) return CODE.other;
    return CODE.stored;
  }

  /** False for anything that was not asked for: nobody vouches for the rest then. */
  #readFlags(start: number, end: number): boolean {
    const bytes = this.#bytes;
    for (let at = this.#skipBlanks(start, end); at < end; at = this.#skipBlanks(at, end)) {
      const letter = bytes[at];
      const numberAt = at + 1;
      at = this.#digitsEnd(numberAt, end);
      if (at < end && bytes[at] !== BLANK) return false;
      if (letter === LETTER.c) {
        this.cas = this.#bigint(numberAt, at);
        if (this.cas === undefined) return false;
      } else if (letter === LETTER.f) {
        this.flags = this.#number(numberAt, at);
        if (this.flags === undefined) return false;
      } else if (letter === LETTER.X) this.isBumped = true;
      else if (letter === LETTER.W) this.isFirstLook = true;
      else if (letter !== LETTER.Z) return false;
    }
    return true;
  }

  /** 1.6.13 to 1.6.17 have one too many. */
  #skipBlanks(start: number, end: number): number {
    let at = start;
    while (at < end && this.#bytes[at] === BLANK) at++;
    return at;
  }

  #digitsEnd(start: number, end: number): number {
    let at = start;
    while (at < end && isDigit(this.#bytes[at] as number)) at++;
    return at;
  }

  /** Undefined: there are no digits, or too many. */
  #number(start: number, end: number): number | undefined {
    if (end === start || end - start > DIGITS_MAX) return undefined;
    let number = 0;
    for (let at = start; at < end; at++) number = number * 10 + (this.#bytes[at] as number) - 0x30;
    return number;
  }

  #bigint(start: number, end: number): bigint | undefined {
    if (end - start > SAFE_DIGITS && end - start <= DIGITS_MAX)
      return BigInt(this.#bytes.toString('latin1', start, end));
    const number = this.#number(start, end);
    return number === undefined ? undefined : BigInt(number);
  }
}

/** Cuts the bytes of a connection into replies. */
export class MetaParser implements ReplyParser {
  needed = 1;
  readonly #sink: ReplySink<MetaReply>;
  readonly #reply = new MetaReply();
  #stopped = false;

  constructor(sink: ReplySink<MetaReply>) {
    this.#sink = sink;
  }

  stop(): void {
    this.#stopped = true;
  }

  parse(bytes: Buffer): number {
    const reply = this.#reply;
    let start = 0;
    reply.enter(bytes);
    while (!this.#stopped) {
      const end = this.#replyEnd(bytes, start);
      if (end === undefined) break;
      this.#sink.receive(reply);
      start = end;
    }
    reply.leave();
    return start;
  }

  /** Where the reply that begins here ends; undefined: it is not complete. */
  #replyEnd(bytes: Buffer, start: number): number | undefined {
    const left = bytes.length - start;
    this.needed = left + 1;
    if (left === 0) return undefined;
    // One byte is enough to know garbage, such as a reply of the binary protocol.
    if (!isCapital(bytes[start] as number)) return this.#fail(bytes, start);
    const lineEnd = lineEndOf(bytes, start);
    if (lineEnd === -1) return left > LINE_BYTES_MAX ? this.#fail(bytes, start) : undefined;
    if (bytes[lineEnd - 1] !== CR) return this.#fail(bytes, start);
    const blockBytes = this.#reply.readLine(start, lineEnd - 1);
    if (blockBytes === undefined) return this.#fail(bytes, start);
    const blockStart = lineEnd + 1;
    if (this.#reply.code !== CODE.value) return blockStart;
    const blockEnd = blockStart + blockBytes;
    if (bytes.length < blockEnd + 2) {
      this.needed = blockEnd + 2 - start;
      return undefined;
    }
    if (bytes[blockEnd] !== CR || bytes[blockEnd + 1] !== LF) return this.#fail(bytes, blockEnd);
    this.#reply.blockAt(blockStart, blockEnd);
    return blockEnd + 2;
  }

  #fail(bytes: Buffer, start: number): undefined {
    this.#stopped = true;
    this.#sink.garbage(JSON.stringify(bytes.toString('latin1', start, start + EXCERPT_BYTES)));
  }
}

/** Where the line's LF is; -1: not there yet. */
function lineEndOf(bytes: Buffer, start: number): number {
  const soon = Math.min(bytes.length, start + SHORT_BYTES);
  for (let at = start; at < soon; at++) if (bytes[at] === LF) return at;
  return bytes.indexOf(LF, soon);
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

function isCapital(byte: number): boolean {
  return byte >= 0x41 && byte <= 0x5a;
}
