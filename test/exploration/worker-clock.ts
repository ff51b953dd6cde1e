/**
 * The clock of an explored worker. It stands still until the search lets time pass: then it either
 * goes to its next timer, or leaps over the length of a lease. Clocks of two workers have nothing to
 * do with each other.
 */
import type { Clock, Timer } from '../../src/base/clock.ts';
import { drain } from '../simulation/draining.ts';

/** A turn that needs more moments than that does not come to an end. */
const MOMENTS_MAX = 10_000;

interface Pending {
  readonly dueMs: number;
  readonly order: number;
  /** The key whose combiner has set it; empty: none. */
  readonly of: string;
  readonly callback: () => void;
}

export class WorkerClock implements Clock {
  #nowMs = 0;
  #order = 0;
  #moments: (() => void)[] = [];
  #timers: Pending[] = [];
  readonly #settingNow: () => string;

  /** @param settingNow the key whose combiner sets a timer right now; empty: none */
  constructor(settingNow = (): string => '') {
    this.#settingNow = settingNow;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  /** Stands still, so that tokens are small numbers. */
  wallMs(): number {
    return 0;
  }

  after(delayMs: number, callback: () => void): Timer {
    if (!Number.isFinite(delayMs)) return { cancel() {} };
    const [dueMs, order, of] = [this.#nowMs + delayMs, this.#order++, this.#settingNow()];
    const pending: Pending = { dueMs, order, of, callback };
    this.#timers.push(pending);
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((one) => one !== pending);
      },
    };
  }

  soon(callback: () => void): void {
    this.#moments.push(callback);
  }

  /** Runs everything that follows from what has just happened. */
  settle(): void {
    drain();
    for (let moments = 0; this.#moments.length > 0; moments++) {
      if (moments === MOMENTS_MAX) throw new Error('a worker goes on for ever by itself');
      const [moment] = this.#moments.splice(0, 1);
      moment?.();
      drain();
    }
  }

  /** A timer is due within so many milliseconds. */
  hasTimerWithin(ms: number): boolean {
    return this.#timers.some(({ dueMs }) => dueMs <= this.#nowMs + ms);
  }

  /** Goes to the next timer. */
  tick(): void {
    const next = this.#next();
    if (next !== undefined) this.leap(Math.max(0, next.dueMs - this.#nowMs));
  }

  /**
   * Goes to the last timer that is due within so many milliseconds: all of them fire, in the order of their keys. How long
   * each takes depends on how often in a row somebody had to wait, which is nothing that a worker is known by.
   */
  tickAll(withinMs: number): void {
    const due = this.#timers.filter(({ dueMs }) => dueMs <= this.#nowMs + withinMs);
    this.#nowMs = Math.max(this.#nowMs, ...due.map(({ dueMs }) => dueMs));
    due.sort((a, b) => a.of.localeCompare(b.of) || a.order - b.order);
    for (const one of due) this.#fire(one);
    this.leap(0);
  }

  /** What became due on the way runs at the end of it, in order: the process was late. */
  leap(byMs: number): void {
    this.#nowMs += byMs;
    for (;;) {
      const next = this.#next();
      if (next === undefined || next.dueMs > this.#nowMs) return;
      this.#fire(next);
    }
  }

  #fire(pending: Pending): void {
    if (!this.#timers.includes(pending)) return; // it was cancelled
    this.#timers = this.#timers.filter((one) => one !== pending);
    pending.callback();
    this.settle();
  }

  #next(): Pending | undefined {
    let first: Pending | undefined;
    for (const one of this.#timers) {
      if (first === undefined || isBefore(one, first)) first = one;
    }
    return first;
  }
}

function isBefore(a: Pending, b: Pending): boolean {
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order);
}
