/** Replies as bytes, read in place. */
import { HEADER, REPLY_MAGIC } from './codec.ts';
import type { ReplyParser, ReplySink } from '../protocol.ts';
import type { Cas } from '../server.ts';

/** Bytes. memcached takes no `item_size_max` above 1 GiB; a longer reply is no reply of memcached. */
const BODY_BYTES_MAX = 1024 * 1024 * 1024 + 1024;
/** Of what is shown of bytes that are no reply. */
const EXCERPT_BYTES = 64;
const FLAGS_BYTES = 4;
const NOTHING = Buffer.alloc(0);
const NO_VIEW: DataView = viewOf(NOTHING);

/** The reply that is being delivered. One object serves for all of them: take what you need at once. */
export class Reply {
  #bytes: Buffer = NOTHING;
  #view: DataView = NO_VIEW;
  #start = 0;
  #nameAt = 0;
  #valueAt = 0;
  #end = 0;

  get opcode(): number {
    return this.#view.getUint8(this.#start + HEADER.opcode);
  }

  get status(): number {
    return this.#view.getUint16(this.#start + HEADER.status);
  }

  get opaque(): number {
    return this.#view.getUint32(this.#start + HEADER.opaque);
  }

  get cas(): Cas {
    return this.#view.getBigUint64(this.#start + HEADER.cas);
  }

  /** An item's; undefined if the reply has none. */
  get flags(): number | undefined {
    const at = this.#start + HEADER.bytes;
    return this.#nameAt - at < FLAGS_BYTES ? undefined : this.#view.getUint32(at);
  }

  get name(): string {
    return this.#bytes.toString('latin1', this.#nameAt, this.#valueAt);
  }

  /** A view of the bytes that came. */
  get value(): Buffer {
    return this.#bytes.subarray(this.#valueAt, this.#end);
  }

  /** Bytes in which replies stand. */
  enter(bytes: Buffer): void {
    this.#bytes = bytes;
    this.#view = viewOf(bytes);
  }

  /** The bytes are not kept from being freed any longer. */
  leave(): void {
    this.#bytes = NOTHING;
    this.#view = NO_VIEW;
  }

  /** Becomes the reply that stands at `start`. False: its lengths contradict each other. */
  moveTo(start: number, length: number): boolean {
    const view = this.#view;
    this.#start = start;
    this.#nameAt = start + HEADER.bytes + view.getUint8(start + HEADER.extrasLength);
    this.#valueAt = this.#nameAt + view.getUint16(start + HEADER.nameLength);
    this.#end = start + length;
    return this.#valueAt <= this.#end;
  }
}

/** Cuts the bytes of a connection into replies. */
export class BinaryParser implements ReplyParser {
  needed = 1;
  readonly #sink: ReplySink<Reply>;
  readonly #reply = new Reply();
  #stopped = false;

  constructor(sink: ReplySink<Reply>) {
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
      const left = bytes.length - start;
      const length = this.#lengthAt(bytes, start);
      // One byte is enough to know garbage: "ERROR" would never fill a header.
      this.needed = length ?? (left === 0 ? 1 : HEADER.bytes);
      if (length === undefined || left < length) break;
      if (reply.moveTo(start, length)) this.#sink.receive(reply);
      else this.#fail(bytes, start);
      start += length;
    }
    reply.leave();
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

function viewOf({ buffer, byteOffset, byteLength }: Buffer): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}
