/**
 * What goes out on a socket: the requests of one moment, gathered in chunks of memory. One write at
 * a time: a chunk is used again once the socket is done with it, and what is gathered meanwhile
 * shares the next one, so that a server that takes nothing costs no more memory than its requests.
 */
import type { Socket } from 'node:net';
import { type Room, roomOf } from './room.ts';

/** Bytes: what a moment's requests on 64 keys at once come to, with room to spare. */
const TCP_CHUNK_BYTES: number = 64 * 1024;
/** Bytes of what one TLS record can hold. */
const TLS_RECORD_BYTES: number = 16 * 1024;
/** One that is being written, one that is being filled. */
const SPARE_CHUNKS = 2;

interface Shape {
  readonly chunkBytes: number;
  readonly chunksPerWrite: number;
}

/** TCP: all that is there goes out at once. */
const PLAIN: Shape = { chunkBytes: TCP_CHUNK_BYTES, chunksPerWrite: Infinity };
/**
 * TLS: one write for each record's worth of whole requests; one that needs more has its records to
 * itself. memcached waits for the network while the end of a record lies decrypted in its hands: of
 * a 17 KB replace and a delete in one write, 1.6.18 answers the replace, and the delete only when
 * something else arrives.
 */
const RECORDS: Shape = { chunkBytes: TLS_RECORD_BYTES, chunksPerWrite: 1 };

export class Outbox {
  readonly #socket: Socket;
  readonly #shape: Shape;
  /** The last one takes further requests. */
  #chunks: Room[] = [];
  readonly #spare: Room[] = [];
  /** Requests of this moment are not to go out yet. */
  #gathering = false;
  #writing = false;

  /** `encrypted`: the socket is a TLS one. */
  constructor(socket: Socket, encrypted: boolean) {
    this.#socket = socket;
    this.#shape = encrypted ? RECORDS : PLAIN;
  }

  /** Where to write a request of at most so many bytes. It goes out with the next `send`. */
  room(bytes: number): Room {
    this.#gathering = true;
    const last = this.#chunks.at(-1);
    if (last !== undefined && this.#takes(last, bytes)) return last;
    const chunk = this.#newChunk(bytes);
    this.#chunks.push(chunk);
    return chunk;
  }

  send(): void {
    this.#gathering = false;
    if (!this.#writing) this.#writeNext();
  }

  /** Nothing more goes out. */
  drop(): void {
    this.#chunks = [];
  }

  /** Never behind a request that has a chunk to itself. */
  #takes({ bytes, used }: Room, needed: number): boolean {
    return bytes.length === this.#shape.chunkBytes && bytes.length - used >= needed;
  }

  #newChunk(needed: number): Room {
    const { chunkBytes } = this.#shape;
    if (needed > chunkBytes) return roomOf(needed);
    return this.#spare.pop() ?? roomOf(chunkBytes);
  }

  #writeNext(): void {
    this.#writing = this.#chunks.length > 0 && !this.#gathering;
    if (!this.#writing) return; // `send` calls again
    const going = this.#chunks.splice(0, this.#shape.chunksPerWrite);
    // Also when it failed: the socket is destroyed then, and takes nothing more.
    const done = (): void => {
      this.#recycle(going);
      this.#writeNext();
    };
    if (going.length > 1) this.#socket.cork();
    going.forEach(({ bytes, used }, index) => {
      this.#socket.write(bytes.subarray(0, used), index === going.length - 1 ? done : undefined);
    });
    if (going.length > 1) this.#socket.uncork();
  }

  #recycle(chunks: readonly Room[]): void {
    for (const chunk of chunks) {
      if (chunk.bytes.length !== this.#shape.chunkBytes) continue;
      if (this.#spare.length === SPARE_CHUNKS) return;
      chunk.used = 0;
      this.#spare.push(chunk);
    }
  }
}
