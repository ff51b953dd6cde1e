/** What a bed's BullMQ knows of a job, and what it tells of it. */
import type { MemoryJob } from '../../jobs/memory/memory-jobs.ts';
import type { JobLockSettings } from './job-locks.ts';
import type { BackoffStrategy, BedJobOptions } from './job-options.ts';

/** A job as it is handed to a worker. */
export interface Delivery {
  readonly jobId: string;
  readonly lock: string;
  readonly name: string;
  /** JSON. */
  readonly data: string;
  readonly attemptsMade: number;
  readonly attempts: number;
  /** How often it has been delivered, this time included. */
  readonly deliveries: number;
  readonly stalls: number;
  /** What the job's hash says of how it left its lane. */
  readonly outcome: string;
}

/** Why a job is delayed: it was enqueued so, it failed and is tried again, or it gave its slot back. */
export type DelayReason = 'delay' | 'backoff' | 'turn';

/** What the bed knows of a job besides MemoryJob. */
export interface JobRecord {
  readonly job: MemoryJob;
  readonly key: string;
  readonly options: BedJobOptions;
  /** How many jobs have borne its id, this one included. */
  readonly generation: number;
  /** Milliseconds since 1970 at which it was enqueued. */
  readonly timestamp: number;
  /** BullMQ has no record of it any more: its id may be used again. */
  isRemoved: boolean;
  deliveries: number;
  delayedFor: DelayReason | undefined;
  /** The last error that it was charged for, or failed with. */
  error: Error | undefined;
  /** JSON of the result; empty for none. */
  result: string;
  /** Rows that its updates logged. */
  readonly logs: string[];
  /** The outcome with which it was reported, for one more delivery. */
  lastOutcome: string;
}

export interface NewJob {
  readonly name: string;
  /** JSON. */
  readonly data: string;
  readonly key: string;
  readonly options: BedJobOptions;
}

/** Told of what BullMQ's workers report. */
export interface JobListener {
  finished(record: JobRecord, state: 'completed' | 'failed'): void;
  /** An attempt failed that is not the last one. */
  retried(record: JobRecord): void;
}

export interface JobQueueSettings extends JobLockSettings {
  /** Of jobs that do not say so themselves. */
  readonly removeOnComplete?: BedJobOptions['removeOnComplete'];
  readonly removeOnFail?: BedJobOptions['removeOnFail'];
  readonly backoffStrategy?: BackoffStrategy | undefined;
  /** Milliseconds before the next attempt where the strategy says none. */
  readonly blockedMs: number;
  /** A number in [0, 1). */
  readonly fraction: () => number;
}
