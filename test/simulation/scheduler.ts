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

setFlagsFromString('--allow-natives-syntax');
/** Runs all promise reactions that are due. */
export const drain = runInThisContext('() => %PerformMicrotaskCheckpoint()') as () => void;

interface Event {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
  cancelled: boolean;
}

export interface Cancellable {
  cancelled: boolean;
}

/** A run with more events than that does not come to an end. */
const EVENTS_MAX = 2_000_000;

export class Scheduler {
  nowMs = 0;
  /** How many have run. */
  events = 0;
  #order = 0;
  /** A binary heap by time, then by order. */
  readonly #heap: Event[] = [];

  at(delayMs: number, run: () => void): Cancellable {
    const event: Event = {
      atMs: this.nowMs + Math.max(0, delayMs),
      order: this.#order++,
      run,
      cancelled: false,
    };
    push(this.#heap, event);
    return event;
  }

  /** Must be called from a macrotask. True: `done` became true; false: time or events ran out. */
  run(untilMs: number, done: () => boolean): boolean {
    drain();
    while (!done()) {
      const next = this.#heap[0];
      if (next === undefined || next.atMs > untilMs) {
        this.nowMs = untilMs;
        return false;
      }
      pop(this.#heap);
      if (next.cancelled) continue;
      this.nowMs = next.atMs;
      if (++this.events > EVENTS_MAX) throw new Error(`more than ${EVENTS_MAX} events`);
      next.run();
      drain();
    }
    return true;
  }

  /** Lets the promises of what ran so far go on, in the midst of an event. */
  settle(): void {
    drain();
  }
}

function push(heap: Event[], event: Event): void {
  let at = heap.length;
  heap.push(event);
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!isBefore(event, heap[parent])) break;
    heap[at] = heap[parent] as Event;
    at = parent;
  }
  heap[at] = event;
}

function pop(heap: Event[]): void {
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (isBefore(heap[child + 1], heap[child])) child++;
    if (!isBefore(heap[child], last)) break;
    heap[at] = heap[child] as Event;
    at = child;
  }
  heap[at] = last;
}

function isBefore(a: Event | undefined, b: Event | undefined): boolean {
  if (a === undefined || b === undefined) return false;
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
