/**
 * A worker's slots, by the lock tokens that are their names for BullMQ: completing the jobs in them, and
 * which ones come next. By scripts of ours wherever worker, job and BullMQ are the ordinary ones that
 * these were written for, else by BullMQ's own.
 */
import { systemClock } from '../base/clock.ts';
import { type Completed, type Completion, Finisher } from './finisher.ts';
import type { Delivery } from './lanes.ts';

/** BullMQ's `removeOnComplete`: always or never, or else by number and age. */
type Removal = boolean | number | object | undefined;

/** The worker and its connection. */
export interface SlotSite {
  readonly removeOnComplete: Removal;
  readonly lockMs: number;
  readonly workerName: string | undefined;
  readonly concurrency: number;
  /** Whether worker and BullMQ are the ordinary ones. */
  readonly isOrdinary: () => Promise<boolean>;
  /** Jobs of the queue that are being worked on, by whomever. */
  readonly activeJobs: () => Promise<number>;
  /** Runs FINISH. */
  readonly finish: (args: readonly string[]) => Promise<unknown>;
}

export class Slots {
  /** Set by the worker: whether it takes on further jobs. */
  takesJobs: () => boolean = () => true;
  readonly #site: SlotSite;
  #made: Promise<Finisher | undefined> | undefined;
  #finisher: Finisher | undefined;

  constructor(site: SlotSite) {
    this.#site = site;
  }

  /** Once it is known that there is one. */
  get finisher(): Finisher | undefined {
    return this.#finisher;
  }

  /** How a job that is being worked on may be completed; undefined: only by BullMQ's own script. */
  deliveryOf(jobId: string, token: string, removeOnComplete: Removal): Delivery | undefined {
    if (this.#finisher === undefined) {
      // Whoever asks later may have it; what is wrong, `complete` says.
      this.#ready().catch(() => undefined);
      return undefined;
    }
    const remove = this.#removes(removeOnComplete);
    return remove === undefined ? undefined : { jobId, token, remove };
  }

  /** Undefined: BullMQ's own script must. */
  async complete(
    jobId: string,
    token: string,
    returnValue: unknown,
    removeOnComplete: Removal,
    fetchNext: boolean,
  ): Promise<Completion | undefined> {
    const remove = this.#removes(removeOnComplete);
    if (remove === undefined) return undefined;
    const finisher = this.#finisher ?? (await this.#ready());
    if (finisher === undefined) return undefined;
    finisher.wantsNext = fetchNext;
    const before = finisher.takeCompleted(token);
    if (before?.jobId === jobId) {
      const { answer, wantedNext, finishedOn } = before;
      const wantsNow = answer === undefined && fetchNext && !wantedNext;
      return { answer: wantsNow ? 'fetch' : answer, finishedOn };
    }
    const finishedOn = systemClock.wallMs();
    const result = JSON.stringify(returnValue) ?? 'null';
    const answer = await finisher.complete({ jobId, token, result, remove, fetchNext });
    return answer === 'slow' ? undefined : { answer, finishedOn };
  }

  /** What was fetched into the slot already, once; `fetch`: BullMQ's own script must. */
  takeFetched(token: string): Exclude<Completed, 'slow'> {
    return this.#finisher?.takeCompleted(token)?.answer ?? 'fetch';
  }

  #ready(): Promise<Finisher | undefined> {
    this.#made ??= this.#make().then((finisher) => {
      this.#finisher = finisher;
      return finisher;
    });
    return this.#made;
  }

  async #make(): Promise<Finisher | undefined> {
    const { lockMs, workerName, concurrency, isOrdinary, activeJobs, finish } = this.#site;
    if (!(await isOrdinary())) return undefined;
    return new Finisher({
      ...{ clock: systemClock, lockMs, workerName, concurrency, activeJobs },
      takesJobs: () => this.takesJobs(),
      run: finish,
    });
  }

  /** Whether a completed job is removed or kept; undefined: by number or age, which only BullMQ's own script does. */
  #removes(ofJob: Removal): boolean | undefined {
    const byDefault = this.#site.removeOnComplete;
    if (ofJob === undefined) return byDefault === undefined ? false : undefined;
    return typeof ofJob === 'boolean' ? ofJob : undefined;
  }
}
