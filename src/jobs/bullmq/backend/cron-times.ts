/**
 * When a job scheduler's pattern is due next, by Redis's clock. BullMQ reckons it by the clock of the process: a worker
 * that was an hour ahead put the pattern's next job off by an hour, and one that was an hour behind fell an hour back.
 *
 * BullMQ compares what a strategy says with its own clock before it passes it on. So the strategy says a stand-in that
 * suits that clock, and the backend puts the true time in its place.
 */
import { defaultRepeatStrategy, type RepeatOptions } from 'bullmq';

/** Of the next job of a pattern; milliseconds since 1970. */
interface Due {
  readonly nextMs: number;
  /** What time it was in Redis. */
  readonly nowMs: number;
}

/** As BullMQ has it. */
export type RepeatStrategy = (
  millis: number,
  options: RepeatOptions,
  name?: string,
) => number | undefined | Promise<number | undefined>;

export class CronTimes {
  readonly #redisMs: () => Promise<number>;
  readonly #dues = new Map<number, Due>();

  /** @param redisMs asks Redis what time it is */
  constructor(redisMs: () => Promise<number>) {
    this.#redisMs = redisMs;
  }

  /** The stand-in for when a pattern is due next: that many milliseconds behind `millis`, which is not Redis's time. */
  async next(
    strategy: RepeatStrategy,
    millis: number,
    options: RepeatOptions,
    name: string | undefined,
  ): Promise<number | undefined> {
    const nowMs = await this.#redisMs();
    const nextMs = await strategy(nowMs, options, name);
    if (nextMs === undefined) return undefined;
    const standIn = millis + Math.max(0, nextMs - nowMs);
    this.#dues.set(standIn, { nextMs, nowMs });
    return standIn;
  }

  /** Once; undefined: it stands for nothing (`every`). */
  take(standIn: number): Due | undefined {
    const due = this.#dues.get(standIn);
    this.#dues.delete(standIn);
    return due;
  }
}

/** Settings for BullMQ with which patterns are asked by Redis's time. */
export function byRedisTime<Settings extends { repeatStrategy?: RepeatStrategy }>(
  settings: Settings | undefined,
  times: () => CronTimes,
): Settings & { repeatStrategy: RepeatStrategy } {
  const strategy = settings?.repeatStrategy ?? (defaultRepeatStrategy as RepeatStrategy);
  return {
    ...(settings as Settings),
    repeatStrategy: (millis, options, name) => times().next(strategy, millis, options, name),
  };
}
