/**
 * How BullMQ is answered when it asks to complete a job, or to fetch one: by what was done for the slot already, by a call of
 * the slots, or by BullMQ's own scripts. Whatever delivers the jobs: `Own` is what it makes of one.
 */
import type { Completion } from './finisher.ts';
import type { NextJob } from './slot-calls.ts';
import type { DoneJob, Slots } from './slots.ts';

export interface OwnScripts<Fields, Own> {
  /** BullMQ's own fetches. */
  fetch(token: string): Promise<Own>;
  /** Whether the slot still takes jobs, where BullMQ asks for the next one. */
  takesNext(): boolean;
  /** Redis did not do it, and may do it another time. */
  isRefusal(thrown: unknown): boolean;
  /** Of a job that was fetched here; undefined: there was none. */
  ownOf(next: NextJob<Fields>): Own;
}

export interface OwnCompletion<Own> {
  /** What comes into the slot. */
  readonly result: Own | undefined;
  /** Milliseconds since 1970. */
  readonly finishedOn: number;
}

export class Completing<Fields, Own> {
  readonly #slots: Slots<Fields>;
  readonly #own: OwnScripts<Fields, Own>;

  constructor(slots: Slots<Fields>, own: OwnScripts<Fields, Own>) {
    this.#slots = slots;
    this.#own = own;
  }

  /** It was completed in the step that acknowledged its commit; undefined: it was not. */
  before({ jobId, token, fetchNext }: DoneJob): Promise<OwnCompletion<Own>> | undefined {
    const before = this.#slots.completedBefore(jobId, token, this.#wants(fetchNext));
    return before && this.#withNext(before, token);
  }

  /** With all others of this moment, where they are ordinary ones; else by `byOwn`. May be asked again if it rejects. */
  async complete(
    done: DoneJob,
    byOwn: () => Promise<OwnCompletion<Own>>,
  ): Promise<OwnCompletion<Own>> {
    const completed = await this.#slots.complete(done, this.#wants(done.fetchNext));
    return completed === undefined ? byOwn() : this.#withNext(completed, done.token);
  }

  /** It may have been fetched already, or is fetched together with others. */
  async fetch(token: string): Promise<Own> {
    const answer = await this.#slots.fetch(token);
    return answer === 'fetch' ? this.#own.fetch(token) : this.#own.ownOf(answer);
  }

  #wants(fetchNext: boolean): boolean {
    return fetchNext && this.#own.takesNext();
  }

  async #withNext(
    { answer, finishedOn }: Completion<Fields>,
    token: string,
  ): Promise<OwnCompletion<Own>> {
    if (answer !== 'fetch') return { result: this.#own.ownOf(answer), finishedOn };
    return { result: await this.#fetchInstead(token), finishedOn };
  }

  /** The job before it is completed, whatever comes of this: the slot asks again. */
  async #fetchInstead(token: string): Promise<Own | undefined> {
    try {
      return await this.#own.fetch(token);
    } catch (thrown) {
      if (!this.#own.isRefusal(thrown)) throw thrown;
      return undefined;
    }
  }
}
