/**
 * A test bed as an application's own queue: `bed.asQueue()`. It does what Queue does as far as values, orders and
 * outcomes go; what is not played says so when it is called (playing.ts).
 */
import { EventEmitter } from 'node:events';
import type { History } from '../../history/history.ts';
import type { JointLanes } from '../../jobs/joint-lanes.ts';
import type { LaneHandle } from '../../jobs/lane-handle.ts';
import { snapshotOf, type SnapshotValue } from '../../jobs/snapshot.ts';
import type { AnyUpdate } from '../../updates/update.ts';
import { BedJob, type BedJobParts, queueState } from './bed-job.ts';
import type { BedRemoving } from './bed-removing.ts';
import type { BedJobOptions } from '../bullmq/job-options.ts';
import type { JobQueue } from '../bullmq/job-queue.ts';
import type { JobRecord } from '../bullmq/job-record.ts';

export interface BedQueueParts extends Omit<BedJobParts, 'find' | 'finished' | 'retry' | 'remove'> {
  readonly queue: JobQueue;
  readonly removing: BedRemoving;
  readonly history: History;
  readonly lane: (key: string) => LaneHandle;
  readonly copies: Pick<JointLanes, 'snapshot'>;
  /** Checked as the queue does, and added; in one step, or none of them. */
  readonly add: (
    jobs: readonly { name: string; update?: AnyUpdate; data: unknown; options: BedJobOptions }[],
  ) => Promise<JobRecord[]>;
}

export class BedQueue extends EventEmitter {
  readonly name: string;
  readonly qualifiedName: string;
  readonly history: History;
  readonly opts: object = {};
  readonly #parts: BedQueueParts;
  readonly #jobs: BedJobParts;
  readonly #waiting = new Map<JobRecord, (() => void)[]>();

  constructor(parts: BedQueueParts) {
    super();
    const { queueName, qualifiedName, queue } = parts;
    this.#parts = parts;
    this.name = queueName;
    this.qualifiedName = qualifiedName;
    this.history = parts.history;
    this.#jobs = {
      ...{ queueName, qualifiedName },
      find: (jobId) => this.#find(jobId),
      finished: (record) => this.#finished(record),
      retry: (jobId) => void queue.reprocess(jobId),
      remove: (jobId) => parts.removing.remove(jobId),
    };
    queue.listen({
      finished: (record) => this.#tellFinished(record),
    });
  }

  async enqueue(update: AnyUpdate, data: unknown, options?: BedJobOptions): Promise<BedJob> {
    return this.#addOne({ name: update.name, update, data, options: options ?? {} });
  }

  async enqueueBulk(
    jobs: readonly { update: AnyUpdate; data: unknown; options?: BedJobOptions }[],
  ): Promise<BedJob[]> {
    return this.#addAll(
      jobs.map(({ update, data, options = {} }) => ({ name: update.name, update, data, options })),
    );
  }

  async add(name: string, data: unknown, options?: BedJobOptions): Promise<BedJob> {
    return this.#addOne({ name, data, options: options ?? {} });
  }

  async addBulk(
    jobs: readonly { name: string; data: unknown; opts?: BedJobOptions }[],
  ): Promise<BedJob[]> {
    return this.#addAll(jobs.map(({ name, data, opts = {} }) => ({ name, data, options: opts })));
  }

  lane(key: string): LaneHandle {
    return this.#parts.lane(key);
  }

  snapshot<Value = unknown>(keys: Iterable<string>): Promise<Map<string, SnapshotValue<Value>>> {
    return snapshotOf(this.#parts.copies, keys);
  }

  async getJob(jobId: string): Promise<BedJob | undefined> {
    const record = this.#find(jobId);
    return record && this.#jobOf(record);
  }

  async getJobState(jobId: string): Promise<string> {
    const record = this.#find(jobId);
    return record === undefined ? 'unknown' : queueState(record);
  }

  /** Of these states, in the order in which they were enqueued; without states: all. */
  async getJobs(types: string | readonly string[] = []): Promise<BedJob[]> {
    const wanted = stateNames(typeof types === 'string' ? [types] : types);
    return this.#kept()
      .filter((record) => wanted.size === 0 || wanted.has(queueState(record)))
      .map((record) => this.#jobOf(record));
  }

  async getJobCounts(...types: string[]): Promise<Record<string, number>> {
    const names = types.length > 0 ? types : COUNTED;
    const counts: Record<string, number> = {};
    for (const name of names) {
      const states = stateNames([name]);
      counts[name] = this.#kept().filter((record) => states.has(queueState(record))).length;
    }
    return counts;
  }

  async getJobCountByTypes(...types: string[]): Promise<number> {
    const states = stateNames(types);
    return this.#kept().filter((record) => states.has(queueState(record))).length;
  }

  /** What is not done, as BullMQ counts. */
  count(): Promise<number> {
    return this.getJobCountByTypes('waiting', 'delayed', 'prioritized');
  }

  getWaiting(): Promise<BedJob[]> {
    return this.getJobs('waiting');
  }
  getActive(): Promise<BedJob[]> {
    return this.getJobs('active');
  }
  getDelayed(): Promise<BedJob[]> {
    return this.getJobs('delayed');
  }
  getCompleted(): Promise<BedJob[]> {
    return this.getJobs('completed');
  }
  getFailed(): Promise<BedJob[]> {
    return this.getJobs('failed');
  }
  getPrioritized(): Promise<BedJob[]> {
    return this.getJobs('prioritized');
  }

  /** 1: there is no such job any more; 0: a worker has it in hand. */
  async remove(jobId: string, _options?: object): Promise<number> {
    return this.#parts.removing.remove(jobId) ? 1 : 0;
  }

  async drain(delayed = false): Promise<void> {
    this.#parts.removing.drain(delayed);
  }

  async clean(graceMs: number, limit: number, type = 'completed'): Promise<string[]> {
    const jobIds = this.#parts.removing.clean(graceMs, limit, type);
    this.emit('cleaned', jobIds, type === 'waiting' ? 'wait' : type);
    return jobIds;
  }

  async waitUntilReady(): Promise<void> {}
  async close(): Promise<void> {}
  async disconnect(): Promise<void> {}

  async #addOne(job: Parameters<BedQueueParts['add']>[0][number]): Promise<BedJob> {
    const [added] = await this.#addAll([job]);
    this.emit('waiting', added);
    return added as BedJob;
  }

  async #addAll(jobs: Parameters<BedQueueParts['add']>[0]): Promise<BedJob[]> {
    const records = await this.#parts.add(jobs);
    return records.map((record, at) => new BedJob(record, this.#jobs, jobs[at]));
  }

  #find(jobId: string): JobRecord | undefined {
    const record = this.#parts.queue.record(jobId);
    return record?.isRemoved === true ? undefined : record;
  }

  #kept(): JobRecord[] {
    return this.#parts.queue.records().filter(({ isRemoved }) => !isRemoved);
  }

  #jobOf(record: JobRecord): BedJob {
    return new BedJob(record, this.#jobs);
  }

  #finished(record: JobRecord): Promise<void> {
    if (record.job.finishedOn !== undefined) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting.set(record, [...(this.#waiting.get(record) ?? []), resolve]);
    });
  }

  #tellFinished(record: JobRecord): void {
    const told = this.#waiting.get(record) ?? [];
    this.#waiting.delete(record);
    for (const resolve of told) resolve();
  }
}

/** BullMQ's own default. */
const COUNTED = ['active', 'completed', 'delayed', 'failed', 'paused', 'prioritized', 'waiting'];

function stateNames(types: readonly string[]): ReadonlySet<string> {
  return new Set(types.map((type) => (type === 'wait' ? 'waiting' : type)));
}
