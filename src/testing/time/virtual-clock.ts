/**
 * The time of a test bed. It stands still, and nothing runs, until somebody drives it: then moments
 * (`soon`) run one by one with all promises in between, and only when none is left does time move to
 * the next timer. So what happens depends on nothing but what was asked for.
 */
import type { Clock, Timer } from '../../base/clock.ts';
import { nextTurn, type OutsideWork } from './real-time.ts';
import { TimerHeap } from './timer-heap.ts';

/** Turns without a move of time after which something asks for another turn for ever. */
const TURNS_MAX = 1_000_000;

export class VirtualClock implements Clock {
  readonly #wallStartMs: number;
  readonly #outside: OutsideWork;
  readonly #timers = new TimerHeap();
  #nowMs = 0;
  #moments: (() => void)[] = [];
  /** Moments of `selfRunning` that are under way. */
  #visiting = 0;
  #thrown: { readonly what: unknown } | undefined;

  constructor(wallStartMs: number, outside: OutsideWork) {
    this.#wallStartMs = wallStartMs;
    this.#outside = outside;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#wallStartMs + this.#nowMs;
  }

  /** As Node: whole milliseconds, and one at least. */
  after(delayMs: number, callback: () => void): Timer {
    const timer = this.#timers.add(this.#nowMs + Math.max(1, Math.trunc(delayMs)), callback);
    return {
      cancel: () => {
        timer.over = true;
      },
    };
  }

  soon(callback: () => void): void {
    this.#moments.push(callback);
  }

  /** The same time for code that is not driven: its moments run by themselves, its timers do not. */
  selfRunning(): Clock {
    return {
      monotonicMs: () => this.monotonicMs(),
      wallMs: () => this.wallMs(),
      after: (delayMs, callback) => this.after(delayMs, callback),
      soon: (callback) => {
        this.#visiting++;
        nextTurn(() => {
          this.#visiting--;
          callback();
        });
      },
    };
  }

  /** Lets run what needs no time to pass. Throws what a moment or a timer threw: a fault of Toril. */
  async settle(): Promise<void> {
    for (let turns = 0; turns < TURNS_MAX; turns++) {
      const moments = this.#moments;
      this.#moments = [];
      for (const moment of moments) nextTurn(() => this.#run(moment));
      await new Promise<void>((resolve) => nextTurn(resolve));
      if (this.#thrown !== undefined) throw this.#takeThrown();
      if (this.#moments.length > 0 || this.#visiting > 0) continue;
      if (!(await this.#outside.wait())) return;
    }
    throw new Error(`still not settled after ${TURNS_MAX} turns of the event loop`);
  }

  /** Moves to the next timer, if it is due by `limitMs`, and lets happen what it sets off. */
  async step(limitMs: number): Promise<boolean> {
    const next = this.#timers.first;
    if (next === undefined || next.dueMs > limitMs) return false;
    this.#timers.shift();
    next.over = true;
    this.#nowMs = Math.max(this.#nowMs, next.dueMs);
    this.#run(next.callback);
    await this.settle();
    return true;
  }

  /** Moves by `ms`; what falls due on the way happens at its own time. */
  async advance(ms: number): Promise<void> {
    const targetMs = this.#nowMs + ms;
    await this.settle();
    while (await this.step(targetMs));
    this.#nowMs = targetMs;
  }

  /**
   * Time passes in which nothing but looking again would happen: what falls due on the way happens late, and all that is
   * due later than `noiseMs` from now at its own time.
   */
  skip(ms: number, noiseMs: number): void {
    const next = this.#timers.firstAfter(this.#nowMs + noiseMs) ?? Number.POSITIVE_INFINITY;
    this.#nowMs = Math.max(this.#nowMs, Math.min(this.#nowMs + ms, next - 1));
  }

  #run(callback: () => void): void {
    try {
      callback();
    } catch (what) {
      this.#thrown ??= { what };
    }
  }

  #takeThrown(): unknown {
    const what = this.#thrown?.what;
    this.#thrown = undefined;
    return what;
  }
}
