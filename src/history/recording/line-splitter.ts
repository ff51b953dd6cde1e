/**
 * Lines out of pieces of a file. It works on bytes: to find a newline in them and to decode one line
 * at a time costs a third of decoding whole pieces and cutting them, and no character is ever split.
 */
const NEWLINE = 0x0a;

export class LineSplitter {
  #piece: Buffer = Buffer.alloc(0);
  #from = 0;
  /** The beginning of a line, from the pieces before. */
  #begun: Buffer[] = [];
  #begunBytes = 0;

  /** Once `next` has found nothing more in the piece before. */
  add(piece: Buffer | string): void {
    this.#piece = typeof piece === 'string' ? Buffer.from(piece) : piece;
    this.#from = 0;
  }

  /** The next line, without its newline; undefined: the rest has none. */
  next(): string | undefined {
    const from = this.#from;
    const to = this.#piece.indexOf(NEWLINE, from);
    if (to === -1) return this.#keepRest();
    this.#from = to + 1;
    if (this.#begunBytes === 0) return this.#piece.toString('utf8', from, to);
    const line = Buffer.concat([...this.#begun, this.#piece.subarray(from, to)]).toString();
    this.#begun = [];
    this.#begunBytes = 0;
    return line;
  }

  /** Bytes of a line whose newline has not come. */
  get restBytes(): number {
    return this.#begunBytes;
  }

  #keepRest(): undefined {
    const rest = this.#piece.subarray(this.#from);
    if (rest.length === 0) return;
    // A copy: the piece is not ours, and much larger.
    this.#begun.push(Buffer.from(rest));
    this.#begunBytes += rest.length;
    this.#from = this.#piece.length;
  }
}
