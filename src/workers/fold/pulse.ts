/**
 * Who keeps a process from running. A synchronous call shows it by itself. Of several asynchronous ones that were
 * under way meanwhile it could have been each, so these are called again one at a time, until the innocent have settled.
 */
import type { Clock } from '../../base/clock.ts';

const PULSES = new WeakMap<Clock, Pulse>();

export class Pulse {
  /** Until then it is known who kept the process from running. */
  explainedMs: number = Number.NEGATIVE_INFINITY;
  #alone: object | undefined;

  /** Of the process whose clock it is: what one worker does in it stops all others. */
  static of(clock: Clock): Pulse {
    const known = PULSES.get(clock);
    if (known !== undefined) return known;
    const pulse = new Pulse();
    PULSES.set(clock, pulse);
    return pulse;
  }

  explain(untilMs: number): void {
    this.explainedMs = untilMs;
  }

  /** False: somebody else is under suspicion and at work. */
  enterAlone(who: object): boolean {
    this.#alone ??= who;
    return this.#alone === who;
  }

  leave(who: object): void {
    if (this.#alone === who) this.#alone = undefined;
  }
}
