/** A job as BullMQ's queue and worker hand it out, as far as a test bed plays it: as of the moment it was asked for. */
import type { JobRecord } from '../bullmq/job-record.ts';

/** BullMQ's names of states. */
export type BullState = 'waiting' | 'active' | 'delayed' | 'prioritized' | 'completed' | 'failed';

export interface BedJobParts {
  readonly queueName: string;
  readonly qualifiedName: string;
  /** By id, as it is now; undefined: gone. */
  readonly find: (jobId: string) => JobRecord | undefined;
  /** Resolves when the job is completed or failed, as the bed is run. */
  readonly finished: (record: JobRecord) => Promise<void>;
  readonly retry: (jobId: string) => void;
  /** False: a worker has it in hand. */
  readonly remove: (jobId: string) => boolean;
}

export class BedJob {
  readonly id: string;
  readonly name: string;
  readonly data: unknown;
  readonly opts: object;
  readonly timestamp: number;
  readonly delay: number;
  readonly priority: number;
  readonly attemptsMade: number;
  readonly attemptsStarted: number;
  readonly stalledCounter: number;
  readonly returnvalue: unknown;
  readonly failedReason: string | undefined;
  readonly finishedOn: number | undefined;
  readonly deduplicationId: string | undefined;
  readonly queueName: string;
  readonly queueQualifiedName: string;
  readonly progress: number = 0;
  readonly #record: JobRecord;
  readonly #parts: BedJobParts;

  /** @param given the data of whoever enqueued it: if the job was there already, that has others */
  constructor(record: JobRecord, parts: BedJobParts, given?: { readonly data: unknown }) {
    const { job, options } = record;
    this.#record = record;
    this.#parts = parts;
    this.id = job.id;
    this.name = job.name;
    this.data = given === undefined ? JSON.parse(job.data) : given.data;
    this.opts = { attempts: 0, ...options };
    this.timestamp = record.timestamp;
    this.delay = options.delay ?? 0;
    this.priority = options.priority ?? 0;
    this.attemptsMade = job.attemptsMade;
    this.attemptsStarted = record.deliveries;
    this.stalledCounter = job.stalls;
    this.returnvalue = record.result === '' ? null : JSON.parse(record.result);
    this.failedReason = job.failedReason;
    this.finishedOn = job.finishedOn;
    this.deduplicationId = options.deduplication?.id;
    this.queueName = parts.queueName;
    this.queueQualifiedName = parts.qualifiedName;
  }

  getState(): Promise<BullState | 'unknown'> {
    const record = this.#parts.find(this.id);
    return Promise.resolve(record === undefined ? 'unknown' : queueState(record));
  }

  async isCompleted(): Promise<boolean> {
    return (await this.getState()) === 'completed';
  }

  async isFailed(): Promise<boolean> {
    return (await this.getState()) === 'failed';
  }

  async isActive(): Promise<boolean> {
    return (await this.getState()) === 'active';
  }

  async isDelayed(): Promise<boolean> {
    return (await this.getState()) === 'delayed';
  }

  async isWaiting(): Promise<boolean> {
    return (await this.getState()) === 'waiting';
  }

  /**
   * The job's result, once the bed was run so far: await `bed.until(job.waitUntilFinished(events))`.
   * @throws Error with the reason if it failed
   */
  async waitUntilFinished(_events?: unknown, _ttl?: number): Promise<unknown> {
    const record = this.#record;
    await this.#parts.finished(record);
    if (record.job.state === 'failed') throw new Error(record.job.failedReason);
    return record.result === '' ? null : (JSON.parse(record.result) as unknown);
  }

  retry(): Promise<void> {
    this.#parts.retry(this.id);
    return Promise.resolve();
  }

  /** @throws Error, in BullMQ's words, if a worker has it in hand */
  async remove(_options?: object): Promise<void> {
    if (this.#parts.remove(this.id)) return;
    throw new Error(`Job ${this.id} could not be removed because it is locked by another worker`);
  }

  toJSON(): object {
    const { id, name, data, opts, timestamp, attemptsMade, returnvalue, failedReason } = this;
    return { id, name, data, opts, timestamp, attemptsMade, returnvalue, failedReason };
  }
}

/** As a queue of Toril tells it: who waits for its turn waits, though BullMQ keeps it among the delayed ones. */
export function queueState(record: JobRecord): BullState {
  const { job, delayedFor, options } = record;
  if (job.state !== 'delayed' || delayedFor !== 'turn') return bullState(record);
  return (options.priority ?? 0) > 0 ? 'prioritized' : 'waiting';
}

/** As BullMQ itself has it. */
export function bullState({ job, isPrioritized }: JobRecord): BullState {
  if (job.state !== 'waiting') return job.state;
  return isPrioritized ? 'prioritized' : 'waiting';
}
