/**
 * What goes wrong in a run, all of it what real processes, networks, memcached and BullMQ do. The
 * injector strikes at random times until it is stopped; then it heals everything.
 */
import { Dice } from './dice.ts';
import { Operator } from './operator.ts';
import type { Disconnect } from './redis-link.ts';
import type { WorkerProcess } from './worker-process.ts';
import type { World } from './world.ts';

export const FAULT_KINDS = [
  /** A process stands still for a while, as by SIGSTOP or a long collection of garbage. */
  'pause',
  /** SIGKILL, and another process in its place. */
  'crash',
  /** SIGTERM, and another process in its place. */
  'shutdown',
  /** A connection to memcached breaks; what was under way is lost, or lands late. */
  'cut',
  /** It breaks without a sign: the client finds out when a request is overdue. */
  'silence',
  /** Requests arrive, replies do not. */
  'deafness',
  /** Requests or replies of a connection take long, perhaps longer than its client waits. */
  'delay',
  /** A process cannot reach memcached for a while. */
  'partition',
  /** Somebody else writes over a cell, and takes it back a while later. */
  'foreign-write',
  'evict-cell',
  'evict-lock',
  'flush-all',
  /** Memcached starts anew: empty, and its CAS counter from the beginning. */
  'memcached-restart',
  /** Memcached stands still for a while. */
  'memcached-pause',
  /** Memcached has no room for a while. */
  'memcached-full',
  /** The connection to Redis breaks; what has no reply is sent again. */
  'redis-disconnect',
  /** The same, but calls fail, whether they were executed or not. */
  'redis-failure',
  'redis-delay',
  /** BullMQ takes a job for stalled though its process lives: it is delivered twice. */
  'stall',
  /** The wall clock of a process or of Redis is set. */
  'wall-clock',
  /** Redis carries nothing out for a while, and says so: NOREPLICAS, READONLY, OOM and the like. */
  'redis-refuses',
  /** The same queue in another data set begins a cell on this memcached, and takes it back a while later. */
  'other-data-set',
  /** A stock client of BullMQ's drains, cleans or promotes. */
  'stock-client',
  /** An operator pauses the queue or a worker, removes, retries, skips or drops a job. */
  'operator',
  /**
   * A replica takes Redis' place that has not seen how the last jobs came into a lane that were not there when they were
   * delivered. What else it would have lost, the auditor could not tell from what is lost for good.
   */
  'redis-promotes',
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

/** Milliseconds by which a wall clock is set at most; a process's perhaps by an hour. */
const WALL_JUMP_MS = 3_000;
const HOUR_MS = 3_600_000;
const PAUSE_MS = [0.1, 1_000] as const;
const DOWN_MS = [0.1, 300] as const;

export class Faults {
  readonly #world: World;
  readonly #dice: Dice;
  readonly #operator: Operator;
  #over = false;

  constructor(world: World) {
    this.#world = world;
    this.#dice = new Dice(world.options.seed, 'faults');
    this.#operator = new Operator(world, new Dice(world.options.seed, 'operator'));
  }

  /** From now on at random times, and right after random steps of the protocol, where it hurts most. */
  start(): void {
    const { options, scheduler, network } = this.#world;
    if (options.faults.length === 0) return;
    this.#next();
    this.#world.onStep = (process) => {
      if (this.#over || !this.#dice.chance(options.stepFaultRate)) return;
      const afterMs = this.#dice.fraction() * 2 * network.latencyMs();
      scheduler.at(afterMs, () => this.#strikeAny(process));
    };
  }

  /** From now on nothing goes wrong any more, and everybody runs. */
  heal(): void {
    this.#over = true;
    this.#world.completeUpdates();
    const { processes, stores, bull } = this.#world;
    for (const store of stores) {
      store.full(false);
      if (store.stopped) store.resume();
    }
    bull.setPaused(false);
    this.#world.isRefusing = false;
    for (const [place, process] of processes.entries()) {
      if (process === undefined || !process.alive || !process.knowsAll) {
        process?.crash('lost');
        this.#world.startProcess(place);
        continue;
      }
      process.clock.resume();
      process.rest(false);
      for (const server of process.servers) server.setReachable(true);
    }
    this.#operator.settleHolds();
  }

  #next(): void {
    const { scheduler, options } = this.#world;
    const delayMs = -Math.log(1 - this.#dice.fraction()) * options.faultEveryMs;
    scheduler.at(delayMs, () => {
      if (this.#over) return;
      this.#strikeAny();
      this.#next();
    });
  }

  /** `culprit`: the process that took the step, often the one that is struck. */
  #strikeAny(culprit?: WorkerProcess): void {
    if (this.#over) return;
    const kind = this.#dice.pick(this.#world.options.faults);
    const others = this.#world.processes.filter((process) => process?.alive === true);
    const other = others.length === 0 ? undefined : this.#dice.pick(others);
    this.#strike(kind, culprit?.alive === true && this.#dice.chance(0.7) ? culprit : other);
  }

  #strike(kind: FaultKind, process: WorkerProcess | undefined): void {
    const { stores } = this.#world;
    this.#world.count(`fault ${kind}`);
    if (process !== undefined) this.#strikeProcess(kind, process);
    const store = this.#dice.pick(stores);
    const key = this.#dice.pick(this.#world.keys);
    const { store: itsStore, cell, lock } = this.#world.itemsOf(key);
    switch (kind) {
      case 'evict-cell':
        this.#note(`memcached evicts the cell of ${key}`);
        itsStore.evict(cell);
        break;
      case 'foreign-write':
        this.#note(`somebody writes over the cell of ${key}`);
        itsStore.put(cell, Buffer.from('not of ours'));
        this.#world.scheduler.at(this.#dice.magnitude(...DOWN_MS), () => itsStore.takeBack(cell));
        break;
      case 'evict-lock':
        this.#note(`memcached evicts the lock of ${key}`);
        itsStore.evict(lock);
        break;
      case 'flush-all':
        this.#note('flush_all');
        store.flushAll();
        break;
      case 'memcached-restart':
        this.#note('memcached restarts');
        store.restart();
        break;
      case 'memcached-pause':
        this.#forAWhile(
          'memcached stands still',
          () => store.stop(),
          () => store.resume(),
        );
        break;
      case 'memcached-full':
        this.#forAWhile(
          'memcached is full',
          () => store.full(true),
          () => store.full(false),
        );
        break;
      case 'stall':
        this.#stall();
        break;
      case 'operator':
        this.#operator.act();
        break;
      case 'stock-client':
        this.#operator.meddle();
        break;
      case 'redis-refuses':
        this.#forAWhile(
          'Redis refuses everything',
          () => (this.#world.isRefusing = true),
          () => (this.#world.isRefusing = false),
        );
        break;
      case 'redis-promotes':
        this.#forgetLate(key);
        break;
      case 'other-data-set':
        this.#beginElsewhere(key);
        break;
      default:
    }
  }

  #strikeProcess(kind: FaultKind, process: WorkerProcess): void {
    const { wire } = this.#dice.pick(process.servers);
    const lands = this.#dice.below((wire?.underWay ?? 0) + 1);
    const lateMs = this.#dice.chance(0.5) ? 0 : this.#dice.magnitude(...DOWN_MS);
    const forMs = this.#awhileMs();
    const say = (what: string): void => this.#note(`${process.name} ${what}`);
    switch (kind) {
      case 'pause':
        say(`stands still for ${forMs.toFixed(1)} ms`);
        return process.pause(forMs);
      case 'crash':
        say('is killed');
        return process.crash(this.#underWay());
      case 'shutdown':
        say('closes');
        return void process.close();
      case 'cut':
        say(`is cut off from memcached, ${lands} under way land ${lateMs.toFixed(1)} ms late`);
        return wire?.break(lands, lateMs, true);
      case 'silence':
        say(`hears and says nothing more to memcached, ${lands} under way land`);
        return wire?.break(lands, lateMs, false);
      case 'deafness':
        say('hears no more from memcached');
        return wire?.deafen();
      case 'delay':
        say(`and memcached are ${forMs.toFixed(1)} ms apart`);
        return this.#dice.chance(0.5) ? wire?.hold(forMs) : wire?.holdReplies(forMs);
      case 'partition':
        return this.#partition(process);
      case 'redis-disconnect':
      case 'redis-failure':
        say(kind);
        return process.link.disconnect({
          downMs: this.#dice.magnitude(...DOWN_MS),
          pending: kind === 'redis-failure' ? 'fail' : 'resend',
          underWay: this.#underWay(),
        });
      case 'redis-delay':
        say(`and Redis are ${forMs.toFixed(1)} ms apart`);
        return process.link.hold(forMs);
      case 'wall-clock':
        return this.#setWallClock(process);
      default:
    }
  }

  #partition(process: WorkerProcess): void {
    const server = this.#dice.pick(process.servers);
    this.#forAWhile(
      `${process.name} cannot reach memcached`,
      () => {
        server.setReachable(false);
        server.wire?.break(0, 0, this.#dice.chance(0.5));
      },
      () => server.setReachable(true),
    );
  }

  /** Where no cell is: over one of ours it would be refused as ours is here. Built on what our copy is, by bad luck. */
  #beginElsewhere(key: string): void {
    const { store, cell } = this.#world.itemsOf(key);
    const { copy } = this.#world.jobs.inspect(key, 0);
    const token = this.#world.redisClock.wallMs() * 1_000;
    const begun = store.putEnvelope(cell, {
      toril: 1,
      token,
      base: copy.token,
      watermark: token,
      queue: 'bull:simulated',
      dataSet: this.#world.otherDataSet,
      value: { jobs: ['strange'] },
    });
    if (!begun) return;
    this.#note(`another data set begins the cell of ${key}`);
    this.#world.scheduler.at(this.#dice.magnitude(...DOWN_MS), () => store.takeBack(cell));
  }

  #forgetLate(key: string): void {
    const { jobs, bull } = this.#world;
    const { head } = jobs.inspect(key, Number.POSITIVE_INFINITY);
    const late = head.filter(({ jobId }) => jobs.get(jobId)?.isLate === true);
    // What came last is lost first.
    const lost = late.slice(this.#dice.below(late.length + 1)).map(({ jobId }) => jobId);
    if (lost.length === 0) return;
    this.#note(`Redis goes back to before the jobs ${lost.join(' ')} entered the lane of ${key}`);
    this.#world.count('jobs that entered late, forgotten');
    for (const jobId of lost) {
      jobs.forgetEntry(jobId);
      bull.delivered.forgetDelivery(jobId);
    }
  }

  /** Its lock is lost, and two looks later the job is delivered again. */
  #stall(): void {
    const active = [...this.#world.bull.places.locks.active];
    if (active.length === 0) return;
    const jobId = this.#dice.pick(active);
    this.#note(`job ${jobId} is taken for stalled`);
    this.#world.bull.delivered.stall(jobId);
  }

  #setWallClock(process: WorkerProcess): void {
    const isRedis = this.#dice.chance(0.3);
    const mostMs = !isRedis && this.#dice.chance(0.5) ? HOUR_MS : WALL_JUMP_MS;
    const byMs = Math.round(this.#dice.between(-mostMs, mostMs));
    this.#note(`the wall clock of ${isRedis ? 'Redis' : process.name} is moved by ${byMs} ms`);
    if (isRedis) this.#world.auditor.redisClockSet();
    (isRedis ? this.#world.redisClock : process.clock).moveWall(byMs);
  }

  #forAWhile(what: string, begin: () => void, end: () => void): void {
    const forMs = this.#dice.magnitude(...DOWN_MS);
    this.#note(`${what} for ${forMs.toFixed(1)} ms`);
    begin();
    this.#world.scheduler.at(forMs, () => {
      if (!this.#over) end();
    });
  }

  /** Any time, but often just long enough for somebody to take over. */
  #awhileMs(): number {
    const { leaseMs } = this.#world.options.gate;
    return this.#dice.chance(0.5)
      ? this.#dice.magnitude(...PAUSE_MS)
      : this.#dice.between(0.5, 3) * leaseMs;
  }

  #underWay(): Disconnect['underWay'] {
    if (this.#dice.chance(0.5)) return 'lost';
    return { lateMs: this.#dice.chance(0.5) ? 0 : this.#dice.magnitude(...DOWN_MS) };
  }

  #note(what: string): void {
    this.#world.trace.note('*', what);
  }
}
