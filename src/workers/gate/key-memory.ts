import type { TorilError } from '../../errors.ts';
import { Pace } from './pace.ts';
import { WorkerMemory } from './worker-memory.ts';

/** What is remembered of one job. */
interface JobNote {
  /** It failed in an attempt that was over already: it was looked at again. */
  readonly isOutdated?: boolean;
  /** It begins a batch: if it fails, no value has to be made again, which was not possible. */
  readonly isFirst?: boolean;
  /** Its new value does not fit into memcached. */
  readonly tooLarge?: TorilError;
}

const NOTHING: JobNote = {};

/** What a process remembers of a key while it works on it. Forgetting it costs time, nothing else. */
export class KeyMemory {
  readonly pace: Pace = new Pace();
  /** Outlasts what is remembered of the key. */
  readonly worker: WorkerMemory;
  /** Bytes that the server of a connection was seen to refuse, below what it says it can store. */
  #refused: { readonly epoch: number; readonly bytes: number } | undefined;
  /** A value was not what it had been: each is written as JSON as soon as its update has returned it. */
  distrustsValues: boolean = false;
  /** Our commit is in the cell, and Redis has refused it or its answer is unknown: the key must be looked at once more. */
  owesVisit: boolean = false;
  /** Redis has a commit that may never have come into the cell: if that is missing, the copy's value is written. */
  owesCell: boolean = false;
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
}
