/**
 * What a worker's slots ask of Redis: to complete many jobs and fetch as many, and to fetch jobs for several free slots. Two
 * engines: the scripts (redis-slot-calls.ts), and a played one (test/simulation/played-slots.ts). `Fields` is what an engine
 * tells of a job that it has fetched.
 */
import type { Completable } from '../../lanes.ts';

export interface ToComplete extends Completable {
  /** The name of the delivery that ends: no later one of the job, or of its id, must be taken for it; undefined: not told. */
  readonly delivery?: number | undefined;
  /** JSON. */
  readonly result: string;
  readonly fetchNext: boolean;
}

/** `slow`: nothing was done, BullMQ's own script must; `fetch`: completed, but BullMQ's own must fetch. */
export type Completed<Fields = string[]> = 'slow' | 'fetch' | NextJob<Fields>;

/** Undefined: none was fetched. Else as BullMQ's script answers: fields and values, id; rate limit, due (missing: 0). */
export type NextJob<Fields = string[]> =
  | undefined
  | readonly [Fields | 0, string | 0, number?, number?];

export interface Answers<Fields = string[]> {
  /** Redis's time in milliseconds since 1970. */
  readonly nowMs: number;
  /** One per job or slot; fewer if nothing was fetched for the last slots. */
  readonly answers: readonly Completed<Fields>[];
}

export interface SlotCalls<Fields = string[]> {
  /** Jobs that are not ordinary are left untouched (`slow`), as all are while the queue is paused or limited. */
  finish(jobs: readonly ToComplete[]): Promise<Answers<Fields>>;
  /** One token per slot. Of a short wait list no more than half is taken. */
  fill(tokens: readonly string[]): Promise<Answers<Fields>>;
}
