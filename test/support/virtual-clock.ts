/**
 * Time that stands still until a test moves it. Timers run in the order in which they are due, and
 * those due at one moment in the order in which they were set.
 *
 * Decided: `soon` is a real setImmediate, so that code under test makes progress by itself between
 * two moves of the clock (promises and moments run, timers do not). It stays repeatable, since Node
 * runs immediates first in, first out, and promises to their end between any two of them. A move
 * waits, before every timer it fires, until no moment is pending (`settle`). Real sockets and files
 * are not waited for: with those, use the system clock.
 */
import type { Clock, Timer } from '../../src/base/clock.ts';
import { TimerHeap } from '../../src/testing/time/timer-heap.ts';

/** 2024-01-01, on a whole second. */
const WALL_START_MS = 1_704_067_200_000;
/** A moment that always asks for another one would never settle. */
const TURNS_MAX = 100_000;

export class VirtualClock implements Clock {
  #nowMs = 0;
  #wallStartMs = WALL_START_MS;
  #moments = 0;
  readonly #timers = new TimerHeap();

  monotonicMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#wallStartMs + this.#nowMs;
  }

  after(delayMs: number, callback: () => void): Timer {
    const dueMs = this.#nowMs + Math.max(0, delayMs);
    const timer = this.#timers.add(dueMs, callback);
    return {
      cancel: () => {
        timer.over = true;
      },
    };
  }

  soon(callback: () => void): void {
    this.#moments++;
    setImmediate(() => {
      this.#moments--;
      callback();
    });
  }

  /** Timers that would still fire. */
  get pendingTimers(): number {
    return this.#timers.pending;
  }

  /** Wall time only, as an operator or a time server sets it. */
  moveWall(byMs: number): void {
    this.#wallStartMs += byMs;
  }

  /** Lets run what needs no time to pass. */
  async settle(): Promise<void> {
    let turns = 0;
    do {
      await new Promise((resolve) => void setImmediate(resolve));
      if (++turns > TURNS_MAX) throw new Error(`still not settled after ${TURNS_MAX} turns`);
    } while (this.#moments > 0);
  }

  /** Moves time by `ms`, firing what falls due on the way, at its own time. */
  async advance(ms: number): Promise<void> {
    const targetMs = this.#nowMs + ms;
    while (await this.#fireNext(targetMs));
    this.#nowMs = targetMs;
  }

  /** Time passes and nothing runs, as for a process that is stopped; what was due fires afterwards. */
  leap(ms: number): void {
    this.#nowMs += ms;
  }

  /** Moves time, timer by timer, until the promise settles; gives up after `limitMs`. */
  async until<T>(promise: Promise<T>, limitMs = 3_600_000): Promise<T> {
    let settled = false;
    const seen = (): void => {
      settled = true;
    };
    promise.then(seen, seen);
    const limit = this.#nowMs + limitMs;
    await this.settle();
    while (!settled) {
      if (!(await this.#fireNext(limit))) {
        throw new Error(
          `nothing more to run within ${limitMs} virtual ms, but the promise is pending`,
        );
      }
      await this.settle();
    }
    return promise;
  }

  /** False: nothing is due by then. */
  async #fireNext(limitMs: number): Promise<boolean> {
    await this.settle();
    const next = this.#timers.first;
    if (next === undefined || next.dueMs > limitMs) return false;
    this.#timers.shift();
    next.over = true;
    this.#nowMs = Math.max(this.#nowMs, next.dueMs);
    next.callback();
    return true;
  }
}

/**
 * One process's view of a virtual clock: its own rate, and it can be frozen as by SIGSTOP. Its
 * monotonic clock runs on meanwhile; what fell due runs when it is thawed.
 */
export class ProcessClock implements Clock {
  readonly #base: Clock;
  readonly #rate: number;
  #frozen = false;
  #held: (() => void)[] = [];

  /** `rate`: how many of its milliseconds pass per millisecond of the base. */
  constructor(base: Clock, rate = 1) {
    this.#base = base;
    this.#rate = rate;
  }

  monotonicMs(): number {
    return this.#base.monotonicMs() * this.#rate;
  }

  wallMs(): number {
    return this.#base.wallMs();
  }

  after(delayMs: number, callback: () => void): Timer {
    let cancelled = false;
    const run = (): void => {
      if (!cancelled) callback();
    };
    const timer = this.#base.after(delayMs / this.#rate, () => this.#run(run));
    return {
      cancel: () => {
        cancelled = true;
        timer.cancel();
      },
    };
  }

  soon(callback: () => void): void {
    this.#base.soon(() => this.#run(callback));
  }

  get frozen(): boolean {
    return this.#frozen;
  }

  freeze(): void {
    this.#frozen = true;
  }

  thaw(): void {
    this.#frozen = false;
    for (const callback of this.#held.splice(0)) this.#base.soon(() => this.#run(callback));
  }

  #run(callback: () => void): void {
    if (this.#frozen) this.#held.push(callback);
    else callback();
  }
}
