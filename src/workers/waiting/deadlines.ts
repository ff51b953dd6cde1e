/**
 * One timer for all who wait equally long. A timer for each key cost 0.8 µs per job, and nearly all of
 * them were cancelled a few milliseconds later.
 */
import type { Clock, Timer } from '../../base/clock.ts';

export interface Watched {
  /** Its time is over; it is watched no longer. */
  timeIsOver(): void;
}

export class Deadlines {
  readonly #clock: Clock;
  readonly #afterMs: number;
  /** By when each is due. Who came first is due first. */
  readonly #dueMs = new Map<Watched, number>();
  #timer: Timer | undefined;

  constructor(clock: Clock, afterMs: number) {
    this.#clock = clock;
    this.#afterMs = afterMs;
  }

  /** Once `afterMs` have passed; from the first call on, if it is watched already. */
  add(watched: Watched): void {
    if (this.#dueMs.has(watched)) return;
    this.#dueMs.set(watched, this.#clock.monotonicMs() + this.#afterMs);
    if (this.#timer === undefined) this.#arm(this.#afterMs);
  }

  /** The timer stays as it is: it fires once per `afterMs` at most. */
  remove(watched: Watched): void {
    this.#dueMs.delete(watched);
  }

  #arm(delayMs: number): void {
    this.#timer = this.#clock.after(delayMs, () => this.#wake());
  }

  #wake(): void {
    this.#timer = undefined;
    const nowMs = this.#clock.monotonicMs();
    for (const [watched, dueMs] of this.#dueMs) {
      if (dueMs > nowMs) return this.#arm(dueMs - nowMs);
      this.#dueMs.delete(watched);
      watched.timeIsOver();
    }
  }
}
