/**
 * Virtual time for everything in a simulation. One event runs at a time, and all promises that it
 * settles run to their end before the next one, so that nothing depends on how Node interleaves
 * timers, immediates and promises: the same seed gives the same run.
 *
 * How promises are run to their end is not known here: whoever takes the steps does it at each one (draining.ts).
 */
import { type HeapTimer, TimerHeap } from '../../src/testing/time/timer-heap.ts';

/** Pieces of work; after each, all promises that it has settled must run to their end. */
export type Steps<Result = void> = Generator<void, Result, void>;

/** What happens at a moment; in several steps if promises are to run in between. */
export type Event = () => void | Steps;

/** A run with more events than that does not come to an end. */
const EVENTS_MAX = 2_000_000;

export class Scheduler {
  nowMs = 0;
  /** How many have run. */
  events = 0;
  readonly #timers = new TimerHeap<Event>();

  /** It does not run once it is `over`. */
  at(delayMs: number, run: Event): HeapTimer<Event> {
    return this.#timers.add(this.nowMs + Math.max(0, delayMs), run);
  }

  /** Its result is true: `done` became true; false: time or events ran out. */
  *run(untilMs: number, done: () => boolean): Steps<boolean> {
    yield;
    while (!done()) {
      const next = this.#timers.first;
      if (next === undefined || next.dueMs > untilMs) {
        this.nowMs = untilMs;
        return false;
      }
      this.#timers.shift();
      this.nowMs = next.dueMs;
      if (++this.events > EVENTS_MAX) throw new Error(`more than ${EVENTS_MAX} events`);
      next.over = true;
      const more = next.callback();
      if (more !== undefined) yield* more;
      yield;
    }
    return true;
  }
}
