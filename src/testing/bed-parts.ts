/** What a test bed is made of, put together. The composition root of toril/testing. */
import { hash32, type Random, seededFraction } from '../base/random.ts';
import { Cells } from '../cells/cells.ts';
import { lockCodec } from '../cells/lock-codec.ts';
import { MemoryLanes } from '../jobs/memory-lanes.ts';
import type { Recordable } from '../history/record.ts';
import type { AnyUpdate } from '../jobs/update.ts';
import { UpdateRegistry } from '../jobs/update-registry.ts';
import { createLocks, type Locks } from '../lock/with-lease.ts';
import { MemoryServer } from '../memcached/memory-server.ts';
import { RendezvousServers } from '../memcached/rendezvous.ts';
import { BedFaults } from './bed-faults.ts';
import { BedJobs } from './bed-jobs.ts';
import type { BedSettings } from './bed-options.ts';
import type { BedStore, BedStoreOptions } from './bed-store.ts';
import { Crew } from './crew.ts';
import { Driver } from './driver.ts';
import { JobQueue } from './job-queue.ts';
import { Journal } from './journal.ts';
import { OutsideWork } from './real-time.ts';
import { explainStuck } from './stuck.ts';
import { TestWorker } from './test-worker.ts';
import { Tripwires } from './tripwires.ts';
import { staged, UpdateFaults } from './update-faults.ts';
import type { BedEvent } from './views.ts';
import { VirtualClock } from './virtual-clock.ts';
import { WorkerClock } from './worker-clock.ts';

export type StoreOf = (options: BedStoreOptions) => BedStore;

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
  /** Of those who are not driven: operators, `cells` and `locks`. */
  readonly lanes: MemoryLanes;
  readonly recordable: Recordable;
  readonly cells: Cells;
  readonly locks: Locks;
  readonly #settings: BedSettings;
  readonly #outside: OutsideWork;
  readonly #visitor: MemoryServer;
  readonly #updateFaults: UpdateFaults = new UpdateFaults();
  readonly #tripwires: Tripwires = new Tripwires();
  #isMemcachedDown = false;

  /** @throws TorilError DUPLICATE_UPDATE */
  constructor(settings: BedSettings, storeOf: StoreOf) {
    const { itemSizeMax, gate, lockMs, stalledCheckMs } = settings;
    const { journal } = this;
    this.#settings = settings;
    this.registry = new UpdateRegistry(settings.updates);
    this.#outside = new OutsideWork(settings.realWaitMs);
    this.clock = new VirtualClock(settings.startMs, this.#outside);
    this.jobs = new BedJobs(this.clock, journal);
    this.store = storeOf({ clock: this.clock, journal, itemSizeMax });
    this.recordable = { qualifiedName: settings.queueName, history: this.jobs.history };
    this.queue = new JobQueue(this.jobs, this.clock, { lockMs, stalledCheckMs });
    this.crew = this.#makeCrew();
    this.driver = this.#makeDriver();
    this.fault = this.#makeFaults();
    const clock = this.clock.selfRunning();
    this.#visitor = new MemoryServer({ store: this.store, clock });
    this.lanes = new MemoryLanes(this.jobs, clock);
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
    const { workers, concurrency, restartMs, seed } = this.#settings;
    return new Crew({
      workers,
      concurrency,
      restartMs,
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
      quietMsMax: 4 * Math.max(gate.leaseMs, gate.parkMsMax, lockMs + stalledCheckMs),
      explain: () => explainStuck(parts),
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
    const { updates, gate, concurrency, queueName } = this.#settings;
    const clock = new WorkerClock(this.clock);
    const server = new MemoryServer({ store: this.store, clock });
    if (this.#isMemcachedDown) server.down(true);
    const calls = { pending: 0 };
    const crash = (): void => this.crew.crash(place);
    const faults = this.#updateFaults;
    const staging = { faults, outside: this.#outside, clock, calls, crash };
    const name = `worker ${place}#${life}`;
    return new TestWorker({
      place,
      name,
      clock,
      random: this.#randomOf(name),
      updates: updates.map(({ name }) => staged(this.registry.find(name) as AnyUpdate, staging)),
      calls,
      jobs: this.jobs,
      queue: this.queue,
      queueName,
      server,
      gate,
      concurrency,
      reach: (moment) => this.#tripwires.reach(place, moment),
      report: (type, facts) => {
        const atMs = this.clock.monotonicMs();
        this.events.push({ type, worker: place, atMs, ...facts } as unknown as BedEvent);
      },
      onFree: () => this.crew.deliver(),
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
