/**
 * Says to Redis again what Redis refused: what becomes of a delivered job is decided, and a refusal changes nothing about
 * it. NOREPLICAS, READONLY, MISCONF, OOM, BUSY, LOADING, a lost connection last for milliseconds or for hours;
 * BullMQ takes any of them, when a job is to be completed, for a failure of the job.
 */
import { setMaxListeners } from 'node:events';
import { type Clock, pause } from '../../../base/clock.ts';
import type { Random } from '../../../base/random.ts';
import { messageOf, redisFailed, type TorilError } from '../../../errors.ts';

/** Milliseconds before the first repetition, and at most; doubled each time. */
const AGAIN_MS = 5;
const AGAIN_MS_MAX = 1_000;

/** What the worker has of a job that BullMQ delivered to it. */
export interface Held {
  readonly jobId: string;
  /** Of its lock. */
  readonly token: string;
  /** When it was delivered; undefined: not known. */
  readonly attemptsMade: number | undefined;
  /** The delivery's name (state/timed.ts); undefined: not known, or nothing goes by it. */
  readonly delivery?: number | undefined;
}

/** What became of a job about which Redis was to be told something. */
export type Standing = 'held' | 'finished' | 'gone' | 'lost';

/** What is to be done, for people. */
export type SettlingStep =
  | 'complete'
  | 'fail'
  | 'retry'
  | 'snooze'
  | 'give back'
  | 'note'
  | 'fetch'
  | 'keep locks';

export interface RedisRefusal {
  /** Undefined: it is not about one job. */
  readonly jobId: string | undefined;
  readonly step: SettlingStep;
  readonly cause: TorilError;
}

export type Done<T> = { readonly done: T } | { readonly instead: Exclude<Standing, 'held'> };

export interface RepeatingOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Puts the job back where it was before a script that may have been stopped half-way. */
  readonly reclaim: (held: Held) => Promise<Standing>;
  /** Told once per step of a job. */
  readonly refused: (refusal: RedisRefusal) => void;
}

/** The step is not done, and is not going to be: the worker closes. Nothing else must be done with the job, either. */
class StepGivenUp extends Error {}

export class Repeating {
  readonly #options: RepeatingOptions;
  readonly #stop = new AbortController();
  /** Jobs with which nothing more is to be done here. */
  readonly #givenUp = new Set<string>();

  constructor(options: RepeatingOptions) {
    this.#options = options;
    setMaxListeners(0, this.#stop.signal); // each slot may wait for Redis
  }

  /** What is refused from now on is not said again: the jobs are delivered again, and find their outcome. */
  stop(): void {
    this.#stop.abort();
  }

  /** Jobs of which it was not done. */
  get givenUp(): ReadonlySet<string> {
    return this.#givenUp;
  }

  get isOver(): boolean {
    return this.#stop.signal.aborted;
  }

  /**
   * Until Redis has carried it out.
   * @returns what `act` returns, or what became of the job meanwhile, if it is no longer this worker's
   * @throws what BullMQ's script says against it; StepGivenUp
   */
  async untilDone<T>(step: SettlingStep, held: Held, act: () => Promise<T>): Promise<Done<T>> {
    this.check(step, held.jobId);
    try {
      return { done: await act() };
    } catch (thrown) {
      return this.again(step, held, act, thrown);
    }
  }

  /** @throws StepGivenUp */
  check(step: SettlingStep, jobId: string): void {
    if (this.#givenUp.has(jobId)) throw new StepGivenUp(`not done (${step}): the worker closes`);
  }

  /** The same, when `act` has rejected once. */
  async again<T>(
    step: SettlingStep,
    held: Held,
    act: () => Promise<T>,
    thrown: unknown,
  ): Promise<Done<T>> {
    if (!isRefusal(thrown)) throw thrown;
    const { jobId } = held;
    this.#options.refused({ jobId, step, cause: redisFailed(thrown as Error) });
    await this.#breatheOr(step, jobId, 0, thrown);
    for (let tries = 1; ; tries++) {
      try {
        const standing = await this.#options.reclaim(held);
        if (standing !== 'held') return { instead: standing };
        return { done: await act() };
      } catch (refusal) {
        if (!isRefusal(refusal)) throw refusal;
        await this.#breatheOr(step, jobId, tries, refusal);
      }
    }
  }

  /** @throws StepGivenUp */
  async #breatheOr(
    step: SettlingStep,
    jobId: string,
    tries: number,
    refusal: unknown,
  ): Promise<void> {
    await this.#breathe(tries);
    if (!this.isOver) return;
    this.#givenUp.add(jobId);
    throw new StepGivenUp(`not done (${step}): ${messageOf(refusal)}`, { cause: refusal });
  }

  /** For what is of use only for a while, or while it is wanted, and is asked for again. @throws the last refusal */
  async within<T>(
    ms: number,
    step: SettlingStep,
    act: () => Promise<T>,
    isWanted: () => boolean = () => true,
  ): Promise<T> {
    const untilMs = this.#options.clock.monotonicMs() + ms;
    for (let tries = 0; ; tries++) {
      try {
        return await act();
      } catch (thrown) {
        const isLate = this.isOver || this.#options.clock.monotonicMs() >= untilMs;
        if (isLate || !isWanted() || !isRefusal(thrown)) throw thrown;
        if (tries === 0)
          this.#options.refused({ jobId: undefined, step, cause: redisFailed(thrown) });
        await this.#breathe(tries);
      }
    }
  }

  /** Longer each time, and never in step with others. */
  async #breathe(tries: number): Promise<void> {
    const { clock, random } = this.#options;
    const longestMs = Math.min(AGAIN_MS * 2 ** Math.min(tries, 20), AGAIN_MS_MAX);
    await pause(clock, longestMs * (0.5 + random.fraction() / 2), this.#stop.signal);
  }
}

/** Whatever a call of a script rejects with, but the numbers with which BullMQ's scripts say no. */
export function isRefusal(thrown: unknown): boolean {
  return typeof (thrown as { code?: unknown } | null)?.code !== 'number';
}
