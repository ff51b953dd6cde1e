import type { Clock } from '../../src/base/clock.ts';
import type { DrawnToken, TokenSource } from '../../src/lock/lock.ts';
import type { DataSet } from '../../src/redis/data-set.ts';

/** What RedisTokens does, in memory. Share one between everything that shares a memcached. */
export class MemoryTokens implements TokenSource {
  readonly #clock: Clock;
  readonly #dataSet: DataSet;
  #last = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#dataSet = { id: 'memory', madeAt: Math.floor(clock.wallMs() * 1000) };
  }

  drawToken(): Promise<DrawnToken> {
    this.#last = Math.max(this.#last + 1, Math.floor(this.#clock.wallMs() * 1000));
    return Promise.resolve({ token: this.#last, dataSet: this.#dataSet });
  }
}
