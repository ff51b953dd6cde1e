/**
 * Completing a worker's jobs: by a script of ours wherever worker, job and BullMQ are the ordinary ones
 * that it was written for, else by BullMQ's own.
 */
import { systemClock } from '../base/clock.ts';
import type { Completion, Finisher } from './finisher.ts';
import type { Delivery } from './lanes.ts';

/** BullMQ's `removeOnComplete`: always or never, or else by number and age. */
type Removal = boolean | number | object | undefined;

export class Completing {
  readonly #removesByDefault: Removal;
  readonly #make: () => Promise<Finisher | undefined>;
  #made: Promise<Finisher | undefined> | undefined;
  #finisher: Finisher | undefined;

  /** @param make resolves with nothing if worker or BullMQ are not the ordinary ones */
  constructor(removesByDefault: Removal, make: () => Promise<Finisher | undefined>) {
    this.#removesByDefault = removesByDefault;
    this.#make = make;
  }

  /** Once it is known that there is one. */
  get finisher(): Finisher | undefined {
    return this.#finisher;
  }

  /** How a job that is being worked on may be completed; undefined: only by BullMQ's own script. */
  deliveryOf(jobId: string, token: string, removeOnComplete: Removal): Delivery | undefined {
    if (this.#finisher === undefined) {
      // Whoever asks later may have it; what is wrong, `complete` says.
      this.ready().catch(() => undefined);
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
    const finisher = this.#finisher ?? (await this.ready());
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

  /** Undefined: worker or BullMQ are not the ordinary ones. */
  ready(): Promise<Finisher | undefined> {
    this.#made ??= this.#make().then((finisher) => {
      this.#finisher = finisher;
      return finisher;
    });
    return this.#made;
  }

  /** Whether a completed job is removed or kept; undefined: by number or age, which only BullMQ's own script does. */
  #removes(ofJob: Removal): boolean | undefined {
    if (ofJob === undefined) return this.#removesByDefault === undefined ? false : undefined;
    return typeof ofJob === 'boolean' ? ofJob : undefined;
  }
}
