/** One key (several, where an update is a transaction), one memcached in memory, virtual time, and as many workers and Redis as a test wants; no BullMQ. */
import type { Clock } from '../../src/base/clock.ts';
import { seededFraction } from '../../src/base/random.ts';
import { decodeItem, type Envelope } from '../../src/cells/envelope.ts';
import { MemoryJobs } from '../../src/jobs/memory/memory-jobs.ts';
import { MemoryLanes } from '../../src/jobs/memory/memory-lanes.ts';
import { type AnyUpdate, defineUpdate } from '../../src/updates/update.ts';
import { UpdateRegistry } from '../../src/updates/update-registry.ts';
import { MemcachedLeaseLocks } from '../../src/lock/lease-locks.ts';
import { cellName } from '../../src/memcached/item-names.ts';
import { MemoryServer } from '../../src/memcached/memory/memory-server.ts';
import { MemoryStore } from '../../src/memcached/memory/memory-store.ts';
import { RendezvousServers } from '../../src/memcached/rendezvous.ts';
import { WORKER_DEFAULTS, type TorilWorkerOptions } from '../../src/options.ts';
import type { Arrival, Settlement } from '../../src/workers/deliveries/arrival.ts';
import { Gate } from '../../src/workers/gate/gate.ts';
import type { WorkerEventName, WorkerEvents } from '../../src/workers/worker-events.ts';
import { VirtualClock } from './virtual-clock.ts';

export const KEY = 'k';
const QUEUE = 'bull:q';
const REQUEST_DEADLINE_MS = 300;

/** Appends `who`; the value is the list of those who came. */
const note: AnyUpdate = defineUpdate({
  name: 'note',
  key: () => KEY,
  initial: (): string[] => [],
  apply: (value: string[], { who }: { who: string }) => [...value, who],
});

export class GateWorld {
  readonly clock = new VirtualClock();
  readonly store = new MemoryStore({ clock: this.clock, itemSizeMax: 10_000 });
  #workers = 0;

  /** @param aheadMs its clock is ahead of the others', or behind */
  redis(dataSet = 'data set', aheadMs = 0): MemoryJobs {
    const { clock } = this;
    const ahead: Clock = {
      monotonicMs: () => clock.monotonicMs(),
      wallMs: () => clock.wallMs() + aheadMs,
      after: (delayMs, callback) => clock.after(delayMs, callback),
      soon: (callback) => clock.soon(callback),
    };
    return new MemoryJobs(ahead, dataSet);
  }

  worker(jobs: MemoryJobs, options: GateWorkerOptions = {}): GateWorker {
    return new GateWorker(this, jobs, `w${++this.#workers}`, options);
  }

  /** What a reader finds; undefined: nothing. */
  cell(key = KEY): Envelope | undefined {
    const item = this.store.peek(cellName(key));
    const content = item && decodeItem(item);
    return content?.kind === 'envelope' ? content.envelope : undefined;
  }

  evict(key = KEY): void {
    this.store.evict(cellName(key));
  }
}

export interface GateWorkerOptions extends Partial<TorilWorkerOptions> {
  readonly update?: AnyUpdate;
  /** Something between the gate and its lanes. */
  readonly wrap?: (lanes: MemoryLanes) => MemoryLanes;
}

type Told = {
  [Name in WorkerEventName]: { readonly name: Name; readonly event: WorkerEvents[Name] };
};

export class GateWorker {
  readonly gate: Gate;
  readonly told: Told[WorkerEventName][] = [];
  /** Jobs that BullMQ was asked to deliver next. */
  readonly woken: string[] = [];
  readonly server: MemoryServer;
  readonly #world: GateWorld;
  readonly #jobs: MemoryJobs;

  constructor(world: GateWorld, jobs: MemoryJobs, name: string, given: GateWorkerOptions) {
    const { update = note, wrap = (lanes) => lanes, ...options } = given;
    const { clock, store } = world;
    this.#world = world;
    this.#jobs = jobs;
    this.server = new MemoryServer({ store, clock, requestDeadlineMs: REQUEST_DEADLINE_MS });
    let ids = 0;
    const random = { fraction: seededFraction(name), id: () => `${name}-${++ids}` };
    const all = { ...WORKER_DEFAULTS, ...options };
    this.gate = new Gate({
      queue: QUEUE,
      servers: new RendezvousServers([this.server]),
      locks: new MemcachedLeaseLocks({ clock, random, leaseMs: all.leaseMs }),
      lanes: wrap(new MemoryLanes(jobs, clock)),
      registry: new UpdateRegistry([update]),
      clock,
      random,
      options: all,
      report: (event, facts) => void this.told.push({ name: event, event: facts } as never),
      rateLimited: false,
      resting: () => false,
      slots: () => 8,
      snoozeAhead: () => Promise.resolve(),
      deliverNext: (jobId) => void this.woken.push(jobId),
    });
  }

  /** Of the events told: their content. */
  events<Name extends WorkerEventName>(name: Name): WorkerEvents[Name][] {
    return this.told
      .filter((one): one is Told[Name] => one.name === name)
      .map(({ event }) => event);
  }

  /** Adds a job to the lane, or to several, without delivering it. */
  add(who: string, lane: string | readonly string[] = KEY): string {
    const job = this.#jobs.add({ name: 'note', data: JSON.stringify({ who }), lane });
    return job?.id as string;
  }

  /** Delivers a job once, and says how that ended. */
  deliver(jobId: string, more: Partial<Arrival> = {}): Promise<Settlement> {
    return new Promise((settle) => {
      this.gate.arrive(KEY, {
        jobId,
        arrivedAtMs: this.#world.clock.monotonicMs(),
        deliveries: 1,
        stalls: 0,
        isLastAttempt: () => true,
        settle,
        ...more,
      });
    });
  }

  /** Adds and delivers one, and waits until the gate is at rest. */
  async enqueue(who: string, lane?: readonly string[]): Promise<Settlement> {
    const settlement = await this.#world.clock.until(this.deliver(this.add(who, lane)));
    await this.#world.clock.until(this.gate.atRest());
    return settlement;
  }
}
