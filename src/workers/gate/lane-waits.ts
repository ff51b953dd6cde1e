import { type Clock, pause } from '../../base/clock.ts';

/** Who waits in this process for another key's lane to go on. */
export class LaneWaits {
  readonly #waiting = new Map<string, Set<AbortController>>();

  /** Waits so long, or until the lane of one of these keys has gone on, or `resting` is aborted. */
  async rest(
    clock: Clock,
    forMs: number,
    forKeys: readonly string[],
    resting: AbortController,
  ): Promise<void> {
    for (const key of forKeys)
      this.#waiting.set(key, (this.#waiting.get(key) ?? new Set()).add(resting));
    await pause(clock, forMs, resting.signal);
    for (const key of forKeys) {
      const waiting = this.#waiting.get(key);
      if (waiting?.delete(resting) && waiting.size === 0) this.#waiting.delete(key);
    }
  }

  goneOn(key: string): void {
    this.#waiting.get(key)?.forEach((resting) => resting.abort());
  }
}
