/**
 * One explored worker process: the real gate, or the real strict lock, and all that is below them,
 * between two links that only the search moves. What it does follows from what it is told alone, so
 * that a worker is known by the list of its stimuli.
 */
import type { Random } from '../../src/base/random.ts';
import { TorilError } from '../../src/errors.ts';
import { defineTransaction } from '../../src/updates/transaction.ts';
import { type AnyUpdate, defineUpdate } from '../../src/updates/update.ts';
import { UpdateRegistry } from '../../src/updates/update-registry.ts';
import { lockCodec } from '../../src/cells/lock-codec.ts';
import type { LeaseLocks } from '../../src/lock/lock.ts';
import { MemcachedLeaseLocks } from '../../src/lock/lease-locks.ts';
import { LockObservations } from '../../src/lock/lock-observations.ts';
import { UncommittedError, type WriteFate } from '../../src/lock/strict/lease-session.ts';
import type { HeldKey } from '../../src/lock/strict/held-keys.ts';
import { createLocks } from '../../src/lock/strict/with-lease.ts';
import type { MemcachedServers } from '../../src/memcached/servers.ts';
import { type TorilWorkerOptions, WORKER_DEFAULTS } from '../../src/options.ts';
import type { EventReporter } from '../../src/workers/worker-events.ts';
import { Gate } from '../../src/workers/gate/gate.ts';
import type { GateContext } from '../../src/workers/gate/gate-context.ts';
import { fractionOf } from './chosen-cas.ts';
import { type ExploredConnection, ExploredRedis, ExploredServer } from './links.ts';
import type { Vocabulary } from './requests.ts';
import { TOLD, TOLD_KINDS } from './stimuli.ts';
import { WorkerClock } from './worker-clock.ts';
import { WorkerJob } from './worker-job.ts';
import { NO_ROUND, WorkerRounds } from './worker-rounds.ts';
import {
  type JobData,
  KEY,
  KEYS,
  LEASE_MS,
  QUEUE,
  UPDATE,
  type WorkerDamage,
  type WorkerEvent,
  type WorkerPlan,
} from './worker-plan.ts';

/** Longer than a takeover takes: the lease, a tenth of it, and 10 ms. */
const LEASE_PASSES_MS = 11_050;
/** A little more than when a renewal is due. */
const RENEWAL_DUE_MS = 3_334;
/** Pauses before the next attempt are shorter, everything else takes longer. */
const PAUSE_MAX_MS = 500;
/** Shorter than any pause that is one. */
const HURRY_MS = 0.5;
/** Nobody is snoozed for want of budget: that is BullMQ's business, and does not touch the protocol. */
const PATIENCE_MS = 1_000_000_000;

export class Worker {
  readonly #vocabulary: Vocabulary;
  readonly #plan: WorkerPlan;
  readonly #clock = new WorkerClock(() => this.#rounds.currentKey);
  readonly #server: ExploredServer;
  readonly #rounds: WorkerRounds;
  readonly #observations = new KnownObservations();
  readonly #redis = new ExploredRedis(() => this.#round());
  readonly #memcached: MemcachedServers;
  readonly #damage: WorkerDamage;
  readonly #random: Random = { fraction: () => this.#fraction(), id: () => this.#nextId() };
  #wasRefused = false;
  #events: WorkerEvent[] = [];
  #ids: number;
  #calls: number;
  #abandonedDrawn = 0;
  #work: (() => void) | undefined;
  #running: AbortSignal | undefined;
  readonly job: WorkerJob;
  /** Its job's cells, while it waits for these. */
  looksAt: readonly string[] = [];
  over = false;

  constructor(plan: WorkerPlan, vocabulary: Vocabulary, damage: WorkerDamage) {
    this.#plan = plan;
    this.#ids = plan.idsDrawn;
    this.#calls = plan.callsMade;
    this.#vocabulary = vocabulary;
    this.#damage = damage;
    this.#rounds = new WorkerRounds(plan.seenTo);
    this.job = new WorkerJob({
      ...{ plan, redis: this.#redis, isVisiting: () => this.#rounds.alive.size > 0 },
      ended: (event) => void this.#events.push(event),
      bringUp: (gate, key, isForJob) => this.#rounds.bringUp(gate, key, isForJob),
    });
    this.#server = new ExploredServer({
      ...plan,
      lockChosen: () => this.#nextId(),
      round: () => this.#round(),
    });
    const server = damage.server?.(this.#server) ?? this.#server;
    this.#memcached = {
      all: [server],
      fingerprint: 'explored',
      serverFor: () => server,
      close: () => Promise.resolve(),
    };
    WorkerRounds.apart(() => {
      if (plan.path === 'lease') void this.#useLock();
      else this.#openGate();
      this.#clock.settle();
    });
    if (plan.goesOn !== undefined) return;
    if (plan.abandoned.length > 0 && plan.path !== 'lease') this.#beDelivered();
    for (let attempts = 0; attempts < plan.abandoned.length; attempts++) this.#abandonAttempt();
  }

  #beDelivered(): void {
    this.#redis.answer({ outcome: '' });
    this.#clock.settle();
  }

  /** An attempt times out, and its owner id is not seen in the lock. */
  #abandonAttempt(): void {
    this.tell(TOLD.timedOut);
    for (let answers = 0; answers < 2; answers++) {
      this.#connection()?.answer({ kind: 'refused', reason: 'missing' });
      this.#clock.settle();
    }
    this.tell(TOLD.paused);
    if (this.#redis.outstanding.length === 0) return;
    this.#redis.answer({ kind: 'waiting', rank: 0, paceMs: 0 });
    this.#clock.settle();
  }

  /** Lets it run until it waits again. */
  tell(stimulus: number): void {
    WorkerRounds.apart(() => this.#tell(stimulus));
  }

  #tell(stimulus: number): void {
    const kind = stimulus % TOLD_KINDS;
    const about = Math.floor(stimulus / TOLD_KINDS);
    switch (kind) {
      case TOLD.answer:
        this.#connection()?.answer(this.#vocabulary.at('outcome', about));
        break;
      case TOLD.reply:
        this.#redis.answer(this.#vocabulary.at('reply', about));
        break;
      case TOLD.closed:
        this.#connection()?.end('MEMCACHED_CLOSED');
        break;
      case TOLD.timedOut:
        this.#connection()?.end('MEMCACHED_TIMED_OUT');
        break;
      case TOLD.paused:
        // Combiners of several keys pause at a time: one after the other would only be more orders of the same looks.
        if (this.#plan.path === 'joint') this.#clock.tickAll(PAUSE_MAX_MS);
        else this.#clock.tick();
        break;
      case TOLD.renewal:
        this.#clock.leap(RENEWAL_DUE_MS);
        break;
      case TOLD.lease:
        this.#clock.leap(LEASE_PASSES_MS);
        break;
      case TOLD.worked:
        this.#work?.();
        break;
      case TOLD.begins:
        this.job.begins(KEYS[about]);
        break;
      default:
        throw new Error(`no such stimulus: ${stimulus}`);
    }
    this.#clock.settle();
  }

  takeEvents(): WorkerEvent[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }

  /** Requests that were sent and are not answered, oldest first. */
  get requests(): number[] {
    const sent = this.#connection()?.outstanding ?? [];
    return sent.map(({ request }) => this.#vocabulary.idOf('memcached', request));
  }

  get calls(): number[] {
    return this.#redis.outstanding.map(({ request }) => this.#vocabulary.idOf('redis', request));
  }

  /** In whose course these were sent. */
  get requestRounds(): number[] {
    return (this.#connection()?.outstanding ?? []).map(({ round }) => round);
  }

  get callRounds(): number[] {
    return this.#redis.outstanding.map(({ round }) => round);
  }

  get rounds(): WorkerRounds {
    return this.#rounds;
  }

  /** Counts its connections. */
  get epoch(): number {
    return this.#server.last?.epoch ?? 0;
  }

  get connected(): boolean {
    return this.#connection() !== undefined;
  }

  get pausing(): boolean {
    return this.#clock.hasTimerWithin(PAUSE_MAX_MS);
  }

  /** It asks again at once: what it waits for may be taken over. */
  get hurrying(): boolean {
    return this.#clock.hasTimerWithin(HURRY_MS);
  }

  get idsDrawn(): number {
    return this.#ids;
  }

  /** Owner ids that it has given up, and takes over at once wherever it meets them. */
  get abandoned(): ReadonlySet<string> {
    return this.#observations.abandoned;
  }

  get callsMade(): number {
    return this.#calls;
  }

  /** It remembers that a commit of its own may still be in the cell. */
  get wasRefused(): boolean {
    return this.#wasRefused;
  }

  get working(): boolean {
    return this.#work !== undefined;
  }

  /** A function is at work and has not been told that its lease is lost. */
  get running(): boolean {
    return this.#running?.aborted === false;
  }

  #connection(): ExploredConnection | undefined {
    return this.#server.current;
  }

  // The queue

  #openGate(): void {
    const { batchJobsMax } = this.#plan;
    const options: TorilWorkerOptions = {
      ...WORKER_DEFAULTS,
      leaseMs: LEASE_MS,
      patienceMs: PATIENCE_MS,
      batchJobsMax,
      batchesPerLease: batchJobsMax === 1 ? 1 : WORKER_DEFAULTS.batchesPerLease,
      history: 'off',
    };
    const registry = new UpdateRegistry([this.#update()]);
    const report: EventReporter = (event, facts) => {
      if (event === 'acknowledgementRefused') this.#wasRefused = true;
      if (event === 'internalFault') throw (facts as unknown as { cause: Error }).cause;
    };
    const locks = new MemcachedLeaseLocks({
      ...{ clock: this.#clock, random: this.#random, leaseMs: LEASE_MS },
      observations: this.#observations,
    });
    const context: Omit<GateContext, 'locks'> = {
      queue: QUEUE,
      servers: this.#memcached,
      lanes: this.#damage.lanes?.(this.#redis) ?? this.#redis,
      registry,
      clock: this.#clock,
      random: this.#random,
      options,
      report,
      rateLimited: false,
      resting: () => false,
      slots: () => 1,
      snoozeAhead: () => Promise.resolve(),
      deliverNext: () => {},
    };
    const gate = this.#gate(context, locks);
    void this.job
      .run(gate, { registry, report, clock: this.#clock })
      .then(() => (this.over = true));
  }

  #gate(context: Omit<GateContext, 'locks'>, locks: LeaseLocks): Gate {
    if (this.#plan.path !== 'joint') return new Gate({ ...context, locks });
    const { job } = this;
    const gate = this.#rounds.gate(context, locks, (outcome) => void (job.outcome = outcome));
    const { behind } = gate;
    let { looksAt, goesOn } = this.#plan;
    // Looks once: the shipped one looks five times more before it sees to the cells, and would only be told the same later.
    behind.isSettled = async (token) => {
      job.phase = 'settles';
      if (goesOn !== 'settles') this.#rounds.seenTo = new Set();
      const [commit] =
        looksAt === undefined ? await context.lanes.behind(token) : [{ token, keys: looksAt }];
      [looksAt, goesOn] = [undefined, undefined]; // when it goes on, not later
      if (commit === undefined) return true;
      this.looksAt = commit.keys;
      return behind.settle(commit, this.#rounds.seenTo);
    };
    return gate;
  }

  #update(): AnyUpdate {
    if (this.#plan.path === 'joint') return transaction();
    const strict = this.#plan.path === 'strict';
    return defineUpdate({
      name: UPDATE,
      key: () => KEY,
      initial: (): number[] => [],
      apply: (value: number[], { job }: JobData, { token, signal }) => {
        if (!strict) return [...value, job];
        return this.#act(token, signal).then(() => [...value, job]);
      },
      result: (value) => (value as number[]).length,
      strict,
    });
  }

  // The lock

  async #useLock(): Promise<void> {
    const locks = createLocks({
      memcached: this.#memcached,
      tokens: this.#damage.tokens?.(this.#redis) ?? this.#redis,
      codec: lockCodec,
      clock: this.#clock,
      random: this.#random,
      leaseMs: LEASE_MS,
      waitMs: 2 ** 31 - 1,
    });
    for (let left = this.#plan.commits; this.#calls < this.#plan.callsMax; ) {
      const entry = `${this.#plan.name}${++this.#calls}`;
      let token = 0;
      const append = async (held: HeldKey<string[]>): Promise<void> => {
        token = held.token;
        await this.#act(token, held.signal);
        held.write([...(held.value ?? []), entry]);
      };
      const tell = (fate: WriteFate | 'nothing'): void =>
        void this.#events.push({ kind: 'told', token, entry, fate });
      try {
        await locks.withLease<void, string[]>(KEY, append);
        tell('written');
        left--;
        if (left === 0) break;
      } catch (thrown) {
        const fate = fateOf(thrown);
        if (fate === undefined) {
          this.#events.push({ kind: 'threw', what: String(thrown) });
          break;
        }
        tell(fate);
        if (fate === 'unknown') break; // trying again could do it twice
      }
    }
    this.over = true;
  }

  /** Something in the world outside, which takes its time. */
  async #act(token: number, signal: AbortSignal): Promise<void> {
    this.#events.push({ kind: 'began', token });
    this.#running = signal;
    await new Promise<void>((resolve) => {
      this.#work = resolve;
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    this.#work = undefined;
    this.#running = undefined;
  }

  #round(): number {
    return this.#plan.path === 'joint' ? this.#rounds.current : NO_ROUND;
  }

  /** For a lock by CAS, its next owner id, which is drawn when the lock is sent. Pauses draw none. */
  #fraction(): number {
    const { name, locks, abandoned } = this.#plan;
    if (locks === 'value') return 0.5;
    return fractionOf({ worker: name, id: abandoned[this.#abandonedDrawn] ?? this.#ids + 1 });
  }

  #nextId(): string {
    const earlier = this.#plan.abandoned[this.#abandonedDrawn++];
    const id = earlier ?? ++this.#ids;
    this.#rounds.idDrawn(id);
    return `${this.#plan.name}-${id}`;
  }
}

/** Which tells what it remembers. */
class KnownObservations extends LockObservations {
  readonly abandoned = new Set<string>();

  override abandon(owner: string): void {
    this.abandoned.add(owner);
    super.abandon(owner);
  }
}

/** Each job appends itself to the values of all its keys. */
function transaction(): AnyUpdate {
  return defineTransaction({
    name: UPDATE,
    keys: ({ keys }: JobData) => keys,
    initial: (): number[] => [],
    apply: (values, { job }) => values.map((value) => [...value, job]),
    result: (values) => values.map((value) => value?.length).join(' '),
  });
}

/** What an error says of the write; undefined: it is none that a user has to expect. */
function fateOf(thrown: unknown): WriteFate | 'nothing' | undefined {
  if (thrown instanceof UncommittedError) return thrown.writes.get(KEY) ?? 'nothing';
  const isForWantOfRoom = thrown instanceof TorilError && thrown.code === 'MEMCACHED_REFUSED';
  return isForWantOfRoom ? 'nothing' : undefined;
}
