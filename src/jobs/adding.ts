/**
 * Jobs on their way into a queue. What is added in one moment goes in together and in its order: with a
 * transaction for each job, an `enqueue` cost four times as much as BullMQ's `add`.
 */
import { systemClock } from '../base/clock.ts';
import { Gather } from '../base/gather.ts';
import { type Add, type EnteringTransaction, entersLater } from './entering-transaction.ts';

/** As many adds as are worth a call, and calls at a time (why: gather.ts). */
const PER_CALL = { atMost: 32, callsMax: 2 };
/** Jobs of a large bulk are split, so that they do not block Redis for long. */
const JOBS_PER_TRANSACTION = 500;

/** Whose lane a job enters; '' if it has none here. May reject, and then nothing is added. */
export type LaneOf = (name: string, dataJson: string) => string | Promise<string>;

/** A job, and the key of the lane that it enters; '' if it enters none now. */
type Entering = readonly [add: Add, lane: string];

export class Adding {
  readonly #begin: () => Promise<EnteringTransaction>;
  readonly #bulks = new Gather<readonly Entering[], readonly (string | Error)[]>(
    systemClock,
    PER_CALL,
    (bulks) => this.#addAll(bulks),
  );

  constructor(begin: () => Promise<EnteringTransaction>) {
    this.#begin = begin;
  }

  /** Adds what belongs together, behind all that was added before, and returns the jobs' ids. */
  async add(adds: readonly Add[], laneOf: LaneOf | undefined): Promise<string[]> {
    const results = await this.#bulks.call(await entering(adds, laneOf));
    return results.map((result) => {
      if (result instanceof Error) throw result;
      return result;
    });
  }

  async #addAll(bulks: readonly (readonly Entering[])[]): Promise<(string | Error)[][]> {
    const jobs = bulks.flat();
    const results: (string | Error)[] = [];
    try {
      while (results.length < jobs.length) {
        const from = results.length;
        results.push(...(await this.#addTogether(jobs.slice(from, from + JOBS_PER_TRANSACTION))));
      }
    } catch (thrown) {
      // Nor is anything behind them added: it would be out of order.
      while (results.length < jobs.length) results.push(thrown as Error);
    }
    return bulks.map(({ length }) => results.splice(0, length));
  }

  async #addTogether(jobs: readonly Entering[]): Promise<(string | Error)[]> {
    const transaction = await this.#begin();
    for (const [add, lane] of jobs) transaction.add(add, lane);
    return transaction.commit();
  }
}

/** Every lane is known, and every data checked, before the first job is added. */
async function entering(adds: readonly Add[], laneOf: LaneOf | undefined): Promise<Entering[]> {
  const lanes = adds.map(({ job }) => {
    const lane = laneOf?.(job.name, job.data) ?? '';
    if (lane instanceof Promise) lane.catch(() => undefined); // another one may be refused first
    return lane;
  });
  // A promise for each of a large bulk would cost as much as its transaction.
  const known = lanes.every((lane) => typeof lane === 'string')
    ? lanes
    : await Promise.all(lanes.map((lane) => Promise.resolve(lane)));
  return adds.map((add, at) => [add, entersLater(add) ? '' : (known[at] as string)]);
}
