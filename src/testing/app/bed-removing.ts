/** Removing jobs from the played queue, one by one or many, as `Queue` and `Job` do. */
import { queueState, type BullState } from './bed-job.ts';
import type { JobQueue } from '../bullmq/job-queue.ts';
import type { JobRecord } from '../bullmq/job-record.ts';

const DRAINED: ReadonlySet<BullState> = new Set(['waiting', 'prioritized']);

export interface RemovingParts {
  readonly queue: JobQueue;
  /** Takes a removed job's entry out of its lane. Returns who is first now, if it was; else ''. */
  readonly leaveLane: (key: string, jobId: string) => string;
  /** Milliseconds since 1970. */
  readonly wallMs: () => number;
}

export class BedRemoving {
  readonly #parts: RemovingParts;

  constructor(parts: RemovingParts) {
    this.#parts = parts;
  }

  /** False: a worker has it in hand. */
  remove(jobId: string): boolean {
    const { queue, leaveLane } = this.#parts;
    const record = queue.record(jobId);
    if (record === undefined || record.isRemoved) return true; // as BullMQ says
    if (!queue.remove(jobId)) return false;
    queue.wake(leaveLane(record.key, jobId));
    return true;
  }

  /** What waits, also for its turn; `delayed`: and what is delayed. */
  drain(delayed: boolean): void {
    for (const record of this.#kept()) {
      const state = queueState(record);
      if (DRAINED.has(state) || (delayed && state === 'delayed')) this.remove(record.job.id);
    }
  }

  /**
   * Those in this state that are done, or else were enqueued, so long ago.
   * @param limit at most so many; 0: all
   * @returns their ids
   */
  clean(graceMs: number, limit: number, state: string): string[] {
    const wanted = state === 'wait' ? 'waiting' : state;
    const untilMs = this.#parts.wallMs() - graceMs;
    const removed: string[] = [];
    for (const record of this.#kept()) {
      if (limit > 0 && removed.length >= limit) break;
      const { id, finishedOn = record.timestamp } = record.job;
      if (queueState(record) !== wanted || finishedOn > untilMs) continue;
      if (this.remove(id)) removed.push(id);
    }
    return removed;
  }

  #kept(): JobRecord[] {
    return this.#parts.queue.records().filter(({ isRemoved }) => !isRemoved);
  }
}
