/** One lane, for an operator: what waits, why it stands still, and how to make it go on. */
import type { Job, Queue as BullQueue } from 'bullmq';
import { TorilError } from '../errors.ts';
import { answered } from './answered.ts';
import type { Lanes } from './lanes.ts';
import type { JobAction } from './reports/why.ts';
import { withCause } from './reports/lane-cause.ts';
import type { LaneCommit, LaneReport, RefusedCommits } from './reports/lane-report.ts';
import { stateOf } from './reports/lane-state.ts';
import type { LaneViews } from './reports/lane-views.ts';
import { toldLane } from './reports/told-lane.ts';

/** Jobs of a lane that are listed at most. */
const JOBS_LISTED = 20;

/** What became of a key's commits. */
export interface CommitsOfKeys {
  /** Newest first; empty: there is no history. */
  recorded(key: string): Promise<readonly LaneCommit[]>;
  refused(key: string): Promise<RefusedCommits>;
}

export class LaneHandle {
  readonly #queue: BullQueue;
  readonly #lanes: Lanes;
  readonly #views: Pick<LaneViews, 'one'>;
  readonly #commits: CommitsOfKeys;
  readonly key: string;

  /** By `queue.lane(key)`. @internal */
  constructor(
    queue: BullQueue,
    lanes: Lanes,
    views: Pick<LaneViews, 'one'>,
    commits: CommitsOfKeys,
    key: string,
  ) {
    this.#queue = queue;
    this.#lanes = lanes;
    this.#views = views;
    this.#commits = commits;
    this.key = key;
  }

  /**
   * What waits, and why; without memcached, which is not asked.
   * @throws TorilError REDIS_FAILED (or no answer within 10 s)
   */
  async report(): Promise<LaneReport> {
    const [lane, facts, recorded, refusedCommits] = await Promise.all([
      this.#lanes.inspect(this.key, JOBS_LISTED),
      this.#views.one(this.key),
      this.#commits.recorded(this.key),
      this.#commits.refused(this.key),
    ]);
    const state = await withCause(stateOf(facts), async (key) => {
      return stateOf(await this.#views.one(key));
    });
    const jobs = await Promise.all(
      lane.head.map(async (entry) => {
        const job = await answered(this.#queue.getJob(entry.jobId));
        const state = job === undefined ? 'gone' : await answered(job.getState());
        const { name = '', attemptsMade = 0, failedReason } = job ?? {};
        return { ...entry, name, state, attemptsMade, failedReason };
      }),
    );
    const headAgeMs = facts.head?.ageMs;
    return toldLane(this.key, { lane, jobs, headAgeMs, recorded, refusedCommits, state });
  }

  /**
   * Has the job at the lane's head tried again.
   * @param jobId the job that is meant; if another one holds the lane by now, nothing is done. Undefined: the one that holds it
   * @throws TorilError LANE_NOT_HELD, REDIS_FAILED (no answer within 10 s: it may be done all the same)
   */
  async retry(jobId?: string): Promise<string> {
    const job = await this.#heldJob('retry', jobId);
    await answered(job.retry('failed'));
    return job.id as string;
  }

  /** Sends the job at the lane's head to its end, where it is tried again. Otherwise like `retry`. */
  async skip(jobId?: string): Promise<string> {
    return this.#direct('skip', jobId);
  }

  /**
   * Fails the job at the lane's head for good, and goes on behind it. Otherwise like `retry`. A job of several keys that is
   * missing in one of its lanes (LANES_APART) can be dropped, failed or not.
   */
  async drop(jobId?: string): Promise<string> {
    return this.#direct('drop', jobId);
  }

  /** Decided under the key's lease by the worker that the job is delivered to, never here on the side. */
  async #direct(directive: 'skip' | 'drop', jobId: string | undefined): Promise<string> {
    const job = await this.#heldJob(directive, jobId);
    await this.#lanes.direct(job.id as string, directive);
    if (await answered(job.isFailed())) await answered(job.retry('failed'));
    return job.id as string;
  }

  /** Of several keys, it holds all their lanes, and whatever is done is done in all of them. */
  async #heldJob(what: JobAction, wanted: string | undefined): Promise<Job> {
    const { head } = await this.#views.one(this.key);
    const found = head?.jobId;
    const job = found === undefined ? undefined : await answered(this.#queue.getJob(found));
    const isApart = what === 'drop' && (head?.joint?.missingIn.length ?? 0) > 0;
    if (job !== undefined && (isApart || (await answered(job.isFailed())))) {
      if (wanted === undefined || wanted === found) return job;
      throw new TorilError(
        'LANE_NOT_HELD',
        `job ${wanted} does not hold the lane of "${this.key}" any more: job ${found} does. Nothing was done; look at that one.`,
      );
    }
    const [other] = head?.joint?.waitsFor ?? [];
    const waits =
      other === undefined ? '' : `, but waits for the lane of "${other.key}": look there`;
    throw new TorilError(
      'LANE_NOT_HELD',
      `there is nothing to ${what}: the lane of "${this.key}" is not held by a failed job (${found === undefined ? 'it is empty' : `its head is ${found}, which has not failed${waits}`}).`,
    );
  }
}
