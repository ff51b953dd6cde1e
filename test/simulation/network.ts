/** How long things take between processes and servers. Shared by all connections of a run. */
import type { Dice } from './dice.ts';
import type { HeapTimer } from '../../src/testing/time/timer-heap.ts';
import type { Event, Scheduler } from './scheduler.ts';

export interface NetworkOptions {
  /** Milliseconds for one way, mostly less than a quarter of the maximum. */
  readonly latencyMsMin: number;
  readonly latencyMsMax: number;
  /** How often requests of one write arrive one by one, so that others run in between. */
  readonly splitRate: number;
}

export class Network {
  readonly #scheduler: Scheduler;
  readonly #dice: Dice;
  readonly #options: NetworkOptions;

  constructor(scheduler: Scheduler, dice: Dice, options: NetworkOptions) {
    this.#scheduler = scheduler;
    this.#dice = dice;
    this.#options = options;
  }

  get nowMs(): number {
    return this.#scheduler.nowMs;
  }

  after(delayMs: number, run: () => void): HeapTimer<Event> {
    return this.#scheduler.at(delayMs, run);
  }

  latencyMs(): number {
    const { latencyMsMin, latencyMsMax } = this.#options;
    const draw = this.#dice.fraction();
    return latencyMsMin + (latencyMsMax - latencyMsMin) * draw * draw * draw;
  }

  splits(): boolean {
    return this.#dice.chance(this.#options.splitRate);
  }
}
