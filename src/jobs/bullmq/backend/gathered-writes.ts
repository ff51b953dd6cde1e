import type { Clock } from '../../../base/clock.ts';

/**
 * What is sent in one moment goes out in one write: a batch completes many jobs at once. Corking is
 * the stream's own way; a driver that does not show its stream just writes more often.
 */
export class GatheredWrites {
  readonly #clock: Clock;
  #corked = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** From now on until this moment is over. */
  gather(client: object): void {
    const { stream } = client as { stream?: { cork?: () => void; uncork?: () => void } };
    if (this.#corked || stream?.cork === undefined) return;
    this.#corked = true;
    stream.cork();
    this.#clock.soon(() => {
      this.#corked = false;
      stream.uncork?.();
    });
  }
}
