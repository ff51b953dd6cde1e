/**
 * A worker's slots, by the lock tokens that are their names for BullMQ: completing the jobs in them, and
 * which ones come next. By Toril's scripts where worker, job and BullMQ are the ordinary ones that
 * these were written for, else by BullMQ's own.
 */
import type { Clock } from '../../../base/clock.ts';
import type { Completable } from '../../lanes.ts';
import { type Completion, Finisher } from './finisher.ts';
import type { FinishSettings } from './finish.ts';
import type { Peculiarity } from './peculiarities.ts';
import type { Completed, SlotCalls } from './slot-calls.ts';
import { SlotFiller } from './slot-filler.ts';

/** BullMQ's `removeOnComplete`: always or never, or else by number and age. */
export type Removal = boolean | number | object | undefined;

/** A job that BullMQ says is done. */
export interface DoneJob {
  readonly jobId: string;
  /** Of its lock. */
  readonly token: string;
  /** The name of its delivery (`ToComplete`). */
  readonly delivery: number | undefined;
  readonly returnValue: unknown;
  readonly removeOnComplete: Removal;
  readonly fetchNext: boolean;
}

/** The worker whose slots they are. */
export interface SlotOwner {
  /** Whether it takes on further jobs. */
  readonly takesJobs: () => boolean;
  /**
   * The tokens with which BullMQ asks next, if it has other slots to fill. It is told of all that BullMQ asks with,
   * also where what is asked for is here already.
   */
  readonly nextTokens: (token: string) => readonly string[];
  /** Whether BullMQ is going to ask with this token. */
  readonly expects: (token: string) => boolean;
  /** All is left to BullMQ's own scripts, for these reasons. */
  readonly isSlow: (reasons: readonly Peculiarity[]) => void;
}

/** The worker and its connection. */
export interface SlotSite<Fields = string[]> extends SlotOwner {
  readonly clock: Clock;
  readonly removeOnComplete: Removal;
  readonly lockMs: number;
  readonly settings: FinishSettings;
  readonly concurrency: number;
  /** What is not ordinary about the worker or BullMQ, so that BullMQ's own scripts must do all. */
  readonly peculiarities: () => readonly Peculiarity[];
  /** Jobs of the queue that are being worked on, by whomever. */
  readonly activeJobs: () => Promise<number>;
  readonly calls: SlotCalls<Fields>;
  /** From active to waiting. */
  readonly giveBack: (jobId: string, token: string) => Promise<unknown>;
  /** What time it is in Redis: milliseconds since 1970. */
  readonly tellTime: (nowMs: number) => void;
}

export class Slots<Fields = string[]> {
  readonly #site: SlotSite<Fields>;
  readonly #filler: SlotFiller<Fields>;
  #made: Promise<Finisher<Fields> | undefined> | undefined;
  #finisher: Finisher<Fields> | undefined;

  constructor(site: SlotSite<Fields>) {
    const { clock, lockMs, calls, giveBack, tellTime } = site;
    this.#site = site;
    this.#filler = new SlotFiller({
      ...{ clock, lockMs, calls, giveBack, tellTime },
      expects: (token) => site.takesJobs() && site.expects(token),
    });
  }

  /** Whether the worker takes on further jobs. */
  takesJobs(): boolean {
    return this.#site.takesJobs();
  }

  /** Once it is known that there is one. */
  get finisher(): Finisher<Fields> | undefined {
    return this.#finisher;
  }

  /** How a job that is being worked on may be completed; undefined: only by BullMQ's own script. */
  completable(jobId: string, token: string, removeOnComplete: Removal): Completable | undefined {
    if (this.#finisher === undefined) {
      // Whoever asks later may have it; what is wrong, `complete` says.
      this.#ready().catch(() => undefined);
      return undefined;
    }
    const remove = this.#removes(removeOnComplete);
    return remove === undefined ? undefined : { jobId, token, remove };
  }

  /** Of a job that was completed in the step that acknowledged its commit: most are. Undefined: it was not. */
  completedBefore(
    jobId: string,
    token: string,
    fetchNext: boolean,
  ): Completion<Fields> | undefined {
    const finisher = this.#finisher;
    if (finisher === undefined) return undefined;
    finisher.heard(fetchNext);
    const before = finisher.takeCompleted(token);
    if (before?.jobId !== jobId) return undefined;
    const { answer, wantedNext, finishedOn } = before;
    const wantsNow = answer === undefined && fetchNext && !wantedNext;
    return { answer: wantsNow ? 'fetch' : answer, finishedOn };
  }

  /** Undefined: BullMQ's own script must. */
  async complete(
    { jobId, token, delivery, returnValue, removeOnComplete }: DoneJob,
    fetchNext: boolean,
  ): Promise<Completion<Fields> | undefined> {
    const remove = this.#removes(removeOnComplete);
    if (remove === undefined) return undefined;
    const finisher = this.#finisher ?? (await this.#ready());
    if (finisher === undefined) return undefined;
    const result = JSON.stringify(returnValue) ?? 'null';
    const toComplete = { jobId, token, delivery, result, remove, fetchNext };
    const { answer, finishedOn } = await finisher.complete(toComplete);
    return answer === 'slow' ? undefined : { answer, finishedOn };
  }

  /** What comes into the slot: it may have been fetched already, or is fetched together with others. */
  async fetch(token: string): Promise<Exclude<Completed<Fields>, 'slow'>> {
    const finisher = await this.#ready();
    if (finisher === undefined) return 'fetch';
    const next = this.#site.nextTokens(token);
    const fetched = finisher.takeCompleted(token)?.answer ?? this.#filler.take(token);
    if (fetched !== undefined) return fetched;
    return next.length === 0 ? 'fetch' : this.#filler.fill(token, next);
  }

  /** Resolves when no job is on its way back to the queue any more. */
  settled(): Promise<void> {
    return this.#filler.settled(this.#finisher?.takeUnasked());
  }

  #ready(): Promise<Finisher<Fields> | undefined> {
    this.#made ??= this.#make().then((finisher) => {
      this.#finisher = finisher;
      return finisher;
    });
    return this.#made;
  }

  async #make(): Promise<Finisher<Fields> | undefined> {
    const { clock, settings, concurrency, peculiarities, activeJobs, calls, tellTime } = this.#site;
    const reasons = peculiarities();
    if (reasons.length > 0) {
      this.#site.isSlow(reasons);
      return undefined;
    }
    return new Finisher({
      ...{ clock, settings, concurrency, activeJobs, calls, tellTime },
      takesJobs: () => this.takesJobs(),
    });
  }

  /** Whether a completed job is removed or kept; undefined: by number or age, which only BullMQ's own script does. */
  #removes(ofJob: Removal): boolean | undefined {
    const byDefault = this.#site.removeOnComplete;
    if (ofJob === undefined) return byDefault === undefined ? false : undefined;
    return typeof ofJob === 'boolean' ? ofJob : undefined;
  }
}
