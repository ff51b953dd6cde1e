/**
 * How the states hang together: by which step each was found, and which ones lead on without a fault.
 * Kept as numbers, twelve bytes a state and eight a step, so that ten million fit into memory.
 */
import { isDue } from './steps.ts';

/** Marks the first state, which no step leads to. */
const NONE = 0xffff_ffff;

export class Ways {
  readonly #parents = new Numbers32();
  readonly #steps = new Numbers32();
  readonly #from = new Numbers32();
  readonly #to = new Numbers32();
  readonly #ends: number[] = [];

  /** A new state. Those are numbered in the order in which they come here. */
  found(parent: number | undefined, step: number): void {
    this.#parents.push(parent ?? NONE);
    this.#steps.push(step);
  }

  leads(from: number, step: number, to: number): void {
    if (!isDue(step)) return;
    this.#from.push(from);
    this.#to.push(to);
  }

  /** Everybody has finished there, or nobody is followed any further. */
  ends(state: number): void {
    this.#ends.push(state);
  }

  /** The steps by which a state was found. */
  stepsTo(state: number): number[] {
    const steps: number[] = [];
    for (let at = state; this.#parents.at(at) !== NONE; at = this.#parents.at(at)) {
      steps.push(this.#steps.at(at));
    }
    return steps.reverse();
  }

  /** A state from which no way leads to an end, if there is one. */
  wedged(): number | undefined {
    const count = this.#parents.length;
    const { offsets, sources } = this.#reversed(count);
    const reaches = new Uint8Array(count);
    const open = [...this.#ends];
    for (const end of open) reaches[end] = 1;
    for (let state = open.pop(); state !== undefined; state = open.pop()) {
      const until = offsets[state + 1] as number;
      for (let at = offsets[state] as number; at < until; at++) {
        const source = sources[at] as number;
        if (reaches[source] === 1) continue;
        reaches[source] = 1;
        open.push(source);
      }
    }
    const wedged = reaches.indexOf(0);
    return wedged === -1 ? undefined : wedged;
  }

  /** For each state, those that lead to it: `sources` from its offset to the next one's. */
  #reversed(count: number): { readonly offsets: Uint32Array; readonly sources: Uint32Array } {
    const offsets = new Uint32Array(count + 1);
    const steps = this.#to.length;
    for (let at = 0; at < steps; at++) add(offsets, this.#to.at(at) + 1, 1);
    for (let state = 0; state < count; state++) add(offsets, state + 1, offsets[state] as number);
    const next = offsets.slice();
    const sources = new Uint32Array(steps);
    for (let at = 0; at < steps; at++) {
      const to = this.#to.at(at);
      sources[next[to] as number] = this.#from.at(at);
      add(next, to, 1);
    }
    return { offsets, sources };
  }
}

function add(values: Uint32Array, index: number, more: number): void {
  values[index] = (values[index] as number) + more;
}

/** A list of numbers of 32 bits. */
class Numbers32 {
  #values = new Uint32Array(1024);
  length = 0;

  push(value: number): void {
    if (this.length === this.#values.length) {
      const values = new Uint32Array(this.length * 2);
      values.set(this.#values);
      this.#values = values;
    }
    this.#values[this.length++] = value;
  }

  at(index: number): number {
    return this.#values[index] as number;
  }
}
