/** Depth-first through all states, each once; then, whether each of them leads to an end. */
import { Violation } from './checks.ts';
import { inMacrotask } from './macrotask.ts';
import { encode, type State } from './state.ts';
import { isWorn } from './enabled.ts';
import { nextSteps } from './independent-steps.ts';
import { after } from './transitions.ts';
import type { World } from './world.ts';
import { Visited } from './visited.ts';
import { Ways } from './ways.ts';

/** States between two looks at the clock; the event loop turns then, too, so that faults are reported. */
const SLICE_STATES = 10_000;
/** Instead of a promise: something that cannot be, in the product or in the search. */
const FAULT = 'fault';
const WORDS_MAX = 4_096;

export interface SearchResult {
  readonly states: number;
  readonly transitions: number;
  /** States in which everybody has finished. */
  readonly ends: number;
  /** States from which a worker was not followed, since it was told too much. */
  readonly cuts: number;
  /** All states were seen. */
  readonly complete: boolean;
  readonly found: Found | undefined;
}

export interface Found {
  readonly promise: string;
  readonly what: string;
  /** The steps that lead there. */
  readonly steps: readonly number[];
}

interface Frame {
  readonly state: State;
  readonly number: number;
  readonly steps: readonly number[];
  at: number;
}

export class Search {
  readonly #world: World;
  readonly #first: State;
  readonly #failures: readonly string[];
  readonly #visited = new Visited();
  readonly #ways = new Ways();
  readonly #words = new Int32Array(WORDS_MAX);
  readonly #stack: Frame[] = [];
  #transitions = 0;
  #ends = 0;
  #cuts = 0;
  #found: Found | undefined;

  /** @param failures rejections that nobody has handled: what becomes of the product's assertions */
  constructor(world: World, first: State, failures: readonly string[] = []) {
    this.#failures = failures;
    this.#world = world;
    this.#first = first;
  }

  /** @param statesMax or a few more: the same ones each time, while seconds are not */
  async run(seconds: number, statesMax: number = Number.POSITIVE_INFINITY): Promise<SearchResult> {
    const endMs = performance.now() + seconds * 1000;
    this.#enter(this.#first, undefined, 0);
    let complete = false;
    const isInTime = (): boolean => performance.now() < endMs && this.#visited.size < statesMax;
    while (this.#found === undefined && !complete && isInTime()) {
      complete = await inMacrotask(() => this.#slice());
      await inMacrotask(() => this.#noteFailure()); // rejections are told in between
    }
    if (complete && this.#found === undefined) this.#checkWedges();
    return {
      states: this.#visited.size,
      transitions: this.#transitions,
      ends: this.#ends,
      cuts: this.#cuts,
      complete: complete && this.#found === undefined,
      found: this.#found,
    };
  }

  /** Somewhere in the last slice; most likely on the way that is being followed. */
  #noteFailure(): void {
    const [what] = this.#failures;
    const number = this.#stack.at(-1)?.number ?? 0;
    if (what !== undefined) this.#found ??= { promise: FAULT, what, steps: this.#stepsTo(number) };
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
      this.#transitions++;
      try {
        this.#enter(after(frame.state, step, this.#world), frame.number, step);
      } catch (thrown) {
        const promise = thrown instanceof Violation ? thrown.promise : FAULT;
        const what = (thrown as Error).message;
        this.#found = { promise, what, steps: [...this.#stepsTo(frame.number), step] };
        return false;
      }
    }
    return false;
  }

  #enter(state: State, parent: number | undefined, step: number): void {
    const known = this.#visited.size;
    const number = this.#visited.numberOf(this.#words, encode(state, this.#words));
    if (parent !== undefined) this.#ways.leads(parent, step, number);
    if (number < known) return;
    this.#ways.found(parent, step);
    const isOver = state.places.every(({ node }) => node.over);
    if (isOver) this.#checkEnd(state, number);
    else if (state.places.some(({ node }) => isWorn(node))) {
      this.#cuts++;
      this.#ways.ends(number);
    }
    this.#stack.push({ state, number, steps: nextSteps(state, this.#world), at: 0 });
  }

  #checkEnd({ memcached, redis, places, orphans, budget }: State, number: number): void {
    this.#ends++;
    this.#ways.ends(number);
    if (places[0]?.node.plan.path === 'lease') return;
    if (redis.waiting.length > 0) {
      const waiting = redis.waiting.join(' ');
      throw new Violation('P6', `everybody has finished, and the lane still holds [${waiting}]`);
    }
    // What is under way when its worker is gone, or its connection, may land when nobody looks any more.
    const mayLandLate =
      orphans.length > 0 ||
      budget.timeouts < this.#first.budget.timeouts ||
      budget.crashes < this.#first.budget.crashes;
    if (!mayLandLate) this.#world.checks.ended(memcached, redis);
    if (redis.behind.length > 0)
      throw new Violation(
        'P6',
        `everybody has finished, and cells are behind ${redis.behind.join(' ')}`,
      );
  }

  #checkWedges(): void {
    const wedged = this.#ways.wedged();
    if (wedged === undefined) return;
    const what =
      'from here on nobody finishes any more, whatever the order and however much time passes';
    this.#found = { promise: 'P6', what, steps: this.#stepsTo(wedged) };
  }

  #stepsTo(state: number): number[] {
    return this.#ways.stepsTo(state);
  }
}
