import type { Clock } from '../base/clock.ts';

/**
 * What time it is in Redis, whose clock all times there are of: learned from its replies, and counted on by
 * the monotonic clock, since the wall clock of this machine may be wrong, and may jump.
 */
export class RedisTime {
  readonly #clock: Clock;
  #aheadMs: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Redis has just said so: milliseconds since 1970. */
  learn(nowMs: number): void {
    if (nowMs > 0) this.#aheadMs = nowMs - this.#clock.monotonicMs();
  }

  /** What this machine's wall clock will show at that time of Redis's: BullMQ waits by the wall clock. */
  wallOf(redisMs: number): number {
    if (this.#aheadMs === undefined) return redisMs;
    const untilMs = redisMs - (this.#clock.monotonicMs() + this.#aheadMs);
    return Math.ceil(this.#clock.wallMs() + untilMs);
  }
}
