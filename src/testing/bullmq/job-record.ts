/** What the played BullMQ knows of a job, and what it tells of it. */
import type { Timer } from '../../base/clock.ts';
import type { Delivery } from '../../jobs/deliveries.ts';
import type { MemoryJob } from '../../jobs/memory/memory-job.ts';
import type { BedJobOptions } from './job-options.ts';

/** A job as it is handed to a worker. */
export interface PlayedDelivery extends Delivery {
  /** The token of its lock: the worker's name for the slot that it came into. */
  readonly lock: string;
  /** Its name, which no other delivery of the queue has: BullMQ's `processedOn`. */
  readonly delivery: number;
}

/** How BullMQ answers a worker about a job: its lock is gone, or somebody else's by now. */
export type Answer = 'done' | 'missing lock';

/** Why a job is delayed: it was enqueued so, it failed and is tried again, or it gave its slot back. */
export type DelayReason = 'delay' | 'backoff' | 'turn';

/** What is known of a job besides MemoryJob. */
export interface JobRecord {
  readonly job: MemoryJob;
  readonly key: string;
  /** All its keys, of which `key` is the first, if it has several. */
  readonly keys: readonly string[] | undefined;
  readonly options: BedJobOptions;
  /** How many jobs have borne its id, this one included. */
  readonly generation: number;
  /** Milliseconds since 1970 at which it was enqueued. */
  readonly timestamp: number;
  /** BullMQ has no record of it any more: its id may be used again. */
  isRemoved: boolean;
  /** It waits among those with a priority. */
  isPrioritized: boolean;
  deliveries: number;
  /** The name of the last one. */
  delivery?: number;
  delayedFor: DelayReason | undefined;
  /** Its lane may go on since it was delivered. */
  isWoken?: boolean;
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
  /** All its keys, of which `key` is the first, if it has several. */
  readonly keys?: readonly string[];
  readonly options: BedJobOptions;
  /** False: it enters its lane when it is delivered, as a plain producer's job does, or a delayed one. Default: true. */
  readonly enters?: boolean;
}

/** Told of what happens to jobs, right after it has happened. */
export interface JobListener {
  added?(record: JobRecord, entered: boolean): void;
  delivered?(record: JobRecord, lock: string): void;
  /** A worker says what became of a delivery, which may be its own no more. */
  heard?(jobId: string, lock: string): void;
  finished?(record: JobRecord, state: 'completed' | 'failed'): void;
  /** An attempt failed that is not the last one. */
  retried?(record: JobRecord): void;
  stalled?(record: JobRecord): void;
  /** Nobody will deliver it any more. */
  removed?(record: JobRecord): void;
  /** An operator has it tried again. */
  reprocessed?(record: JobRecord): void;
}

export interface JobQueueSettings {
  /** Milliseconds for which a lock holds. */
  readonly lockMs: number;
  /** Of jobs that do not say so themselves. */
  readonly removeOnComplete?: BedJobOptions['removeOnComplete'];
  readonly removeOnFail?: BedJobOptions['removeOnFail'];
  /** Calls back at that time (milliseconds since 1970). Without it, due jobs wait until somebody asks for a job. */
  readonly atWallMs?: (dueMs: number, callback: () => void) => Timer;
}
