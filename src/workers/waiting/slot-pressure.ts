/**
 * Patience is cheap while a worker has free slots, and dear once the jobs of one key hold most of them:
 * a flood of slow jobs kept all 64 slots for its 50 ms, and so did the next 64, and a job of another
 * key that came just then waited for both. So a crowd is looked at as soon as its key shows to be slow.
 */
import type { Clock } from '../../base/clock.ts';
import { SLOW_PACE_MS } from './snoozing.ts';

/** Share of the worker's slots from which on the jobs of a key are a crowd. No two keys can be one at a time. */
const CROWD_SHARE = 0.5;

/** A key whose jobs hold slots. */
export interface SlotHolder {
  readonly slotsHeld: number;
  /** Milliseconds for which its update has been waited for until now; 0: none is. */
  awaitedMs(): number;
  /** Gives back the slots of those who would wait too long. */
  lookSoon(): void;
}

export class SlotPressure {
  readonly #clock: Clock;
  readonly #slots: () => number;
  #watched: SlotHolder | undefined;
  #isTimerSet = false;

  constructor(clock: Clock, slots: () => number) {
    this.#clock = clock;
    this.#slots = slots;
  }

  /** One more job of the key holds a slot. */
  grew(key: SlotHolder): void {
    if (key.slotsHeld <= this.#slots() * CROWD_SHARE) return;
    this.#watched = key;
    if (!this.#isTimerSet) this.#watch(key);
  }

  /** A fast key that crowds the worker costs a timer per `SLOW_PACE_MS`. */
  #watch(key: SlotHolder): void {
    const untilSlowMs = SLOW_PACE_MS - key.awaitedMs();
    if (untilSlowMs <= 0) return key.lookSoon();
    this.#isTimerSet = true;
    this.#clock.after(untilSlowMs, () => this.#wake());
  }

  #wake(): void {
    this.#isTimerSet = false;
    const key = this.#watched;
    this.#watched = undefined;
    if (key !== undefined) this.grew(key);
  }
}
