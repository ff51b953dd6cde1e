/** All that a run consists of; what its parts need of one another. */
import type { Lanes } from '../../src/jobs/lanes.ts';
import { JobQueue } from '../../src/testing/bullmq/job-queue.ts';
import type { JobListener } from '../../src/testing/bullmq/job-record.ts';
import { cellName, lockName } from '../../src/memcached/item-names.ts';
import type { MemcachedServers } from '../../src/memcached/servers.ts';
import { Auditor } from './auditor.ts';
import { Dice } from './dice.ts';
import { Network } from './network.ts';
import { IdleHands } from './idle-hands.ts';
import type { BullObserver } from './observer.ts';
import { ObservedJobs } from './observed-jobs.ts';
import { ObservedStore } from './observed-store.ts';
import type { RunOptions } from './options.ts';
import { ProcessClock } from './process-clock.ts';
import { Scheduler } from './scheduler.ts';
import type { Trace } from './trace.ts';
import { isStrict } from './updates.ts';
import { WorkerProcess } from './worker-process.ts';

/** Takes a guard away, to show that the auditor sees it: a run with one must fail. */
export interface Damage {
  readonly store?: (store: ObservedStore) => void;
  readonly servers?: (servers: MemcachedServers) => MemcachedServers;
  readonly lanes?: (lanes: Lanes) => Lanes;
  readonly jobs?: (jobs: ObservedJobs) => void;
  /** Whose time is written into Redis. */
  readonly times?: (worker: ProcessClock, redis: ProcessClock) => ProcessClock;
  /** The name that another data set on the same memcached goes by. */
  readonly otherDataSet?: string;
  /** Where the guard is needed at all. */
  readonly options?: (options: RunOptions) => RunOptions;
}

/** Milliseconds until another process takes the place of one that has ended. */
const RESTART_MS = [0.1, 200] as const;

export class World {
  readonly options: RunOptions;
  readonly scheduler: Scheduler;
  readonly trace: Trace;
  readonly network: Network;
  readonly auditor: Auditor;
  readonly redisClock: ProcessClock;
  readonly jobs: ObservedJobs;
  readonly bull: JobQueue;
  readonly idleHands: IdleHands;
  readonly stores: readonly ObservedStore[];
  readonly keys: readonly string[];
  readonly counts: Record<string, number> = {};
  /** The living ones, each in its place; undefined: it is down. */
  readonly processes: (WorkerProcess | undefined)[] = [];
  /** Redis carries nothing out at the moment. */
  isRefusing = false;
  /** Called at each step of the protocol, with the process that took it. */
  onStep: (process: WorkerProcess) => void = () => {};
  /** Processes that wait for jobs, the one that has waited longest first. */
  readonly #idle = new Set<WorkerProcess>();
  /** Jobs came while nobody waited for them. */
  #marker = false;
  readonly #damage: Damage;
  readonly #kills = new Map<string, number>();
  readonly #dice: Dice;
  readonly #outside: Dice;
  #started = 0;
  /** A rolling deploy is under way: some processes do not know all updates. */
  #someAreOld: boolean;

  constructor(options: RunOptions, scheduler: Scheduler, trace: Trace, damage: Damage) {
    this.options = options;
    this.scheduler = scheduler;
    this.trace = trace;
    this.#damage = damage;
    const { seed } = options;
    this.#dice = new Dice(seed, 'processes');
    this.#outside = new Dice(seed, 'outside');
    this.#someAreOld = options.unknownUpdates;
    this.network = new Network(scheduler, new Dice(seed, 'network'), options.network);
    this.auditor = new Auditor(
      {
        durableCopies: options.gate.durableCopies,
        checkpointEvery: options.gate.checkpointEvery,
        isStrict,
        stallsMax: options.gate.stallsMax,
        leaseMs: options.gate.leaseMs,
        isAlive: (name) => this.processes.some((one) => one?.name === name && one.alive),
        settings: options.settings,
      },
      () => scheduler.nowMs,
    );
    this.keys = Array.from({ length: options.keys }, (_, index) => `k${index}`);
    const still = { rate: 1, latenessMs: 0 };
    const dice = new Dice(seed, 'servers');
    this.redisClock = new ProcessClock(scheduler, dice, still);
    const { drivesTogether } = options;
    this.jobs = new ObservedJobs(this.redisClock, this.auditor, trace, drivesTogether);
    damage.jobs?.(this.jobs);
    this.bull = new JobQueue(this.jobs, this.redisClock, options.bull);
    this.bull.listen(told(this.auditor, trace));
    this.idleHands = new IdleHands(this.bull.places.locks, (what) =>
      this.auditor.violations.push({ promise: 'P6', what, atMs: scheduler.nowMs }),
    );
    this.bull.places.onWaiting = () => this.#mark();
    const keyOf = new Map(this.keys.map((key) => [cellName(key), key]));
    this.stores = Array.from({ length: options.servers }, () => {
      const clock = new ProcessClock(scheduler, dice, still);
      const store = new ObservedStore(clock, options.itemSizeMax, keyOf, this.auditor);
      damage.store?.(store);
      return store;
    });
  }

  count(event: string): void {
    this.counts[event] = (this.counts[event] ?? 0) + 1;
  }

  /** Whether a lethal job kills the process that applies it now. */
  kills(jobId: string, killsMax: number): boolean {
    const kills = this.#kills.get(jobId) ?? 0;
    if (kills >= killsMax) return false;
    this.#kills.set(jobId, kills + 1);
    this.count('killed');
    this.auditor.jobs.killed(jobId);
    return true;
  }

  /** Whether the outside world lets an update down this time. */
  failsByChance(): boolean {
    return this.#outside.chance(0.3);
  }

  startProcess(place: number): void {
    const knows = this.options.kinds.filter(
      () => place === 0 || !this.#someAreOld || this.#dice.chance(0.7),
    );
    const name = `p${place}-${++this.#started}`;
    const dice = new Dice(this.options.seed, name);
    this.trace.note(name, 'starts');
    this.processes[place] = new WorkerProcess(this, name, dice, knows);
  }

  /** The rolling deploy is over. */
  completeUpdates(): void {
    this.#someAreOld = false;
  }

  /** A process has ended; the next one takes its place in a while. */
  lost(process: WorkerProcess): void {
    this.#idle.delete(process);
    const place = this.processes.indexOf(process);
    this.scheduler.at(this.#dice.magnitude(...RESTART_MS), () => {
      if (this.processes[place] === process) this.startProcess(place);
    });
  }

  /** Where the key's items live, and what they are called. */
  itemsOf(key: string): { store: ObservedStore; cell: string; lock: string } {
    const cell = cellName(key);
    const lock = lockName(key);
    const store = this.stores.find((one) => (one.peek(cell) ?? one.peek(lock)) !== undefined);
    return { store: store ?? (this.stores[0] as ObservedStore), cell, lock };
  }

  /** Milliseconds since 1970, by the clock that times in Redis are of. */
  timeFor(worker: ProcessClock): number {
    return (this.#damage.times?.(worker, this.redisClock) ?? this.redisClock).wallMs();
  }

  get otherDataSet(): string {
    return this.#damage.otherDataSet ?? 'other';
  }

  damageServers(servers: MemcachedServers): MemcachedServers {
    return this.#damage.servers?.(servers) ?? servers;
  }

  damageLanes(lanes: Lanes): Lanes {
    return this.#damage.lanes?.(lanes) ?? lanes;
  }

  /** A process has found nothing to fetch, and waits for the marker. */
  waitForJobs(process: WorkerProcess): void {
    this.#idle.delete(process); // to the end of the queue
    this.#idle.add(process);
    if (!this.#marker) return;
    this.#marker = false;
    this.#mark();
  }

  /** BullMQ's marker goes to the one that has waited longest, even if that one is paused or dead. */
  #mark(): void {
    const [process] = this.#idle;
    if (process === undefined) {
      this.#marker = true;
      return;
    }
    this.#idle.delete(process);
    this.network.after(this.network.latencyMs(), () => {
      process.clock.run('arrival', () => process.wake());
    });
  }
}

/** What BullMQ does, for the trace, too. */
function told(observer: BullObserver, trace: Trace): JobListener {
  const note = (jobId: string, what: string): void => trace.note('bull', `job ${jobId} ${what}`);
  return {
    delivered({ job: { id } }, lock) {
      note(id, `goes to ${lock}`);
      observer.delivered(id, lock);
    },
    finished({ job: { id }, result, error }, state) {
      if (state === 'completed') {
        note(id, `is completed: ${result}`);
        observer.completed(id, result);
      } else {
        note(id, `has failed for good: ${reasonOf(error)}`);
        observer.failed(id, reasonOf(error));
      }
    },
    retried({ job: { id }, error }) {
      note(id, `has used up an attempt: ${reasonOf(error)}`);
      observer.charged(id, reasonOf(error));
    },
    heard: (jobId, lock) => observer.heard(jobId, lock),
    stalled({ job: { id } }) {
      note(id, 'has stalled');
      observer.stalled(id);
    },
  };
}

function reasonOf(error: Error | undefined): string {
  const { code, message = '' } = (error ?? {}) as { code?: string; message?: string };
  return code === undefined ? message : `${code}: ${message}`;
}
