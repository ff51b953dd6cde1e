/** What a test bed is made of, put together. The composition root of toril/testing. */
import { hash32, type Random, seededFraction } from '../base/random.ts';
import { Cells } from '../cells/cells.ts';
import { lockCodec } from '../cells/lock-codec.ts';
import { type OnChangedData, verified } from '../updates/calling/determinism.ts';
import { MemoryLaneViews } from '../jobs/memory/memory-lane-views.ts';
import { MemoryLanes } from '../jobs/memory/memory-lanes.ts';
import type { Recordable } from '../history/record.ts';
import type { AnyUpdate } from '../updates/update.ts';
import { UpdateRegistry } from '../updates/update-registry.ts';
import { createLocks, type Locks } from '../lock/strict/with-lease.ts';
import { MemoryServer } from '../memcached/memory/memory-server.ts';
import { RendezvousServers } from '../memcached/rendezvous.ts';
import { BedInvariants } from './assertions/bed-invariants.ts';
import { BedFaults } from './faults/bed-faults.ts';
import { BedJobs } from './journal/bed-jobs.ts';
import type { BedSettings } from './bed-options.ts';
import { plant, startValues } from './bed-start.ts';
import type { BedStore, BedStoreOptions } from './journal/bed-store.ts';
import { Crew } from './workers/crew.ts';
import { Driver } from './driver.ts';
import { JobQueue } from './bullmq/job-queue.ts';
import { Journal } from './journal/journal.ts';
import { OutsideWork } from './time/real-time.ts';
import { Refusals } from './refusals.ts';
import { explainStuck } from './stuck.ts';
import { TestWorker } from './workers/test-worker.ts';
import { Tripwires } from './faults/tripwires.ts';
import { staged, type Staging, UpdateFaults } from './faults/update-faults.ts';
import type { WorkerEventName, EventReporter } from '../workers/worker-events.ts';
import type { BedEvent } from './views.ts';
import { VirtualClock } from './time/virtual-clock.ts';
import { WorkerClock } from './time/worker-clock.ts';

export type StoreOf = (options: BedStoreOptions) => BedStore;

/** Of a kind that only repeats itself while nothing goes on, so many are kept. */
const EVENTS_MAX = 10_000;
const REPEATED: ReadonlySet<WorkerEventName> = new Set(['unavailable', 'jobSnoozed', 'laneHeld']);

export class BedParts {
  readonly registry: UpdateRegistry;
  readonly clock: VirtualClock;
  readonly journal: Journal = new Journal();
  readonly jobs: BedJobs;
  readonly store: BedStore;
  readonly queue: JobQueue;
  readonly crew: Crew;
  readonly driver: Driver;
  readonly fault: BedFaults;
  readonly events: BedEvent[] = [];
  readonly refusals: Refusals = new Refusals();
  /** Told of what gates report, besides `events`. */
  readonly reporters: Set<(type: WorkerEventName, facts: object) => void> = new Set();
  /** Of those who are not driven: operators, `cells` and `locks`. */
  readonly lanes: MemoryLanes;
  readonly views: MemoryLaneViews;
  readonly recordable: Recordable;
  readonly cells: Cells;
  readonly locks: Locks;
  readonly concurrency: number;
  readonly keepsCopies: boolean;
  readonly invariants: BedInvariants | undefined;
  readonly #settings: BedSettings;
  readonly #outside: OutsideWork;
  readonly #backoffFraction: () => number;
  readonly #visitor: MemoryServer;
  readonly #updateFaults: UpdateFaults = new UpdateFaults();
  readonly #tripwires: Tripwires = new Tripwires();
  readonly #told = new Map<WorkerEventName, number>();
  #isMemcachedDown = false;

  /** @throws TorilError DUPLICATE_UPDATE */
  constructor(settings: BedSettings, storeOf: StoreOf) {
    const { itemSizeMax, gate, lockMs } = settings;
    const { journal } = this;
    this.#settings = settings;
    this.concurrency = settings.concurrency;
    this.keepsCopies = gate.durableCopies;
    this.invariants = settings.invariants && new BedInvariants(settings.invariants);
    journal.onCommit = (commit) => this.invariants?.committed(commit);
    this.registry = new UpdateRegistry(settings.updates);
    this.#outside = new OutsideWork(settings.realWaitMs);
    this.clock = new VirtualClock(settings.startMs, this.#outside);
    this.jobs = new BedJobs(this.clock, journal);
    this.store = storeOf({ clock: this.clock, journal, itemSizeMax });
    this.recordable = { qualifiedName: settings.queueName, history: this.jobs.history };
    this.queue = new JobQueue(this.jobs, this.clock, {
      lockMs,
      removeOnComplete: settings.removeOnComplete,
      removeOnFail: settings.removeOnFail,
      atWallMs: (dueMs, callback) => this.clock.after(dueMs - this.clock.wallMs(), callback),
    });
    this.queue.listen({
      added: ({ job, key, keys = [key], generation }, entered) =>
        journal.enqueued(job.id, keys, generation, entered),
      reprocessed: ({ job }) => journal.retried(job.id),
      removed: ({ job }) => journal.removed(job.id),
    });
    this.#backoffFraction = seededFraction(`${settings.seed} backoff`);
    for (const [key, json] of startValues(settings.start, this.registry)) {
      const { durableCopies } = gate;
      const queue = settings.queueName;
      plant(key, json, { jobs: this.jobs, store: this.store, queue, durableCopies });
    }
    this.crew = this.#makeCrew();
    this.driver = this.#makeDriver();
    this.fault = this.#makeFaults();
    const clock = this.clock.selfRunning();
    this.#visitor = new MemoryServer({ store: this.store, clock });
    this.lanes = new MemoryLanes(this.jobs, clock);
    this.views = new MemoryLaneViews(this.jobs, clock);
    const memcached = new RendezvousServers([this.#visitor]);
    this.cells = new Cells(memcached);
    const { leaseMs } = gate;
    const random = this.#randomOf('locks');
    const tokens = {
      drawToken: () =>
        Promise.resolve({ token: this.jobs.drawToken(), dataSet: this.jobs.dataSet() }),
    };
    this.locks = createLocks({ memcached, tokens, codec: lockCodec, clock, random, leaseMs });
  }

  #makeCrew(): Crew {
    const { workers, concurrency, restartMs, lockMs, stalledCheckMs, seed } = this.#settings;
    return new Crew({
      workers,
      concurrency,
      restartMs,
      lockMs,
      stalledCheckMs,
      clock: this.clock,
      queue: this.queue,
      fraction: seededFraction(`${seed} deliveries`),
      start: (place, life) => this.#startWorker(place, life),
    });
  }

  #makeDriver(): Driver {
    const { gate, lockMs, stalledCheckMs } = this.#settings;
    const parts = {
      jobs: this.jobs,
      queue: this.queue,
      crew: this.crew,
      events: this.events,
      wallMs: () => this.clock.wallMs(),
      isMemcachedDown: () => this.#isMemcachedDown,
    };
    return new Driver({
      clock: this.clock,
      crew: this.crew,
      queue: this.queue,
      outageMs: lockMs + stalledCheckMs,
      isMemcachedDown: () => this.#isMemcachedDown,
      quietMsMax: 4 * Math.max(gate.leaseMs, gate.snoozeMsMax, lockMs + stalledCheckMs),
      explain: () => explainStuck(parts),
      news: () => this.invariants?.news,
    });
  }

  #makeFaults(): BedFaults {
    return new BedFaults({
      queue: this.queue,
      store: this.store,
      crew: this.crew,
      updates: this.#updateFaults,
      tripwires: this.#tripwires,
      setMemcachedDown: (isDown) => {
        this.#isMemcachedDown = isDown;
        for (const { server, clock } of this.crew.workers) {
          if (clock.state !== 'dead') server.down(isDown);
        }
        this.#visitor.down(isDown);
      },
    });
  }

  #startWorker(place: number, life: number): TestWorker {
    const { updates, gate, concurrency, queueName, verifies, backoffStrategy } = this.#settings;
    const clock = new WorkerClock(this.clock);
    const server = new MemoryServer({ store: this.store, clock });
    if (this.#isMemcachedDown) server.down(true);
    const calls = { pending: 0 };
    const crash = (): void => this.crew.crash(place);
    const faults = this.#updateFaults;
    const { invariants } = this;
    const returned: Staging['returned'] =
      invariants && ((context, value) => invariants.returned(context, value));
    const staging = { faults, outside: this.#outside, clock, calls, crash, returned };
    const name = `worker ${place}#${life}`;
    const report: EventReporter = (type, facts) => {
      const atMs = this.clock.monotonicMs();
      const told = (this.#told.get(type) ?? 0) + 1;
      this.#told.set(type, told);
      if (told <= EVENTS_MAX || !REPEATED.has(type))
        this.events.push({ type, worker: place, atMs, ...facts } as unknown as BedEvent);
      this.refusals.note(type, facts, atMs);
      for (const reporter of this.reporters) reporter(type, facts);
    };
    return new TestWorker({
      place,
      name,
      clock,
      random: this.#randomOf(name),
      updates: updates.map(({ name: update }) => {
        const known = this.registry.find(update) as AnyUpdate;
        const checked = verifies ? verified(known, changesData(report)) : known;
        return staged(checked, staging);
      }),
      calls,
      jobs: this.jobs,
      queue: this.queue,
      queueName,
      server,
      gate,
      concurrency,
      reach: (moment) => this.#tripwires.reach(place, moment),
      report,
      onFree: () => this.crew.deliver(),
      backoff: { strategy: backoffStrategy, fraction: this.#backoffFraction },
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

function changesData(report: EventReporter): OnChangedData {
  return (name, { key, jobId }) => report('updateChangesData', { key, jobId, name });
}

/** 8 characters. */
function hex(number: number): string {
  return number.toString(16).padStart(8, '0');
}
