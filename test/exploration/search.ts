/** Depth-first through all states, each once. */
import { Violation } from './checks.ts';
import { encode, type State } from './state.ts';
import { after, enabled, isWorn, type World } from './transitions.ts';
import { inMacrotask } from './macrotask.ts';
import { Visited } from './visited.ts';

/** A way that is longer does not come to an end. */
const DEPTH_MAX = 1_000;
/** States between two looks at the clock; the event loop turns then, too, so that faults are reported. */
const SLICE_STATES = 20_000;
const WORDS_MAX = 1_024;

export interface SearchResult {
  readonly states: number;
  readonly transitions: number;
  readonly depth: number;
  /** States in which everybody has finished. */
  readonly ends: number;
  /** States from which a worker was not followed, since it had tried too often. */
  readonly cuts: number;
  /** All states were seen. */
  readonly complete: boolean;
  readonly found: Found | undefined;
}

export interface Found {
  readonly promise: string;
  readonly what: string;
  /** The steps that lead there; the last one breaks the promise. */
  readonly steps: readonly number[];
}

export interface SearchLimits {
  readonly seconds: number;
  readonly statesMax: number;
}

interface Frame {
  readonly state: State;
  readonly steps: readonly number[];
  at: number;
}

export class Search {
  readonly #world: World;
  readonly #visited = new Visited();
  readonly #words = new Int32Array(WORDS_MAX);
  readonly #stack: Frame[] = [];
  #transitions = 0;
  #depth = 0;
  #ends = 0;
  #cuts = 0;
  #found: Found | undefined;

  readonly #first: State;

  constructor(world: World, first: State) {
    this.#world = world;
    this.#first = first;
  }

  async run({ seconds, statesMax }: SearchLimits): Promise<SearchResult> {
    const endMs = performance.now() + seconds * 1000;
    this.#enter(this.#first);
    let complete = false;
    while (this.#found === undefined && !complete) {
      complete = await inMacrotask(() => this.#slice());
      if (performance.now() > endMs || this.#visited.size >= statesMax) break;
    }
    return {
      states: this.#visited.size,
      transitions: this.#transitions,
      depth: this.#depth,
      ends: this.#ends,
      cuts: this.#cuts,
      complete: complete && this.#found === undefined,
      found: this.#found,
    };
  }

  /** True: there is nothing left. */
  #slice(): boolean {
    const until = this.#visited.size + SLICE_STATES;
    while (this.#visited.size < until) {
      const frame = this.#stack.at(-1);
      if (frame === undefined) return true;
      const step = frame.steps[frame.at++];
      if (step === undefined) {
        this.#stack.pop();
        continue;
      }
      try {
        this.#transitions++;
        this.#enter(after(frame.state, step, this.#world));
      } catch (thrown) {
        if (!(thrown instanceof Violation)) throw thrown;
        this.#fail(thrown);
        return false;
      }
    }
    return false;
  }

  #enter(state: State): void {
    if (!this.#visited.add(this.#words, encode(state, this.#words))) return;
    const steps = enabled(state, this.#world);
    if (state.places.every(({ node }) => node.over)) this.#checkEnd(state);
    else if (state.places.some(({ node }) => isWorn(node))) this.#cuts++;
    this.#stack.push({ state, steps, at: 0 });
    this.#depth = Math.max(this.#depth, this.#stack.length);
    if (this.#stack.length > DEPTH_MAX) throw new Violation('P6', 'it goes on for ever');
  }

  #checkEnd({ redis, places }: State): void {
    this.#ends++;
    if (places[0]?.node.plan.path === 'lease' || redis.waiting.length === 0) return;
    const waiting = redis.waiting.join(' ');
    throw new Violation('P6', `everybody has finished, and the lane still holds [${waiting}]`);
  }

  #fail({ promise, message }: Violation): void {
    const steps = this.#stack.map(({ steps: all, at }) => all[at - 1] as number);
    this.#found = { promise, what: message, steps };
  }
}
