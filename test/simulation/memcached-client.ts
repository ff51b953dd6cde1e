/** One process's client of one simulated memcached: connects, and connects again. */
import type { Timer } from '../../src/base/clock.ts';
import { TorilError } from '../../src/errors.ts';
import type { MemoryStore } from '../../src/memcached/memory/memory-store.ts';
import type { Connection, MemcachedServer, ServerFacts } from '../../src/memcached/server.ts';
import { Wire } from './memcached-wire.ts';
import type { Network } from './network.ts';
import type { ProcessClock } from './process-clock.ts';

/** Between two attempts to connect. */
const RECONNECT_MS = 20;

export interface ClientOptions {
  readonly network: Network;
  readonly clock: ProcessClock;
  readonly store: MemoryStore;
  readonly address: string;
  readonly requestDeadlineMs: number;
  readonly protocol: 'meta' | 'binary';
  readonly casByUs: boolean;
  /** Whose client it is. */
  readonly process: string;
  readonly note: (what: string) => void;
}

interface Waiter {
  readonly resolve: (connection: Connection) => void;
  readonly reject: (error: TorilError) => void;
  readonly deadline: Timer;
}

export class MemcachedClient implements MemcachedServer {
  readonly address: string;
  readonly #options: ClientOptions;
  readonly #waiters = new Set<Waiter>();
  #wire: Wire | undefined;
  #epoch = 0;
  #facts: ServerFacts | undefined;
  #connecting = false;
  #closed = false;
  #reachable = true;
  #trouble: TorilError | undefined;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.address = options.address;
  }

  get current(): Connection | undefined {
    return this.#wire?.alive === true ? this.#wire : undefined;
  }

  get trouble(): TorilError | undefined {
    return this.current === undefined ? this.#trouble : undefined;
  }

  get facts(): ServerFacts | undefined {
    return this.#facts;
  }

  /** The last connection, for faults: it may have ended. */
  get wire(): Wire | undefined {
    return this.#wire;
  }

  connection(): Promise<Connection> {
    if (this.current !== undefined) return Promise.resolve(this.current);
    if (this.#closed) return Promise.reject(this.#error('CLOSED', 'the client is closed'));
    this.#connectSoon(0);
    return new Promise((resolve, reject) => {
      const { clock, requestDeadlineMs } = this.#options;
      const deadline = clock.after(requestDeadlineMs, () => {
        this.#waiters.delete(waiter);
        reject(this.#error('MEMCACHED_UNREACHABLE', `no connection in ${requestDeadlineMs} ms`));
      });
      const waiter: Waiter = { resolve, reject, deadline };
      this.#waiters.add(waiter);
    });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const { deadline, reject } of this.#waiters) {
      deadline.cancel();
      reject(this.#error('CLOSED', 'the client is closed'));
    }
    this.#waiters.clear();
    await this.#wire?.drain();
  }

  /** A partition between this process and the server. */
  setReachable(reachable: boolean): void {
    this.#reachable = reachable;
  }

  #connectSoon(afterMs: number): void {
    if (this.#connecting || this.#closed) return;
    this.#connecting = true;
    const { network, clock } = this.#options;
    network.after(afterMs + 2 * network.latencyMs(), () => {
      clock.run('arrival', () => {
        this.#connecting = false;
        if (this.#reachable && !this.#options.store.stopped) return this.#connect();
        this.#trouble = this.#error('MEMCACHED_UNREACHABLE', 'no connection so far');
        this.#connectSoon(RECONNECT_MS);
      });
    });
  }

  #connect(): void {
    if (this.#closed || this.current !== undefined) return;
    this.#epoch++;
    this.#trouble = undefined;
    const wire = new Wire({ ...this.#options, epoch: this.#epoch });
    this.#wire = wire;
    this.#facts = { ...this.#options.store.facts, casByUs: this.#options.casByUs };
    void wire.ended.then(() => this.#connectSoon(RECONNECT_MS));
    for (const { deadline, resolve } of this.#waiters) {
      deadline.cancel();
      resolve(wire);
    }
    this.#waiters.clear();
  }

  #error(code: 'CLOSED' | 'MEMCACHED_UNREACHABLE', what: string): TorilError {
    return new TorilError(code, `memcached at ${this.address}: ${what}`);
  }
}
