/**
 * Fetches jobs for several free slots of a worker in one call. BullMQ's main loop fills its slots one by
 * one, a round trip each, and begins with none of the jobs before the last slot is full: with 64 slots
 * that took 13 ms, beside three other workers 60.
 *
 * What was fetched waits here, by the token that is the slot's name for BullMQ, which asks with it in
 * the same moment; or a little later, if the job before it is a scheduler's, whose next one BullMQ adds first, or
 * if another slot has just found the queue empty. Whatever it does not ask for, because it is paused, closes or
 * works on fewer jobs, goes back, and was not started.
 */
import type { Clock, Timer } from '../../../base/clock.ts';
import type { Completed, NextJob, SlotCalls } from './slot-calls.ts';

/** Milliseconds between two looks at what has not been asked for, and until it goes back in any case. */
const LOOK_EVERY_MS = 5;
const HELD_MS_MAX = 1_000;
/** Share of a lock's time for which a job may wait for its slot, so that its lock never runs out. */
const HELD_SHARE = 0.25;

export interface SlotFillerOptions<Fields = string[]> {
  readonly clock: Clock;
  readonly lockMs: number;
  readonly calls: Pick<SlotCalls<Fields>, 'fill'>;
  /** Whether BullMQ's main loop is going to ask with this token. */
  readonly expects: (token: string) => boolean;
  readonly giveBack: (jobId: string, token: string) => Promise<unknown>;
  /** What time it is in Redis: milliseconds since 1970. */
  readonly tellTime: (nowMs: number) => void;
}

/** What BullMQ is to be told of a slot; `fetch`: its own script must. */
type Filled<Fields> = Exclude<Completed<Fields>, 'slow'>;

export class SlotFiller<Fields = string[]> {
  readonly #options: SlotFillerOptions<Fields>;
  readonly #fetched = new Map<string, NextJob<Fields>>();
  readonly #goingBack = new Set<Promise<unknown>>();
  /** Until when what is here may wait: monotonic milliseconds. */
  #heldUntilMs = 0;
  #look: Timer | undefined;

  constructor(options: SlotFillerOptions<Fields>) {
    this.#options = options;
  }

  /** What was fetched for this slot already, once. */
  take(token: string): NextJob<Fields> {
    const fetched = this.#fetched.get(token);
    if (fetched !== undefined) this.#fetched.delete(token);
    return fetched;
  }

  /** Fetches for the slot of `token`, and for those which BullMQ is about to fill next. */
  async fill(token: string, next: readonly string[]): Promise<Filled<Fields>> {
    const { clock, lockMs, calls, tellTime } = this.#options;
    const { nowMs, answers } = await calls.fill([token, ...next]);
    tellTime(nowMs);
    const [first, ...others] = answers as Filled<Fields>[];
    for (const [at, answer] of others.entries()) {
      if (typeof answer === 'object' && answer[0] !== 0)
        this.#fetched.set(next[at] as string, answer);
    }
    if (this.#fetched.size > 0) {
      this.#heldUntilMs = clock.monotonicMs() + Math.min(lockMs * HELD_SHARE, HELD_MS_MAX);
      clock.soon(() => this.#giveBackUnexpected());
    }
    return first;
  }

  /** Nothing is asked for any more, nor are these. Resolves when nothing is on its way back. */
  async settled(unasked: ReadonlyMap<string, NextJob<Fields>> = new Map()): Promise<void> {
    for (const [token, job] of unasked) this.#fetched.set(token, job);
    this.#heldUntilMs = 0;
    this.#giveBackUnexpected();
    await Promise.allSettled(this.#goingBack);
  }

  /** The last one first: each goes to where it was. */
  #giveBackUnexpected(): void {
    const { clock, expects } = this.#options;
    this.#look?.cancel();
    this.#look = undefined;
    const isLate = clock.monotonicMs() >= this.#heldUntilMs;
    for (const [token, job] of [...this.#fetched].toReversed()) {
      if (!isLate && expects(token)) continue;
      this.#fetched.delete(token);
      const going = this.#options.giveBack(String(job?.[1]), token).catch(() => undefined); // until it is stalled
      this.#goingBack.add(going);
      void going.finally(() => this.#goingBack.delete(going));
    }
    if (this.#fetched.size === 0) return;
    this.#look = clock.after(LOOK_EVERY_MS, () => this.#giveBackUnexpected());
  }
}
