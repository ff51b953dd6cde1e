/**
 * Replies, read by memjs: one whole reply at a time, behind checks of our own. memjs takes anything for a reply whose
 * lengths agree, whatever its first byte; and of what contradicts itself it says that there is more to come.
 */
import { type Message, Utils } from 'memjs';
import { HEADER, REPLY_MAGIC } from './codec.ts';
import type { ReplyParser, ReplySink } from '../protocol.ts';
import type { Cas } from '../server.ts';

/** Bytes. memcached takes no `item_size_max` above 1 GiB; a longer reply is no reply of memcached. */
const BODY_BYTES_MAX = 1024 * 1024 * 1024 + 1024;
/** Of what is shown of bytes that are no reply. */
const EXCERPT_BYTES = 64;
const FLAGS_BYTES = 4;

/** A reply; its value is a view of the bytes that came. */
export class Reply {
  readonly #message: Message;

  constructor(message: Message) {
    this.#message = message;
  }

  get opcode(): number {
    return this.#message.header.opcode;
  }

  get status(): number {
    return this.#message.header.status;
  }

  get opaque(): number {
    return this.#message.header.opaque;
  }

  get cas(): Cas {
    return this.#message.header.cas.readBigUInt64BE(0);
  }

  /** An item's; undefined if the reply has none. */
  get flags(): number | undefined {
    const { extras } = this.#message;
    return extras.length < FLAGS_BYTES ? undefined : extras.readUInt32BE(0);
  }

  get name(): string {
    return this.#message.key.toString('latin1');
  }

  get value(): Buffer {
    return this.#message.val;
  }
}

/** Cuts the bytes of a connection into replies. */
export class BinaryParser implements ReplyParser {
  needed = 1;
  readonly #sink: ReplySink<Reply>;
  #stopped = false;

  constructor(sink: ReplySink<Reply>) {
    this.#sink = sink;
  }

  stop(): void {
    this.#stopped = true;
  }

  parse(bytes: Buffer): number {
    let start = 0;
    while (!this.#stopped) {
      const left = bytes.length - start;
      const length = this.#lengthAt(bytes, start);
      // One byte is enough to know garbage: "ERROR" would never fill a header.
      this.needed = length ?? (left === 0 ? 1 : HEADER.bytes);
      if (length === undefined || left < length) break;
      const message =
        agrees(bytes, start) && Utils.parseMessage(bytes.subarray(start, start + length));
      if (message === false) this.#fail(bytes, start);
      else this.#sink.receive(new Reply(message));
      start += length;
    }
    return start;
  }

  #lengthAt(bytes: Buffer, start: number): number | undefined {
    if (start < bytes.length && bytes[start] !== REPLY_MAGIC) this.#fail(bytes, start);
    if (bytes.length - start < HEADER.bytes) return undefined;
    const bodyBytes = bytes.readUInt32BE(start + HEADER.bodyLength);
    if (bodyBytes > BODY_BYTES_MAX) this.#fail(bytes, start);
    return HEADER.bytes + bodyBytes;
  }

  #fail(bytes: Buffer, start: number): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#sink.garbage(JSON.stringify(bytes.toString('latin1', start, start + EXCERPT_BYTES)));
  }
}

/** Whether name and extras fit into the body. */
function agrees(bytes: Buffer, start: number): boolean {
  const name = bytes.readUInt16BE(start + HEADER.nameLength);
  const extras = bytes.readUInt8(start + HEADER.extrasLength);
  return name + extras <= bytes.readUInt32BE(start + HEADER.bodyLength);
}
