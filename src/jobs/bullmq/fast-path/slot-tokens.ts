/**
 * The tokens with which BullMQ's main loop asks for jobs next: it fills one free slot after the other,
 * each under a token that it counts up. A slot whose job was snoozed asks, too, but with the token that it
 * has; those behind it are other slots' names, and fetching jobs by them would leave those jobs to nobody.
 */

import type { MainLoopQueue } from '../state/worker-internals.ts';

/** Slots that are filled in one call beside the one that is asked for, so that no script blocks Redis for long. */
const SLOTS_AT_A_TIME = 31;

export class SlotTokens {
  readonly #workerId: string;
  #queue: MainLoopQueue | undefined;
  #newest = -1;

  constructor(workerId: string) {
    this.#workerId = workerId;
  }

  /**
   * Must be told of every token that is asked with. None: it is not the main loop that asks.
   * @param queue the worker's own; none while its main loop does not run
   */
  following(token: string, queue: MainLoopQueue | null | undefined, concurrency: number): string[] {
    const [, workerId, digits] = /^(.*):(\d+)$/.exec(token) ?? [];
    if (!queue || workerId !== this.#workerId) return [];
    if (queue !== this.#queue) {
      this.#queue = queue;
      this.#newest = -1;
    }
    const number = Number(digits);
    if (number <= this.#newest) return [];
    this.#newest = number;
    const free = concurrency - queue.numTotal(); // which counts the one that is being filled
    const length = Math.max(0, Math.min(free, SLOTS_AT_A_TIME));
    return Array.from({ length }, (_, n) => `${workerId}:${number + 1 + n}`);
  }

  /** Whether the main loop, which counts on, has a free slot for which it will ask with this token. */
  expects(token: string, queue: MainLoopQueue | null | undefined, concurrency: number): boolean {
    const number = Number(token.slice(token.lastIndexOf(':') + 1));
    if (!queue || queue !== this.#queue || number <= this.#newest) return false;
    return number - this.#newest <= concurrency - queue.numTotal();
  }
}
