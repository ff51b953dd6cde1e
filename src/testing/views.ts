/** What a test bed shows of itself. Plain data, as of the moment it was asked for. */
import type { MemoryJobState } from '../jobs/memory/memory-job.ts';
import type { KeyEvents } from '../workers/worker-events.ts';
import type { DelayReason, JobRecord } from './bullmq/job-record.ts';

/** A job that was enqueued. */
export interface JobHandle {
  readonly id: string;
  /** Whose lane it enters. */
  readonly key: string;
}

/** A job's id, or whatever has one. */
export type JobRef = string | { readonly id: string };

export interface JobView extends JobHandle {
  /** How many jobs have borne its id, this one included: it may be used again once its job is removed. */
  readonly generation: number;
  /** The update's name. */
  readonly name: string;
  readonly data: unknown;
  /** As BullMQ has it. */
  readonly state: MemoryJobState;
  /** Why it is delayed: enqueued so, to be tried again, or until its turn. */
  readonly delayedFor: DelayReason | undefined;
  /** What the update's `result` returned. */
  readonly result: unknown;
  /** What it failed with, last or for good. */
  readonly error: Error | undefined;
  readonly attemptsMade: number;
  /** How often BullMQ has handed it to a worker. */
  readonly deliveries: number;
  /** How often its worker died or froze with it. */
  readonly stalls: number;
  /** Rows that its update logged (`context.log`). */
  readonly logs: readonly string[];
}

/** What a worker reported of a key, by whom and when. */
export type BedEvent = {
  [Type in keyof KeyEvents]: {
    readonly type: Type;
    /** The worker's place, from 0. */
    readonly worker: number;
    /** Virtual milliseconds since the bed was made. */
    readonly atMs: number;
  } & KeyEvents[Type];
}[keyof KeyEvents];

export function idOf(job: JobRef): string {
  return typeof job === 'string' ? job : job.id;
}

export function viewOf({ job, key, generation, ...record }: JobRecord): JobView {
  const { delayedFor, error, result, deliveries, logs } = record;
  const { id, name, data, state, attemptsMade, stalls } = job;
  return {
    id,
    key,
    generation,
    name,
    data: JSON.parse(data),
    state,
    delayedFor: state === 'delayed' ? delayedFor : undefined,
    result: result === '' ? undefined : JSON.parse(result),
    error,
    attemptsMade,
    deliveries,
    stalls,
    logs: [...logs],
  };
}
