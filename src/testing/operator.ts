/** A lane of a test bed, as an operator sees it and acts on it. */
import type { CommitsOfKeys, LaneHandle } from '../jobs/lane-handle.ts';
import type { LaneReport } from '../jobs/reports/lane-report.ts';
import type { MemoryJobs } from '../jobs/memory/memory-jobs.ts';
import type { MemoryLaneViews } from '../jobs/memory/memory-lane-views.ts';
import { stateOf } from '../jobs/reports/lane-state.ts';
import { toldLane } from '../jobs/reports/told-lane.ts';
import type { JobQueue } from './bullmq/job-queue.ts';
import type { Refusals } from './refusals.ts';

/** Of a bed. */
interface Parts {
  readonly jobs: MemoryJobs;
  readonly queue: JobQueue;
  readonly views: MemoryLaneViews;
  readonly refusals: Refusals;
}

export function laneReport(key: string, { jobs, queue, views, refusals }: Parts): LaneReport {
  const facts = views.look(key);
  const lane = jobs.inspect(key, Number.POSITIVE_INFINITY);
  const listed = lane.head.map(({ jobId, sequence }) => {
    const record = queue.record(jobId);
    const job = record?.isRemoved === true ? undefined : record?.job;
    const { name = '', attemptsMade = 0, failedReason, state = 'gone' } = job ?? {};
    return { jobId, sequence, name, state, attemptsMade, failedReason };
  });
  return toldLane(key, {
    ...{ lane, jobs: listed, headAgeMs: facts.head?.ageMs, recorded: [] },
    refusedCommits: refusals.of(key),
    state: stateOf(facts),
  });
}

/** A bed keeps no history in Redis. */
export function commitsOfBed({ refusals }: Pick<Parts, 'refusals'>): CommitsOfKeys {
  return { recorded: async () => [], refused: async (key) => refusals.of(key) };
}

type BullQueue = ConstructorParameters<typeof LaneHandle>[0];

/** As much of BullMQ's queue as a LaneHandle asks for. */
export function operatorsQueue(queue: JobQueue): BullQueue {
  const getJob = async (jobId: string): Promise<unknown> => {
    const record = queue.record(jobId);
    if (record === undefined || record.isRemoved) return undefined;
    const { id, name, attemptsMade, failedReason, state } = record.job;
    return {
      id,
      name,
      attemptsMade,
      failedReason,
      getState: async () => state,
      isFailed: async () => state === 'failed',
      retry: async () => void queue.reprocess(jobId),
    };
  };
  return { getJob } as unknown as BullQueue;
}
