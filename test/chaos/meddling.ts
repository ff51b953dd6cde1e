/**
 * What a stock client of BullMQ's has done to jobs, and so what may be expected of them: a removed job may have
 * been applied once, or not at all; a retried one may have failed before; a promoted one comes early. Pure.
 */
import type { Happened } from './history.ts';

type Meddled = Extract<Happened, { e: 'meddled' }>;
export type Effect = Meddled['effect'];

/** A job, and what is known of it, by time. */
export interface Concerned {
  readonly jobId: string | undefined;
  readonly askedUs: number;
  /** Of a flow, whose jobs have ids of their own. A parent takes its children with it, */
  readonly parent?: Concerned | undefined;
  /** and the last of its children the parent (BullMQ's `clean` and `drain`). */
  readonly children?: readonly string[];
}

export class Meddling {
  readonly #named = new Map<string, Set<Effect>>();
  readonly #sweeping: Meddled[] = [];
  /** When a worker said that a job was completed. */
  readonly #completedUs = new Map<string, number>();

  constructor(history: readonly Happened[]) {
    for (const event of history) {
      if (event.e === 'completed' && !this.#completedUs.has(event.jobId)) {
        this.#completedUs.set(event.jobId, event.us);
      }
      if (event.e !== 'meddled') continue;
      if (event.jobIds === undefined) this.#sweeping.push(event);
      for (const jobId of event.jobIds ?? []) {
        const effects = this.#named.get(jobId) ?? new Set();
        this.#named.set(jobId, effects.add(event.effect));
      }
    }
  }

  /** Whether it may have been done to that job. */
  mayHave(effect: Effect, job: Concerned): boolean {
    if (this.#named.get(job.jobId ?? '')?.has(effect) === true) return true;
    if (this.#sweeping.some((event) => event.effect === effect && this.#reaches(event, job)))
      return true;
    if (effect !== 'removed') return false;
    if (job.children?.some((id) => this.#named.get(id)?.has(effect)) === true) return true;
    return job.parent !== undefined && this.mayHave(effect, job.parent);
  }

  #reaches({ us, sinceUs, finished }: Meddled, { jobId, askedUs }: Concerned): boolean {
    if (askedUs > us) return false;
    // Retried, a completed one waits once more.
    if (finished || this.#named.get(jobId ?? '')?.has('retried') === true) return true;
    return (this.#completedUs.get(jobId ?? '') ?? Number.POSITIVE_INFINITY) > sinceUs;
  }
}
