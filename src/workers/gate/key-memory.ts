import type { TorilError } from '../../errors.ts';
import type { TorilWorkerOptions } from '../../options.ts';
import { SLOW_PACE_MS } from '../waiting/snoozing.ts';
import { WorkerMemory } from './worker-memory.ts';

/** How much a new measurement of the pace counts. */
const PACE_WEIGHT = 0.2;
/** Jobs to take of a key of which nothing is known: taking 500 keeps Redis and this process busy for 3 ms. */
const FIRST_JOBS = 64;
/** Jobs of a slow key that are taken at least, and how many times what its pace allows: it may get faster. */
const SLOW_JOBS_MIN = 16;
const SLOW_JOBS_FACTOR = 2;

/** What is remembered of one job. */
interface JobNote {
  /** It failed when it was tried in somebody else's delivery. */
  readonly isSuspect?: boolean;
  /** It begins a batch: if it fails, no value has to be made again, which was not possible. */
  readonly isFirst?: boolean;
  /** Its new value does not fit into memcached. */
  readonly tooLarge?: TorilError;
}

const NOTHING: JobNote = {};

/** What a process remembers of a key while it works on it. Forgetting it costs time, nothing else. */
export class KeyMemory {
  /** Outlasts what is remembered of the key. */
  readonly worker: WorkerMemory;
  /** Bytes that the server of a connection was seen to refuse, below what it says it can store. */
  #refused: { readonly epoch: number; readonly bytes: number } | undefined;
  /** A value was not what it had been: each is written as JSON as soon as its update has returned it. */
  distrustsValues: boolean = false;
  /** Milliseconds per job, smoothed; 0: not known yet. */
  paceMs: number = 0;
  /** A commit of ours is in the cell, and Redis has not taken it, or nobody knows: somebody must look at it once more. */
  owesVisit: boolean = false;
  /** Made on first use: there is nothing to tell of most jobs. */
  #notes: Map<string, JobNote> | undefined;

  constructor(worker: WorkerMemory = new WorkerMemory()) {
    this.worker = worker;
  }

  of(jobId: string): JobNote {
    return this.#notes?.get(jobId) ?? NOTHING;
  }

  note(jobId: string, note: JobNote): void {
    this.#notes ??= new Map();
    this.#notes.set(jobId, { ...this.of(jobId), ...note });
  }

  /** Of what it was found too large for. */
  forgetTooLarge(jobId: string): void {
    const { tooLarge: _, ...rest } = this.of(jobId);
    this.#notes?.set(jobId, rest);
  }

  noteRefused(epoch: number, bytes: number): void {
    this.#refused = { epoch, bytes };
  }

  /** Bytes that an item may have, as far as this connection has shown: another one may lead to a server started otherwise. */
  itemBytesMax(epoch: number): number {
    return this.#refused?.epoch === epoch ? this.#refused.bytes - 1 : Number.POSITIVE_INFINITY;
  }

  /**
   * Jobs to take for the next batch: of a slow key not many more than fit into its time. With one job
   * per 100 ms, taking 500 each time kept Redis busy for 2 ms, and the jobs of all other keys waiting.
   */
  jobsToTake({
    batchJobsMax,
    batchMs,
  }: Pick<TorilWorkerOptions, 'batchJobsMax' | 'batchMs'>): number {
    if (this.paceMs === 0) return Math.min(batchJobsMax, FIRST_JOBS);
    if (this.paceMs < SLOW_PACE_MS) return batchJobsMax;
    const inTime = Math.ceil((SLOW_JOBS_FACTOR * batchMs) / this.paceMs);
    return Math.min(batchJobsMax, Math.max(SLOW_JOBS_MIN, inTime));
  }

  measured(jobs: number, elapsedMs: number): void {
    const pace = elapsedMs / jobs;
    this.paceMs = this.paceMs === 0 ? pace : this.paceMs + PACE_WEIGHT * (pace - this.paceMs);
  }
}
