/** What may go wrong in a test bed, on command. */
import { cellName, lockName } from '../../memcached/item-names.ts';
import type { MemoryStore } from '../../memcached/memory/memory-store.ts';
import type { Crew } from '../workers/crew.ts';
import type { JobQueue } from '../bullmq/job-queue.ts';
import { type Tripwires, WORKER_MOMENTS, type WorkerMoment } from './tripwires.ts';
import type { UpdateFaults, UpdateOrJob } from './update-faults.ts';
import { idOf, type JobRef } from '../views.ts';
import type { AnyUpdate } from '../../updates/update.ts';

export interface BedFaultParts {
  readonly queue: JobQueue;
  readonly store: MemoryStore;
  readonly crew: Crew;
  readonly updates: UpdateFaults;
  readonly tripwires: Tripwires;
  readonly setMemcachedDown: (isDown: boolean) => void;
}

/** An update, or a job by its id or handle. */
export type FaultTarget = AnyUpdate | JobRef;

export class BedFaults {
  readonly #parts: BedFaultParts;

  constructor(parts: BedFaultParts) {
    this.#parts = parts;
  }

  /**
   * The next attempt of this job, or of the first job of this update that comes along, fails with the
   * error; `times`: so many attempts of that job.
   */
  failNext(target: FaultTarget, error: Error | string, times = 1): void {
    const thrown = typeof error === 'string' ? new Error(error) : error;
    this.#parts.updates.arm(targetOf(target), { error: thrown }, times);
  }

  /** In the same way, an attempt takes so many virtual milliseconds. */
  delayNext(target: FaultTarget, ms: number, times = 1): void {
    this.#parts.updates.arm(targetOf(target), { delayMs: ms }, times);
  }

  /** The next call of this update, or for this job, kills its worker process; `times`: so many calls. */
  crashNext(target: FaultTarget, times = 1): void {
    this.#parts.updates.arm(targetOf(target), { crashes: true }, times);
  }

  /** BullMQ delivers the job once more than it should, whatever its state; one that waits twice at once. */
  duplicate(job: JobRef): void {
    this.#known(job);
    this.#parts.queue.delivered.duplicate(idOf(job));
  }

  /**
   * A worker process dies, as by SIGKILL: now, or when it next reaches that point of a turn. Another
   * one takes its place after `restartMs`. Its jobs are delivered again when BullMQ finds them
   * stalled, its lease is taken over when it has run out.
   * @param worker its place, from 0; default: now the busiest one, else whichever gets there first
   * @param nth how often that point has to be reached, this time included; default 1
   */
  crashWorker(worker?: number, when?: WorkerMoment, nth = 1): void {
    this.#strike('crash', worker, when, nth, (place) => this.#parts.crew.crash(place));
  }

  /**
   * A worker process stands still, as by SIGSTOP, until it is thawed; its clock runs on. Arguments as
   * for `crashWorker`.
   */
  freezeWorker(worker?: number, when?: WorkerMoment, nth = 1): void {
    this.#strike('freeze', worker, when, nth, (place) => this.#parts.crew.freeze(place));
  }

  /** @param worker default: all that are frozen */
  thawWorker(worker?: number): void {
    const { crew } = this.#parts;
    for (const { place } of crew.workers) {
      if (worker === undefined || worker === place) crew.thaw(place);
    }
  }

  /** Memcached drops the key's value, as it may at any moment. True: there was one. */
  evictCell(key: string): boolean {
    return this.#parts.store.evict(cellName(key));
  }

  /** Memcached drops the key's lock. True: there was one. */
  evictLock(key: string): boolean {
    return this.#parts.store.evict(lockName(key));
  }

  /** Memcached forgets everything; its connections stay. */
  flushMemcached(): void {
    this.#parts.store.flushAll();
  }

  /** Memcached forgets everything, all connections end, and its CAS numbers start over. */
  restartMemcached(): void {
    this.#parts.store.restart();
  }

  /** No worker can reach memcached, until `memcachedDown(false)`. */
  memcachedDown(isDown: boolean): void {
    this.#parts.setMemcachedDown(isDown);
  }

  /** Something that is not Toril writes under the key: what `adopt` is for. */
  writeForeign(key: string, value: string | Buffer): void {
    this.#parts.store.put(cellName(key), Buffer.from(value as string));
  }

  /** Faults that wait for their moment still, in words: what never happened has not been tested. */
  get armed(): string[] {
    return [...this.#parts.updates.armed, ...this.#parts.tripwires.armed];
  }

  /** How often workers have come to each moment of a turn. */
  get reached(): Readonly<Record<WorkerMoment, number>> {
    return { ...this.#parts.tripwires.reached };
  }

  /** Takes back whatever has not happened yet, `failNext` and the like with all their times. */
  disarm(): void {
    this.#parts.updates.disarm();
    this.#parts.tripwires.disarm();
  }

  #strike(
    what: string,
    place: number | undefined,
    when: WorkerMoment | undefined,
    nth: number,
    act: (place: number) => void,
  ): void {
    const { crew, tripwires } = this.#parts;
    if (place !== undefined && crew.workers[place] === undefined) {
      throw new RangeError(
        `there is no worker ${place}: the bed has ${crew.workers.length}, from 0.`,
      );
    }
    if (when === undefined) {
      const worker = crew.find(place);
      if (worker !== undefined) act(worker.place);
      return;
    }
    if (!WORKER_MOMENTS.includes(when)) {
      throw new RangeError(`there is no moment "${String(when)}": ${WORKER_MOMENTS.join(', ')}.`);
    }
    if (!Number.isInteger(nth) || nth < 1) {
      throw new RangeError(`nth must be a whole number from 1, not ${String(nth)}.`);
    }
    tripwires.arm({ what, worker: place, moment: when, left: nth, strike: act });
  }

  #known(job: JobRef): void {
    if (this.#parts.queue.record(idOf(job)) === undefined) {
      throw new Error(`there is no job ${idOf(job)} in the test bed.`);
    }
  }
}

function targetOf(target: FaultTarget): UpdateOrJob {
  return typeof target === 'object' && 'apply' in target ? target : idOf(target);
}
