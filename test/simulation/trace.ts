/** What happened in a run, for people; and a hash of it, by which two runs are compared. */
export interface Note {
  /** Milliseconds of virtual time. */
  readonly atMs: number;
  readonly who: string;
  readonly what: string;
}

export class Trace {
  readonly #now: () => number;
  readonly #listener: ((note: Note) => void) | undefined;
  #hash = 0x811c9dc5;

  /** @param listener is told of each note; the hash is made in any case */
  constructor(now: () => number, listener?: (note: Note) => void) {
    this.#now = now;
    this.#listener = listener;
  }

  note(who: string, what: string): void {
    const atMs = this.#now();
    this.#mix(`${Math.round(atMs * 1000)}${who}${what}`);
    this.#listener?.({ atMs, who, what });
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

export function lineOf({ atMs, who, what }: Note): string {
  return `${atMs.toFixed(3).padStart(10)} ms  ${who.padEnd(9)} ${what}`;
}
