/**
 * What comes in on a socket, on its way to the parser. The chunks of an incomplete reply are only
 * collected, and joined once, when it is complete: 1 MiB may come in a thousand of them.
 */
import type { ReplyParser } from '../protocol.ts';

export class Inbox {
  readonly #parser: ReplyParser;
  #chunks: Buffer[] = [];
  #bytes = 0;

  constructor(parser: ReplyParser) {
    this.#parser = parser;
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes < this.#parser.needed) return;
    const bytes = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks, this.#bytes);
    const rest = bytes.subarray(this.#parser.parse(bytes));
    this.#chunks = rest.length === 0 ? [] : [rest];
    this.#bytes = rest.length;
  }
}
