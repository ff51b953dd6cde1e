/**
 * A queue, its workers, Redis and memcached in memory, in virtual time: the real gate with everything
 * below it on in-memory engines, so that updates can be tested in milliseconds. Nothing runs until it
 * is told to, and the same seed gives the same run.
 */
import { type Cells, type CellState, foundCell } from '../cells/cells.ts';
import { TorilError } from '../errors.ts';
import { lanesOf, throughJson, validated } from '../updates/job-data.ts';
import { LaneHandle } from '../jobs/lane-handle.ts';
import type { LaneReport } from '../jobs/reports/lane-report.ts';
import type { Recordable } from '../history/record.ts';
import type { Queue } from '../jobs/queue.ts';
import type { AnyUpdate, InputOf } from '../updates/update.ts';
import type { UpdateRegistry } from '../updates/update-registry.ts';
import { checkKey } from '../key.ts';
import type { Locks } from '../lock/strict/with-lease.ts';
import { cellName } from '../memcached/item-names.ts';
import type { Worker } from '../workers/worker.ts';
import type { BedInvariants } from './assertions/bed-invariants.ts';
import type { BedFaults } from './faults/bed-faults.ts';
import { bedSettings, type TestBedOptions } from './bed-options.ts';
import { BedParts, type StoreOf } from './bed-parts.ts';
import { BedQueue, type BedQueueParts } from './app/bed-queue.ts';
import { BedWorker } from './app/bed-worker.ts';
import { playing } from './app/playing.ts';
import { BedRemoving } from './app/bed-removing.ts';
import { BedStore } from './journal/bed-store.ts';
import { type BedJobOptions, checkJobOptions } from './bullmq/job-options.ts';
import type { JobRecord, NewJob } from './bullmq/job-record.ts';
import type { Journal } from './journal/journal.ts';
import { commitsOfBed, laneReport, operatorsQueue } from './operator.ts';
import { type BedEvent, idOf, type JobHandle, type JobRef, type JobView, viewOf } from './views.ts';

/** One job of a bulk. */
export interface BedEnqueue<U extends AnyUpdate = AnyUpdate> {
  readonly update: U;
  readonly data: InputOf<U>;
  readonly options?: BedJobOptions;
}

export class TestBed {
  /** What the gates of all workers reported, in order. */
  readonly events: readonly BedEvent[];
  readonly fault: BedFaults;
  /** Reading cells as a web tier does it; during an outage, await `bed.until(bed.cells.get(key))`. */
  readonly cells: Cells;
  /** The lock without a queue; if somebody else may hold it, await `bed.until(bed.locks.withLease(...))`. */
  readonly locks: Locks;
  /** For `record(bed.queue)`: what was committed, as a recording that `replay` reads. */
  readonly queue: Recordable;
  /** What assertions read. @internal */
  readonly journal: Journal;
  /** @internal */
  readonly registry: UpdateRegistry;
  /** What `expectInvariants` reads. @internal */
  readonly invariants: BedInvariants | undefined;
  /** The option `durableCopies`. */
  readonly keepsCopies: boolean;
  readonly #parts: BedParts;
  #queue: Queue | undefined;
  #worker: Worker | undefined;

  /**
   * @param storeOf makes the memcached: for tests that take a guard away
   * @throws TorilError INVALID_OPTIONS, DUPLICATE_UPDATE
   */
  constructor(options: TestBedOptions, storeOf: StoreOf = (store) => new BedStore(store)) {
    const parts = new BedParts(bedSettings(options), storeOf);
    this.#parts = parts;
    this.events = parts.events;
    this.fault = parts.fault;
    this.cells = parts.cells;
    this.locks = parts.locks;
    this.queue = parts.recordable;
    this.journal = parts.journal;
    this.registry = parts.registry;
    this.invariants = parts.invariants;
    this.keepsCopies = parts.keepsCopies;
  }

  // Enqueueing

  /**
   * As `queue.enqueue`; nothing happens to the job until the bed is run.
   * @throws TorilError INVALID_DATA, DATA_NOT_JSON, INVALID_KEY, INVALID_JOB_ID, PARENT_MISSING, UNKNOWN_UPDATE,
   *   DUPLICATE_UPDATE; Error for options that BullMQ refuses
   */
  async enqueue<U extends AnyUpdate>(
    update: U,
    data: InputOf<U>,
    options: BedJobOptions = {},
  ): Promise<JobHandle> {
    return this.#add(await this.#prepare({ update, data, options }));
  }

  /** As `queue.enqueueBulk`: nothing is added if one of them is refused. Throws like `enqueue`. */
  async enqueueBulk<U extends AnyUpdate>(jobs: readonly BedEnqueue<U>[]): Promise<JobHandle[]> {
    const prepared = await Promise.all(jobs.map((job) => this.#prepare(job)));
    return prepared.map((job) => this.#add(job));
  }

  async #prepare({ update, data, options = {} }: BedEnqueue): Promise<NewJob> {
    const known = this.#known(update.name);
    if (known !== update) {
      throw new TorilError(
        'DUPLICATE_UPDATE',
        `another update named "${update.name}" is registered with this queue already.`,
      );
    }
    const written = throughJson(update, data);
    const json = JSON.stringify(written);
    checkJobOptions(update.name, json, options);
    const lanes = lanesOf(update, await validated(update, written));
    if (typeof lanes === 'string') return { name: update.name, data: json, key: lanes, options };
    return { name: update.name, data: json, key: lanes[0] as string, keys: lanes, options };
  }

  /** In the queue's words. */
  #known(name: string): AnyUpdate {
    if (this.registry.names.includes(name)) return this.registry.require(name);
    const { qualifiedName } = this.queue;
    throw new TorilError(
      'UNKNOWN_UPDATE',
      `no update named "${name}" is registered with the queue "${qualifiedName.slice(qualifiedName.indexOf(':') + 1)}" (known: ${this.registry.names.join(', ')}). Pass it in "updates".`,
    );
  }

  #add(job: NewJob): JobHandle {
    const record = this.#addRecord(job);
    return { id: record.job.id, key: record.key };
  }

  #addRecord(job: NewJob): JobRecord {
    for (const key of job.keys ?? [job.key]) this.#parts.store.know(key);
    return this.#parts.queue.add(job);
  }

  // As the application's own

  /**
   * The bed as a Queue, for code that enqueues on one: `enqueue`, `enqueueBulk`, `add`, `addBulk`, `getJob`, `getJobs`
   * and its like, `getJobCounts`, `lane`, `snapshot`, `history`, and events `waiting`. Whatever else is called throws
   * NOT_ON_A_TEST_BED.
   */
  asQueue(): Queue {
    this.#queue ??= playing('Queue', new BedQueue(this.#queueParts())) as unknown as Queue;
    return this.#queue;
  }

  /**
   * All workers of the bed as one Worker, for code that listens to it: `completed`, `failed`, the events of the gate,
   * `counts`, `pause`, `resume`, `close`. Whatever else is called throws NOT_ON_A_TEST_BED.
   */
  asWorker(): Worker {
    if (this.#worker !== undefined) return this.#worker;
    const { concurrency, crew, reporters } = this.#parts;
    const worker = new BedWorker({
      ...this.#queueParts(),
      concurrency,
      setResting: (isResting) => void (crew.isResting = isResting),
    });
    reporters.add((type, facts) => worker.tell(type, facts));
    this.#worker = playing('Worker', worker) as unknown as Worker;
    return this.#worker;
  }

  #queueParts(): BedQueueParts {
    const { queue, jobs: kept, recordable, clock } = this.#parts;
    const leaveLane = (key: string, jobId: string): string => kept.leaveIfGone(key, jobId);
    return {
      queue,
      removing: new BedRemoving({ queue, leaveLane, wallMs: () => clock.wallMs() }),
      queueName: recordable.qualifiedName.slice(recordable.qualifiedName.indexOf(':') + 1),
      qualifiedName: recordable.qualifiedName,
      history: recordable.history,
      lane: (key) => this.operator(key),
      copies: { snapshot: async (keys) => kept.joint.snapshot(keys) },
      add: async (jobs) => {
        const prepared = await Promise.all(
          jobs.map(({ name, update = this.#known(name), data, options }) =>
            this.#prepare({ update, data, options }),
          ),
        );
        return prepared.map((job) => this.#addRecord(job));
      },
    };
  }

  // Running

  /**
   * Does what can be done now. Time passes only as far as work in hand needs it (an update that takes
   * its time, workers that take turns), so jobs that are delayed, wait for their next attempt, or
   * for a lease that nobody renews, stay where they are.
   */
  runUntilIdle(): Promise<void> {
    return this.#parts.driver.runUntilIdle();
  }

  /** Virtual time passes: delays, backoffs, leases, expiry. */
  advance(ms: number): Promise<void> {
    return this.#parts.driver.advance(ms);
  }

  /**
   * Lets time pass until every job is completed or failed.
   * @param limitMs virtual milliseconds; default a day
   * @throws Error that names the jobs that are left, and why
   */
  drain({ limitMs }: { readonly limitMs?: number } = {}): Promise<void> {
    return this.#parts.driver.drain(limitMs);
  }

  /**
   * Lets time pass until the promise settles: for code that waits in virtual time, as a reader does
   * while memcached is down, or whoever wants a lease that somebody else holds.
   * @param limitMs virtual milliseconds; default a day
   */
  until<T>(promise: Promise<T>, { limitMs }: { readonly limitMs?: number } = {}): Promise<T> {
    return this.#parts.driver.until(promise, limitMs);
  }

  /** The wall clock; milliseconds since 1970. */
  get now(): number {
    return this.#parts.clock.wallMs();
  }

  // Looking

  /** How many worker processes there are, dead ones included. */
  get workers(): number {
    return this.#parts.crew.workers.length;
  }

  /**
   * What a reader of memcached sees under the key; undefined: nothing.
   * @throws TorilError INVALID_KEY, FOREIGN_VALUE, ENVELOPE_DAMAGED
   */
  value<Value = unknown>(key: string): Value | undefined {
    return this.cell<Value>(key)?.value;
  }

  /** The same with its token and watermark. Throws like `value`. */
  cell<Value = unknown>(key: string): CellState<Value> | undefined {
    checkKey(key);
    const found = foundCell(key, this.#parts.store.get(cellName(key)));
    return found?.state as CellState<Value> | undefined;
  }

  /** What waits for the key, and its durable copy: as `queue.lane(key).report()`, with all jobs. */
  lane(key: string): LaneReport {
    checkKey(key);
    return laneReport(key, this.#parts);
  }

  /** Retries, skips or drops the job that holds the key's lane: as `queue.lane(key)`. */
  operator(key: string): LaneHandle {
    checkKey(key);
    const { queue, lanes, views } = this.#parts;
    return new LaneHandle(operatorsQueue(queue), lanes, views, commitsOfBed(this.#parts), key);
  }

  /** @throws Error if there is no such job */
  job(job: JobRef): JobView {
    const record = this.#parts.queue.record(idOf(job));
    const isReplaced = record?.isRemoved === true && record.job.finishedOn === undefined;
    if (record === undefined || isReplaced)
      throw new Error(`there is no job ${idOf(job)} in the test bed.`);
    return viewOf(record);
  }

  /** All jobs, in the order in which they were enqueued. */
  jobs(): JobView[] {
    return [...this.#parts.queue.records()].map(viewOf);
  }

  /** The ids of the jobs that are in the key's value, in the order in which they were applied. */
  history(key: string): string[] {
    return this.journal.applied(key).map(({ jobId }) => jobId);
  }
}

/** @throws TorilError INVALID_OPTIONS, DUPLICATE_UPDATE */
export function createTestBed(options: TestBedOptions): TestBed {
  return new TestBed(options);
}
