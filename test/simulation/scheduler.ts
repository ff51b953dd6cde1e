/**
 * Virtual time for everything in a simulation. One event runs at a time, and all promises that it
 * settles run to their end before the next one, so that nothing depends on how Node interleaves
 * timers, immediates and promises: the same seed gives the same run.
 *
 * Decided: microtasks are drained by V8 itself (0.1 µs per event; a turn of Node's event loop takes
 * 1.1 µs), which needs a flag that test runs may set.
 */
import { setFlagsFromString } from 'node:v8';
import { runInThisContext } from 'node:vm';
import { type HeapTimer, TimerHeap } from '../../src/testing/time/timer-heap.ts';

setFlagsFromString('--allow-natives-syntax');
/** Runs all promise reactions that are due. */
export const drain = runInThisContext('() => %PerformMicrotaskCheckpoint()') as () => void;

/** A run with more events than that does not come to an end. */
const EVENTS_MAX = 2_000_000;

export class Scheduler {
  nowMs = 0;
  /** How many have run. */
  events = 0;
  readonly #timers = new TimerHeap();

  /** It does not run once it is `over`. */
  at(delayMs: number, run: () => void): HeapTimer {
    return this.#timers.add(this.nowMs + Math.max(0, delayMs), run);
  }

  /** Must be called from a macrotask. True: `done` became true; false: time or events ran out. */
  run(untilMs: number, done: () => boolean): boolean {
    drain();
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
      next.callback();
      drain();
    }
    return true;
  }

  /** Lets the promises of what ran so far go on, in the midst of an event. */
  settle(): void {
    drain();
  }
}
