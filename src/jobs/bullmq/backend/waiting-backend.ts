/**
 * BullMQ's Redis backend, for queues in which some of the jobs in BullMQ's delayed set are waiting ones
 * (snoozed-jobs.ts). Here, so that Queue, Job and whatever dashboard was given Toril's Queue all see the
 * same. A plain BullMQ client sees snoozed jobs as delayed.
 */
import type { JobType, RedisQueueBackend } from 'bullmq';
import { SchedulingBackend } from './scheduling-backend.ts';
import { SnoozedJobs, WAITING_STATES, type WaitingState } from '../snoozed-jobs.ts';
import { CODE } from '../state/layout.ts';

const JOBS_PROMOTED = 1_000;

export abstract class WaitingBackend extends SchedulingBackend {
  readonly snoozed: SnoozedJobs = new SnoozedJobs(() => this.scripts(), this.keys[''] as string, {
    promote: (jobId) => super.promote(jobId),
    remove: (jobId) => super.remove(jobId, false),
  });

  override async getCounts(types: JobType[], delayedTimestamp?: number): Promise<number[]> {
    const [plain, counts] = await Promise.all([
      super.getCounts(types, delayedTimestamp),
      this.snoozed.counts(delayedTimestamp),
    ]);
    const own = { ...counts, waiting: counts.wait };
    return types.map((type, at) => own[type as WaitingState | 'delayed'] ?? plain[at] ?? 0);
  }

  override async getCountsPerPriority(priorities: number[]): Promise<number[]> {
    const plain = await super.getCountsPerPriority(priorities);
    const snoozed = await this.snoozed.priorities();
    return plain.map((count, at) => count + (snoozed.get(priorities[at] as number) ?? 0));
  }

  /** As BullMQ's: lists, unlike sets, always with the newest job first. */
  override async getRanges(
    types: JobType[],
    start = 0,
    end = 1,
    asc = false,
  ): ReturnType<RedisQueueBackend['getRanges']> {
    if (!(await this.snoozed.any())) return super.getRanges(types, start, end, asc);
    const ranges: string[][] = await Promise.all(
      types.map(async (type) => {
        const jobIds = await this.#idsOf(type, start, end, asc);
        const isList = stateOf(type) === 'wait';
        if (jobIds !== undefined) return isList && asc ? jobIds.toReversed() : jobIds;
        return (await super.getRanges([type], start, end, asc))[0] as string[];
      }),
    );
    return ranges as Awaited<ReturnType<RedisQueueBackend['getRanges']>>; // whose type has one id each
  }

  override async getJobs(
    types: JobType[],
    start = 0,
    end = -1,
    asc = false,
  ): ReturnType<RedisQueueBackend['getJobs']> {
    if (!(await this.snoozed.any())) return super.getJobs(types, start, end, asc);
    return Promise.all(
      types.map(async (type) => {
        const jobIds = await this.#idsOf(type, start, end, asc);
        if (jobIds !== undefined) return this.#withFields(jobIds);
        return (await super.getJobs([type], start, end, asc))[0] as [string, string[]][];
      }),
    );
  }

  override async getState(jobId: string): ReturnType<RedisQueueBackend['getState']> {
    const state = await super.getState(jobId);
    if (state !== 'delayed') return state;
    const snoozed = await this.snoozed.stateOf(jobId);
    if (snoozed === undefined) return state;
    return snoozed === 'wait' ? 'waiting' : snoozed;
  }

  override async isJobInState(state: string, jobId: string): Promise<boolean> {
    const isThere = await super.isJobInState(state, jobId);
    const waiting = stateOf(state);
    if (state === 'delayed') return isThere && (await this.snoozed.stateOf(jobId)) === undefined;
    if (waiting === undefined) return isThere;
    return isThere || (await this.snoozed.stateOf(jobId)) === waiting;
  }

  /** Snoozed ones first: those that BullMQ moves to its wait list meanwhile are met there. */
  override async drain(delayed: boolean): Promise<void> {
    for (const state of WAITING_STATES) await this.#clean(state, Number.POSITIVE_INFINITY);
    await super.drain(delayed);
  }

  override async cleanJobsByState(state: string, timestamp: number, limit = 0): Promise<string[]> {
    const which = state === 'delayed' ? state : stateOf(state);
    if (which === undefined || !(await this.snoozed.any())) {
      return super.cleanJobsByState(state, timestamp, limit);
    }
    const most = limit > 0 ? limit : Number.POSITIVE_INFINITY;
    const removed = await this.#clean(which, most, timestamp);
    const left = limit > 0 ? limit - removed.length : 0;
    if (which === 'delayed' || (limit > 0 && left === 0)) return removed;
    return [...removed, ...(await super.cleanJobsByState(state, timestamp, left))];
  }

  /** A snoozed job is not delayed, so there is nothing to promote. */
  override async promote(jobId: string): Promise<void> {
    await this.#mustBeDelayed(jobId, 'promote');
    await super.promote(jobId);
  }

  override async promoteJobs(count: number = JOBS_PROMOTED): Promise<number> {
    if (!(await this.snoozed.any())) return super.promoteJobs(count);
    const { jobs } = await this.snoozed.each('promote', 'delayed', { most: count });
    return jobs >= count ? 1 : 0;
  }

  override async changeDelay(jobId: string, delay: number): Promise<void> {
    await this.#mustBeDelayed(jobId, 'changeDelay');
    await super.changeDelay(jobId, delay);
  }

  override async changePriority(jobId: string, priority?: number, lifo?: boolean): Promise<void> {
    await super.changePriority(jobId, priority, lifo);
    await this.snoozed.notePriority(jobId);
  }

  async #mustBeDelayed(jobId: string, command: string): Promise<void> {
    if ((await this.snoozed.stateOf(jobId)) === undefined) return;
    throw this.finishedErrors({ code: CODE.notInState, jobId, command, state: 'delayed' });
  }

  /** Undefined: a state to which no snoozed job belongs. */
  async #idsOf(
    type: string,
    first: number,
    last: number,
    ascending: boolean,
  ): Promise<string[] | undefined> {
    const range = { first, last, ascending };
    if (type === 'delayed') return this.snoozed.delayed(range);
    const state = stateOf(type);
    return state === undefined ? undefined : this.snoozed.waiting(state, range);
  }

  async #withFields(jobIds: readonly string[]): Promise<[string, string[]][]> {
    const pipeline = (await this.scripts()).pipeline();
    for (const jobId of jobIds) pipeline.hgetall(this.toKey(jobId));
    const replies = (await pipeline.exec()) ?? [];
    return jobIds.flatMap((jobId, at): [string, string[]][] => {
      const fields = Object.entries((replies[at]?.[1] ?? {}) as Record<string, string>);
      return fields.length === 0 ? [] : [[jobId, fields.flat()]];
    });
  }

  /** BullMQ's own removal, whatever belongs to a job. */
  async #clean(
    which: WaitingState | 'delayed',
    most: number,
    notAfterMs?: number,
  ): Promise<string[]> {
    const choice = notAfterMs === undefined ? { most } : { most, notAfterMs };
    const { replies } = await this.snoozed.each('remove', which, choice);
    return (replies as string[][]).flat();
  }
}

/** BullMQ calls the wait list by two names. */
function stateOf(type: string): WaitingState | undefined {
  if (type === 'wait' || type === 'waiting') return 'wait';
  return type === 'prioritized' ? type : undefined;
}
