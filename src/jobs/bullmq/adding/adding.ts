/**
 * Jobs on their way into a queue. What is added in one moment goes in together and in its order: with a
 * call for each job, an `enqueue` cost four times as much as BullMQ's `add`.
 */
import { systemClock } from '../../../base/clock.ts';
import { Gather } from '../../../base/gather.ts';
import { TorilError } from '../../../errors.ts';
import type { LaneKeys } from '../../../updates/job-data.ts';
import {
  type Add,
  addArguments,
  type AddingBackend,
  addResults,
  type Entering,
  entersLater,
} from './add-call.ts';
import { forEachOf, ofBulk } from './bulk-error.ts';
import { checkJobId, checkParentId } from './job-ids.ts';
import { notAsked, type Producer } from './producer.ts';

/** As many adds as are worth a call, and calls at a time (why: gather.ts). */
const PER_CALL = { atMost: 32, callsMax: 2 };
/** Jobs of a large bulk are split, so that they do not block Redis for long. */
const JOBS_PER_CALL = 500;

/** The lanes that a job enters; '' if it has none here. May reject, and then nothing is added. */
export type LaneOf = (name: string, dataJson: string) => LaneKeys | Promise<LaneKeys>;

interface Bulk {
  readonly adds: readonly Add[];
  readonly lanes: readonly LaneKeys[];
  /** Monotonic milliseconds at which its time began. */
  readonly startedMs: number;
}

/** Of each job of a bulk: its id, or why it was not added. */
type Results = (string | Error)[];

export class Adding {
  readonly #backend: AddingBackend;
  readonly #producer: Producer;
  readonly #withinMs: number;
  readonly #bulks = new Gather<Bulk, Results>(systemClock, PER_CALL, (bulks) =>
    this.#addAll(bulks),
  );

  /** @param withinMs for which it is tried */
  constructor(backend: AddingBackend, producer: Producer, withinMs: number) {
    this.#backend = backend;
    this.#producer = producer;
    this.#withinMs = withinMs;
  }

  /**
   * Adds what belongs together, behind all that was added before, and returns the jobs' ids.
   * @throws TorilError INVALID_JOB_ID, PARENT_MISSING, JOB_REFUSED, REDIS_FAILED, OUTCOME_UNKNOWN
   */
  async add(adds: readonly Add[], laneOf: LaneOf | undefined): Promise<string[]> {
    forEachOf(adds, checkIds);
    const lanes = await lanesOf(adds, laneOf);
    const results = await this.#bulks.call({ adds, lanes, startedMs: systemClock.monotonicMs() });
    const error = reasonOf(results);
    if (error !== undefined) throw error;
    return results as string[];
  }

  async #addAll(bulks: readonly Bulk[]): Promise<Results[]> {
    const { endMs, jobs } = this.#inTime(bulks);
    const results: Results = [];
    let startedMs = endMs - this.#withinMs;
    try {
      while (results.length < jobs.length) {
        const some = jobs.slice(results.length, results.length + JOBS_PER_CALL);
        const answer = await this.#producer.call(startedMs, addArguments(this.#backend, some));
        results.push(...addResults(this.#backend, some, answer));
        startedMs = systemClock.monotonicMs(); // a bulk of millions takes its time
      }
    } catch (thrown) {
      // Nor is anything behind them added: it would be out of order.
      while (results.length < jobs.length) results.push(thrown as Error);
    }
    const all: Results[] = bulks.map(() => []);
    for (const [at, { bulk }] of jobs.entries()) all[bulk]?.push(results[at] as string | Error);
    return all.map((some, at) => (some.length > 0 ? some : this.#tooLate(bulks[at] as Bulk)));
  }

  /** While Redis is away, bulks wait for those before them, and their time may be over before they are sent. */
  #inTime(bulks: readonly Bulk[]): { endMs: number; jobs: Entering[] } {
    const nowMs = systemClock.monotonicMs();
    let endMs = Number.POSITIVE_INFINITY;
    const jobs: Entering[] = [];
    for (const [bulk, { adds, lanes, startedMs }] of bulks.entries()) {
      if (startedMs + this.#withinMs <= nowMs) continue;
      endMs = Math.min(endMs, startedMs + this.#withinMs);
      adds.forEach((add, at) => jobs.push({ add, lane: lanes[at] as LaneKeys, bulk }));
    }
    return { endMs, jobs };
  }

  #tooLate({ adds }: Bulk): Results {
    const error = notAsked(this.#withinMs, undefined);
    return adds.map(() => error);
  }
}

function checkIds({ job, jobId }: Add): void {
  if (jobId !== undefined) checkJobId(jobId);
  if (job.parent?.id !== undefined) checkParentId(job.parent.id);
}

/** Why a bulk was not added, or not as a whole. Where its other jobs were refused with one of them, that one says why. */
function reasonOf(results: Results): Error | undefined {
  const errors = results.filter((result) => result instanceof Error);
  const refused = errors.find((one) => !isForBulk(one)) ?? errors[0];
  // All of them, if Redis did not answer.
  const isOne = errors.some((one) => one !== refused) || errors.length === 1;
  const error = isOne
    ? (ofBulk(refused, results.indexOf(refused as Error), results.length) as Error)
    : refused;
  const added = results.length - errors.length;
  if (added === 0 || !(error instanceof TorilError)) return error;
  const message = `${error.message} Of the bulk's ${results.length} jobs, ${added} were added.`;
  return new TorilError(error.code, message, { cause: error.cause });
}

function isForBulk(error: Error): boolean {
  return error instanceof TorilError && error.code === 'JOB_REFUSED' && error.cause === undefined;
}

/** Every lane is known, and every data checked, before the first job is added. */
async function lanesOf(adds: readonly Add[], laneOf: LaneOf | undefined): Promise<LaneKeys[]> {
  const lanes: (LaneKeys | Promise<LaneKeys>)[] = [];
  forEachOf(adds, ({ job }) => {
    const lane = laneOf?.(job.name, job.data) ?? '';
    if (lane instanceof Promise) lane.catch(() => undefined); // another one may be refused first
    lanes.push(lane);
  });
  // A promise for each of a large bulk would cost as much as its call.
  const known = lanes.every((lane) => !(lane instanceof Promise))
    ? lanes
    : await Promise.all(lanes.map((lane, at) => settled(lane, at, adds.length)));
  return adds.map((add, at) => (entersLater(add) ? '' : (known[at] as LaneKeys)));
}

async function settled(
  lane: LaneKeys | Promise<LaneKeys>,
  at: number,
  jobs: number,
): Promise<LaneKeys> {
  try {
    return await lane;
  } catch (thrown) {
    throw ofBulk(thrown, at, jobs);
  }
}
