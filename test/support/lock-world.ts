/** A memcached in memory, a virtual clock, and as many lock-using processes as a test wants. */
import type { Clock } from '../../src/base/clock.ts';
import type { Random } from '../../src/base/random.ts';
import { seededFraction } from '../../src/base/random.ts';
import type { Acquisition, Lease } from '../../src/lock/lock.ts';
import { MemcachedLeaseLocks } from '../../src/lock/lease-locks.ts';
import { MemoryTokens } from './memory-tokens.ts';
import { createLocks, type Locks } from '../../src/lock/strict/with-lease.ts';
import {
  MemoryServer,
  type MemoryServerOptions,
} from '../../src/memcached/memory/memory-server.ts';
import { MemoryStore } from '../../src/memcached/memory/memory-store.ts';
import type { MemcachedServer } from '../../src/memcached/server.ts';
import type { MemcachedServers } from '../../src/memcached/servers.ts';
import { jsonCodec, NOBODY } from './lock-codec.ts';
import { ProcessClock, VirtualClock } from './virtual-clock.ts';

export const LOCK = 'toril:lock:some-key';
/** Any lease length will do; a round one makes the arithmetic of the tests readable. */
export const LEASE_MS = 1000;

/** No test has a slower network, nor a renewal as soon as that. */
const NETWORK_MS_MAX = 100;

export interface ProcessOptions extends Partial<MemoryServerOptions> {
  readonly leaseMs?: number;
  /** How fast its clock runs. */
  readonly rate?: number;
  /** Puts something between the locks and the server: where the evil twins come in. */
  readonly wrap?: (server: MemcachedServer) => MemcachedServer;
}

/** One worker process: its clock, its connection, its locks. */
export class LockProcess {
  readonly clock: ProcessClock;
  readonly server: MemoryServer;
  readonly locks: MemcachedLeaseLocks;
  readonly random: Random;
  /** What the locks talk to: `server`, or a wrapper around it. */
  readonly wrapped: MemcachedServer;
  /** The strict lock of the same process. */
  readonly strict: Locks;
  readonly #world: LockWorld;

  constructor(world: LockWorld, name: string, options: ProcessOptions) {
    const { leaseMs = LEASE_MS, rate = 1, wrap = (server) => server, ...serverOptions } = options;
    this.#world = world;
    this.clock = new ProcessClock(world.clock, rate);
    this.server = new MemoryServer({ store: world.store, clock: this.clock, ...serverOptions });
    this.wrapped = wrap(this.server);
    this.random = countingRandom(name);
    this.locks = new MemcachedLeaseLocks({ clock: this.clock, random: this.random, leaseMs });
    this.strict = createLocks({
      memcached: oneServer(this.wrapped),
      tokens: world.tokens,
      codec: jsonCodec,
      clock: this.clock,
      random: this.random,
      leaseMs,
    });
  }

  attempt(lockName: string = LOCK, leaseMs?: number): Promise<Acquisition> {
    return this.locks.attempt(this.wrapped, lockName, () => {}, leaseMs);
  }

  /** One attempt that must succeed. */
  async hold(lockName: string = LOCK, leaseMs?: number): Promise<Lease> {
    const acquisition = await this.#world.clock.until(this.attempt(lockName, leaseMs));
    if (acquisition.kind !== 'held') throw new Error(`not held: ${JSON.stringify(acquisition)}`);
    return acquisition.lease;
  }

  /** Attempts, each as late as the one before said, until the lease is held. */
  async contend(lockName: string = LOCK, limitMs = 60_000): Promise<Lease> {
    const start = this.#world.clock.monotonicMs();
    while (this.#world.clock.monotonicMs() - start < limitMs) {
      const acquisition = await this.#world.clock.until(this.attempt(lockName));
      if (acquisition.kind === 'held') return acquisition.lease;
      const waitMs = acquisition.kind === 'busy' ? acquisition.retryAfterMs : 10;
      await this.#world.clock.advance(waitMs);
    }
    throw new Error(`not held within ${limitMs} virtual ms`);
  }

  async close(): Promise<void> {
    await this.#world.clock.until(this.locks.close());
    await this.#world.clock.until(this.strict.close());
    await this.#world.clock.until(this.server.close());
  }
}

export class LockWorld {
  readonly clock = new VirtualClock();
  readonly store: MemoryStore;
  readonly tokens: MemoryTokens = new MemoryTokens(this.clock);
  readonly #processes: LockProcess[] = [];

  constructor(storeOf = (clock: Clock): MemoryStore => new MemoryStore({ clock })) {
    this.store = storeOf(this.clock);
  }

  process(options: ProcessOptions = {}): LockProcess {
    const process = new LockProcess(this, `process${this.#processes.length}`, options);
    this.#processes.push(process);
    return process;
  }

  /** What a cell holds, as the tests' codec wrote it: without a request. */
  valueOf(key: string): unknown {
    const item = this.store.peek(key);
    return item === undefined ? undefined : jsonCodec.decode(item, NOBODY);
  }

  /** Fails if anything still wants to happen, once what was on the network has arrived: a forgotten timer. */
  async close(): Promise<void> {
    this.store.resume();
    for (const process of this.#processes) {
      process.clock.thaw();
      await process.close();
    }
    await this.clock.advance(NETWORK_MS_MAX);
    if (this.clock.pendingTimers > 0)
      throw new Error(`${this.clock.pendingTimers} timers left behind`);
  }
}

function oneServer(server: MemcachedServer): MemcachedServers {
  return {
    all: [server],
    fingerprint: 'one',
    serverFor: () => server,
    close: () => server.close(),
  };
}

/** Names that tell where they come from, and chance that can be repeated. */
export function countingRandom(name: string): Random {
  let count = 0;
  return { fraction: seededFraction(name), id: () => `${name}-${++count}` };
}
