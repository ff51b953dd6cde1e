/** How far a test bed is run: what is due now, a while, or until nothing is left. */
import type { Crew } from './workers/crew.ts';
import type { JobQueue } from './bullmq/job-queue.ts';
import { ExpectationError } from './assertions/expectation-error.ts';
import type { VirtualClock } from './time/virtual-clock.ts';

/** Virtual milliseconds after which work in hand that still asks for more will never be idle. */
const IDLE_MS_MAX = 86_400_000;
/** Virtual milliseconds of a drain, unless its caller says otherwise. */
const DRAIN_MS_MAX = 86_400_000;

export interface DriverOptions {
  readonly clock: VirtualClock;
  readonly crew: Crew;
  readonly queue: JobQueue;
  /** Virtual milliseconds after which lanes that could go on would have: longer than any lease, lock or pause. */
  readonly quietMsMax: number;
  /** The same while memcached is down, when nothing but BullMQ's own can happen. */
  readonly outageMs: number;
  readonly isMemcachedDown: () => boolean;
  /** What is left undone, in words. */
  readonly explain: () => string;
  /** An invariant that was found broken since this was asked. @throws TorilError INVARIANT_UNUSABLE */
  readonly news: () => string | undefined;
}

export class Driver {
  readonly #options: DriverOptions;
  #running = false;
  /** Jobs that came to an end, were charged, or came from a delay: what shows that things go on. */
  #progress = 0;

  constructor(options: DriverOptions) {
    this.#options = options;
    const goesOn = (): void => void this.#progress++;
    options.queue.listen({
      finished: goesOn,
      retried: goesOn,
      delivered: ({ delayedFor }) => {
        if (delayedFor === 'delay' || delayedFor === 'backoff') goesOn();
      },
    });
  }

  runUntilIdle(): Promise<void> {
    return this.#alone(async () => {
      const { clock, crew, explain } = this.#options;
      const limitMs = clock.monotonicMs() + IDLE_MS_MAX;
      await clock.settle();
      while (crew.isPressed) {
        if (!(await clock.step(limitMs))) throw new Error(`still busy after a day: ${explain()}`);
      }
    });
  }

  async advance(ms: number): Promise<void> {
    if (!(ms >= 0 && ms < Number.POSITIVE_INFINITY)) {
      throw new RangeError(`advance: expected milliseconds, from 0, not ${String(ms)}.`);
    }
    await this.#alone(() => this.#advance(ms));
  }

  /**
   * Where nothing goes on any more, jobs only look again, each of them once a second: 30 days of that are not
   * played, but for their beginning and their end.
   */
  async #advance(ms: number): Promise<void> {
    const { clock, queue, crew, isMemcachedDown, quietMsMax: noiseMs } = this.#options;
    const targetMs = clock.monotonicMs() + ms;
    let quietSinceMs = clock.monotonicMs();
    let progress = this.#progress;
    await clock.settle();
    for (;;) {
      const nowMs = clock.monotonicMs();
      const quietMs = isMemcachedDown() ? this.#options.outageMs : noiseMs;
      const skippableMs = targetMs - nowMs - quietMs;
      if (this.#progress !== progress || queue.places.unfinished === 0 || crew.isApplying) {
        progress = this.#progress;
        quietSinceMs = nowMs;
      } else if (
        nowMs - quietSinceMs > quietMs &&
        skippableMs > 0 &&
        !queue.places.isDueWithin(noiseMs)
      ) {
        clock.skip(skippableMs, noiseMs);
        quietSinceMs = clock.monotonicMs();
      }
      if (!(await clock.step(targetMs))) break;
    }
    await clock.advance(targetMs - clock.monotonicMs());
  }

  drain(limitMs: number = DRAIN_MS_MAX): Promise<void> {
    return this.#alone(async () => {
      const { clock, queue, crew, quietMsMax, explain } = this.#options;
      const endMs = clock.monotonicMs() + limitMs;
      let progress = this.#progress;
      let quietSinceMs = clock.monotonicMs();
      await clock.settle();
      while (queue.places.unfinished > 0) {
        const isStuck = clock.monotonicMs() - quietSinceMs > quietMsMax;
        if (isStuck || !(await clock.step(endMs))) {
          const why = isStuck ? 'nothing goes on any more' : `${limitMs} virtual ms are over`;
          throw new Error(`drain: ${why}, but ${explain()}`);
        }
        if (this.#progress !== progress || queue.places.delayed.timed > 0 || crew.isApplying) {
          progress = this.#progress;
          quietSinceMs = clock.monotonicMs();
        }
      }
      while (crew.isPressed && (await clock.step(endMs)));
    });
  }

  until<T>(promise: Promise<T>, limitMs: number = DRAIN_MS_MAX): Promise<T> {
    return this.#alone(async () => {
      const { clock } = this.#options;
      const endMs = clock.monotonicMs() + limitMs;
      let isSettled = false;
      const settled = (): void => void (isSettled = true);
      promise.then(settled, settled);
      await clock.settle();
      while (!isSettled) {
        if (await clock.step(endMs)) continue;
        throw new Error(`until: the promise is still pending after ${limitMs} virtual ms.`);
      }
      return promise;
    });
  }

  /** Runs nothing beside it: what happens would depend on how the two take turns. */
  async #alone<T>(run: () => Promise<T>): Promise<T> {
    if (this.#running) throw new Error('the test bed is running already: await the call before.');
    this.#running = true;
    try {
      return await run();
    } finally {
      this.#running = false;
      this.#tell();
    }
  }

  /** In place of whatever else has gone wrong: that may follow from it. */
  #tell(): void {
    const news = this.#options.news();
    if (news !== undefined) throw new ExpectationError(`${news}.`);
  }
}
