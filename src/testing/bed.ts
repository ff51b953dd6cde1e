/**
 * A queue, its workers, Redis and memcached in memory, in virtual time: the real gate with everything
 * below it on in-memory engines, so that updates can be tested in milliseconds. Nothing runs until it
 * is told to, and the same seed gives the same run.
 */
import { hash32, type Random, seededFraction } from '../base/random.ts';
import { Cells, type CellState, stateOf } from '../cells/cells.ts';
import { lockCodec } from '../cells/lock-codec.ts';
import { TorilError } from '../errors.ts';
import { checkKey } from '../key.ts';
import { keyOf, throughJson, validated } from '../jobs/job-data.ts';
import { LaneHandle, type LaneReport } from '../jobs/lane-handle.ts';
import { MemoryLanes } from '../jobs/memory-lanes.ts';
import type { AnyUpdate, InputOf } from '../jobs/update.ts';
import { UpdateRegistry } from '../jobs/update-registry.ts';
import { createLocks, type Locks } from '../lock/with-lease.ts';
import { cellName } from '../memcached/item-names.ts';
import { MemoryServer } from '../memcached/memory-server.ts';
import { RendezvousServers } from '../memcached/rendezvous.ts';
import { BedFaults } from './bed-faults.ts';
import { BedJobs } from './bed-jobs.ts';
import { type BedSettings, bedSettings, type TestBedOptions } from './bed-options.ts';
import { BedStore, type BedStoreOptions } from './bed-store.ts';
import { Crew } from './crew.ts';
import { Driver } from './driver.ts';
import { type BedJobOptions, checkJobOptions } from './job-options.ts';
import { JobQueue, type NewJob } from './job-queue.ts';
import { Journal } from './journal.ts';
import { laneReport, operatorsQueue } from './operator.ts';
import { OutsideWork } from './real-time.ts';
import { explainStuck } from './stuck.ts';
import { TestWorker } from './test-worker.ts';
import { Tripwires } from './tripwires.ts';
import { staged, UpdateFaults } from './update-faults.ts';
import { type BedEvent, idOf, type JobHandle, type JobRef, type JobView, viewOf } from './views.ts';
import { VirtualClock } from './virtual-clock.ts';
import { WorkerClock } from './worker-clock.ts';

/** One job of a bulk. */
export interface BedEnqueue<U extends AnyUpdate = AnyUpdate> {
  readonly update: U;
  readonly data: InputOf<U>;
  readonly options?: BedJobOptions;
}

/** Longer than anything that resolves by itself takes; virtual milliseconds. */
const QUIET_MS_MIN = 120_000;

export class TestBed {
  /** What the gates of all workers reported, in order. */
  readonly events: readonly BedEvent[];
  readonly fault: BedFaults;
  /** Reading cells as a web tier does it; sees outages. */
  readonly cells: Cells;
  /** The lock without a queue. Whoever has to wait for a lease waits in virtual time. */
  readonly locks: Locks;
  /** What assertions read. */
  readonly journal: Journal = new Journal();
  readonly #settings: BedSettings;
  readonly #registry: UpdateRegistry;
  readonly #clock: VirtualClock;
  readonly #outside: OutsideWork;
  readonly #jobs: BedJobs;
  readonly #store: BedStore;
  readonly #queue: JobQueue;
  readonly #crew: Crew;
  readonly #driver: Driver;
  readonly #lanes: MemoryLanes;
  /** Of `cells` and `locks`. */
  readonly #visitor: MemoryServer;
  readonly #events: BedEvent[] = [];
  readonly #updateFaults: UpdateFaults = new UpdateFaults();
  readonly #tripwires: Tripwires = new Tripwires();
  #isMemcachedDown = false;

  /**
   * @param storeOf makes the memcached: for tests that take a guard away
   * @throws TorilError INVALID_OPTIONS, DUPLICATE_UPDATE
   */
  constructor(
    options: TestBedOptions,
    storeOf: (options: BedStoreOptions) => BedStore = (store) => new BedStore(store),
  ) {
    const settings = bedSettings(options);
    const { itemSizeMax, gate, lockMs, stalledCheckMs } = settings;
    this.#settings = settings;
    this.#registry = new UpdateRegistry(settings.updates);
    this.#outside = new OutsideWork(settings.realWaitMs);
    this.#clock = new VirtualClock(settings.startMs, this.#outside);
    this.#jobs = new BedJobs(this.#clock, this.journal);
    this.#store = storeOf({ clock: this.#clock, journal: this.journal, itemSizeMax });
    this.#queue = new JobQueue(this.#jobs, this.#clock, { lockMs, stalledCheckMs });
    this.#crew = this.#makeCrew();
    this.#driver = this.#makeDriver();
    this.events = this.#events;
    this.fault = this.#makeFaults();
    const clock = this.#clock.selfRunning();
    this.#visitor = new MemoryServer({ store: this.#store, clock });
    this.#lanes = new MemoryLanes(this.#jobs, clock);
    const memcached = new RendezvousServers([this.#visitor]);
    this.cells = new Cells(memcached);
    this.locks = createLocks({
      memcached,
      tokens: this.#lanes,
      codec: lockCodec,
      clock,
      random: this.#randomOf('locks'),
      leaseMs: gate.leaseMs,
    });
  }

  // Enqueueing

  /**
   * As `queue.enqueue`; nothing happens to the job until the bed is run.
   * @throws TorilError INVALID_DATA, DATA_NOT_JSON, INVALID_KEY, INVALID_OPTIONS, UNKNOWN_UPDATE, DUPLICATE_UPDATE
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
    if (this.#registry.require(update.name) !== update) {
      throw new TorilError(
        'DUPLICATE_UPDATE',
        `another update named "${update.name}" is registered with this test bed already.`,
      );
    }
    checkJobOptions(options);
    const written = throughJson(update, data);
    const json = JSON.stringify(written);
    const key = keyOf(update, await validated(update, written));
    return { name: update.name, data: json, key, options };
  }

  #add(job: NewJob): JobHandle {
    this.#store.know(job.key);
    const record = this.#queue.add(job);
    return { id: record.job.id, key: record.key };
  }

  // Running

  /**
   * Does what can be done now. Time passes only as far as work in hand needs it (an update that takes
   * its time, workers that take turns), so jobs that are delayed, wait for their next attempt, or
   * for a lease that nobody renews, stay where they are.
   */
  runUntilIdle(): Promise<void> {
    return this.#driver.runUntilIdle();
  }

  /** Virtual time passes: delays, backoffs, leases, expiry. */
  advance(ms: number): Promise<void> {
    return this.#driver.advance(ms);
  }

  /**
   * Lets time pass until every job is completed or failed.
   * @param limitMs virtual milliseconds; default a day
   * @throws Error that names the jobs that are left, and why
   */
  drain({ limitMs }: { readonly limitMs?: number } = {}): Promise<void> {
    return this.#driver.drain(limitMs);
  }

  /** The wall clock; milliseconds since 1970. */
  get now(): number {
    return this.#clock.wallMs();
  }

  // Looking

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
    return stateOf<Value>(key, this.#store.get(cellName(key)));
  }

  /** What waits for the key, and its durable copy: as `queue.lane(key).report()`, with all jobs. */
  lane(key: string): LaneReport {
    checkKey(key);
    return laneReport(key, this.#jobs, this.#queue);
  }

  /** Retries, skips or drops the job that holds the key's lane: as `queue.lane(key)`. */
  operator(key: string): LaneHandle {
    checkKey(key);
    return new LaneHandle(operatorsQueue(this.#queue), this.#lanes, key);
  }

  /** @throws Error if there is no such job */
  job(job: JobRef): JobView {
    const record = this.#queue.record(idOf(job));
    if (record === undefined) throw new Error(`there is no job ${idOf(job)} in the test bed.`);
    return viewOf(record);
  }

  /** All jobs, in the order in which they were enqueued. */
  jobs(): JobView[] {
    return [...this.#queue.records()].map(viewOf);
  }

  /** The ids of the jobs that are in the key's value, in the order in which they were applied. */
  history(key: string): string[] {
    return this.journal.applied(key).map(({ jobId }) => jobId);
  }

  /** The update of this name. @throws TorilError UNKNOWN_UPDATE */
  update(name: string): AnyUpdate {
    return this.#registry.require(name);
  }

  // Its parts

  #makeCrew(): Crew {
    const { workers, concurrency, restartMs, seed } = this.#settings;
    return new Crew({
      workers,
      concurrency,
      restartMs,
      clock: this.#clock,
      queue: this.#queue,
      fraction: seededFraction(`${seed} deliveries`),
      start: (place, life) => this.#startWorker(place, life),
    });
  }

  #makeDriver(): Driver {
    const { gate, lockMs, stalledCheckMs } = this.#settings;
    const parts = {
      jobs: this.#jobs,
      queue: this.#queue,
      crew: this.#crew,
      events: this.#events,
      wallMs: () => this.#clock.wallMs(),
      isMemcachedDown: () => this.#isMemcachedDown,
    };
    return new Driver({
      clock: this.#clock,
      crew: this.#crew,
      queue: this.#queue,
      quietMsMax: Math.max(QUIET_MS_MIN, 4 * gate.leaseMs, 2 * (lockMs + stalledCheckMs)),
      explain: () => explainStuck(parts),
    });
  }

  #makeFaults(): BedFaults {
    return new BedFaults({
      queue: this.#queue,
      store: this.#store,
      crew: this.#crew,
      updates: this.#updateFaults,
      tripwires: this.#tripwires,
      setMemcachedDown: (isDown) => {
        this.#isMemcachedDown = isDown;
        for (const { server, clock } of this.#crew.workers) {
          if (clock.state !== 'dead') server.down(isDown);
        }
        this.#visitor.down(isDown);
      },
    });
  }

  #startWorker(place: number, life: number): TestWorker {
    const { updates, gate, queueName } = this.#settings;
    const clock = new WorkerClock(this.#clock);
    const server = new MemoryServer({ store: this.#store, clock });
    if (this.#isMemcachedDown) server.down(true);
    const calls = { pending: 0 };
    const staging = { faults: this.#updateFaults, outside: this.#outside, clock, calls };
    const name = `worker ${place}#${life}`;
    return new TestWorker({
      place,
      name,
      clock,
      random: this.#randomOf(name),
      updates: updates.map((update) => staged(update, staging)),
      calls,
      jobs: this.#jobs,
      queue: this.#queue,
      queueName,
      server,
      gate,
      reach: (moment) => this.#tripwires.reach(place, moment),
      report: (event, facts) => {
        const atMs = this.#clock.monotonicMs();
        this.#events.push({ name: event, worker: place, atMs, ...facts } as unknown as BedEvent);
      },
      onFree: () => this.#crew.deliver(),
    });
  }

  /** A generator of its own for everyone who needs one, so that nobody's draws disturb another's. */
  #randomOf(name: string): Random {
    const whose = hex(hash32(name));
    let ids = 0;
    return {
      fraction: seededFraction(`${this.#settings.seed} ${name}`),
      id: () => whose + hex(++ids),
    };
  }
}

/** 8 characters. */
function hex(number: number): string {
  return number.toString(16).padStart(8, '0');
}

/** @throws TorilError INVALID_OPTIONS, DUPLICATE_UPDATE */
export function createTestBed(options: TestBedOptions): TestBed {
  return new TestBed(options);
}
