/**
 * For how long the same jobs have held all slots of a worker. Counted when somebody asks, so that a job costs an addition:
 * one who asks every ten seconds knows it to ten seconds.
 */
import type { Clock } from '../../base/clock.ts';

export interface SlotProgressOptions {
  readonly clock: Clock;
  /** Jobs that it may have at once, and that it has. */
  readonly count: () => number;
  readonly taken: () => number;
  /** Deliveries that have ended so far. */
  readonly ended: () => number;
}

export class SlotProgress {
  readonly #options: SlotProgressOptions;
  #ended = -1;
  #sinceMs = 0;

  constructor(options: SlotProgressOptions) {
    this.#options = options;
  }

  count(): number {
    return this.#options.count();
  }

  /** Milliseconds since it was first seen that they do; 0: a slot is free, or some job has ended since the last time. */
  takenMs(): number {
    const { clock, count, taken, ended } = this.#options;
    const nowMs = clock.monotonicMs();
    const now = taken() < count() ? -1 : ended();
    if (now === -1 || now !== this.#ended) this.#sinceMs = nowMs;
    this.#ended = now;
    return nowMs - this.#sinceMs;
  }
}
