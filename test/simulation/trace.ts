/** What happened in a run, for people; and a hash of it, by which two runs are compared. */
export class Trace {
  readonly lines: string[] = [];
  readonly #kept: boolean;
  readonly #now: () => number;
  #hash = 0x811c9dc5;

  /** @param kept keep the lines; the hash is made in any case */
  constructor(kept: boolean, now: () => number) {
    this.#kept = kept;
    this.#now = now;
  }

  note(who: string, what: string): void {
    const atMs = this.#now();
    this.#mix(`${Math.round(atMs * 1000)}${who}${what}`);
    if (this.#kept) this.lines.push(`${atMs.toFixed(3).padStart(10)} ms  ${who.padEnd(9)} ${what}`);
  }

  get hash(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, '0');
  }

  /** FNV-1a. */
  #mix(text: string): void {
    let hash = this.#hash;
    for (let i = 0; i < text.length; i++) {
      hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
    }
    this.#hash = hash;
  }
}
