/**
 * One direction of a connection through the proxy: bytes keep their order, but may come late, in
 * pieces, or not for a while. What has been taken in is delivered also when the side that sent it is
 * gone by then: that is how a write lands long after its sender has given it up.
 */
import type { Socket } from 'node:net';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';

interface Chunk {
  readonly bytes: Buffer;
  readonly dueMs: number;
}

/** Pieces of a chunk that is split; the rest follows whole, so that a large value does not take for ever. */
const PIECES_MAX = 24;

export class Pipe {
  /** Milliseconds that each chunk is kept. */
  delayMs = 0;
  /** Bytes of each piece; 0: chunks stay whole. */
  pieceBytes = 0;
  readonly #to: Socket;
  readonly #waiting: Chunk[] = [];
  /** Bytes that are still let through before it is cut, and what to do then. */
  #cut: { left: number; readonly whenCut: () => void } | undefined;
  #held = false;
  #ended = false;
  #broken = false;
  #wake: () => void = () => undefined;

  constructor(from: Socket, to: Socket) {
    this.#to = to;
    from.on('data', (bytes: Buffer) => this.#take(bytes));
    // 'close' comes also without an end, when the connection was reset.
    from.on('end', () => this.#end());
    from.on('close', () => this.#end());
    to.on('close', () => this.break());
    void this.#pump();
  }

  /** Nothing is delivered until `release`. */
  hold(): void {
    this.#held = true;
  }

  release(): void {
    this.#held = false;
    this.#wake();
  }

  /** What waits is lost. */
  break(): void {
    this.#broken = true;
    this.#wake();
  }

  /** Lets so many bytes more through, then ends; undefined: all. Whatever comes behind them is lost. */
  cutAfter(bytes: number | undefined, whenCut: () => void = () => undefined): void {
    this.#cut = bytes === undefined ? undefined : { left: bytes, whenCut };
  }

  #take(bytes: Buffer): void {
    this.#waiting.push({ bytes, dueMs: performance.now() + this.delayMs });
    this.#wake();
  }

  #end(): void {
    this.#ended = true;
    this.#wake();
  }

  async #pump(): Promise<void> {
    while (!this.#broken) {
      const [next] = this.#waiting;
      if (this.#held || next === undefined) {
        if (next === undefined && this.#ended) break;
        await this.#woken();
        continue;
      }
      const earlyMs = next.dueMs - performance.now();
      if (earlyMs > 0) await sleep(earlyMs);
      // It may have been held or broken meanwhile.
      if (this.#held || this.#broken) continue;
      this.#waiting.shift();
      await this.#deliver(next.bytes);
    }
    this.#to.end();
  }

  async #deliver(all: Buffer): Promise<void> {
    const bytes = this.#cut === undefined ? all : all.subarray(0, this.#cut.left);
    if (this.#cut !== undefined) this.#cut.left -= bytes.length;
    let from = 0;
    for (let pieces = 0; this.pieceBytes > 0 && pieces < PIECES_MAX; pieces++) {
      if (from + this.pieceBytes >= bytes.length || this.#broken) break;
      this.#to.write(bytes.subarray(from, from + this.pieceBytes));
      from += this.pieceBytes;
      // The next piece in a write of its own, so that it travels in a segment of its own.
      await turn();
    }
    if (!this.#broken) this.#to.write(bytes.subarray(from));
    if (this.#cut?.left !== 0) return;
    this.break();
    this.#cut.whenCut();
  }

  #woken(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
