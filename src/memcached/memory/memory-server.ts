/**
 * The in-memory engine of the contract: one client's view of a MemoryStore. Clients that share a
 * server (the processes of a simulation) each have a MemoryServer over the same store.
 */
import type { Clock, Timer } from '../../base/clock.ts';
import { TorilError } from '../../errors.ts';
import { type CutOptions, MemoryConnection } from './memory-connection.ts';
import type { MemoryStore, StoreListener } from './memory-store.ts';
import { REQUEST_DEADLINE_MS_DEFAULT } from '../options.ts';
import type { Connection, MemcachedServer, ServerFacts } from '../server.ts';

export interface MemoryServerOptions {
  readonly store: MemoryStore;
  /** The client's own clock; default: the store's. */
  readonly clock?: Clock;
  /** Default `memory:11211`. */
  readonly address?: string;
  /** Default 1000. */
  readonly requestDeadlineMs?: number;
  /** Draws the milliseconds of one way (request or reply); default: one `Clock.soon`. */
  readonly oneWayMs?: () => number;
}

interface Waiter {
  readonly resolve: (connection: Connection) => void;
  readonly reject: (error: TorilError) => void;
  readonly deadline: Timer;
}

export class MemoryServer implements MemcachedServer, StoreListener {
  readonly address: string;
  readonly #options: MemoryServerOptions;
  readonly #store: MemoryStore;
  readonly #clock: Clock;
  readonly #requestDeadlineMs: number;
  readonly #waiters = new Set<Waiter>();
  #connection: MemoryConnection | undefined;
  #epoch = 0;
  #facts: ServerFacts | undefined;
  /** From the first call of `connection` on it stays connected. */
  #wanted = false;
  #connecting = false;
  #down = false;
  #closed = false;

  constructor(options: MemoryServerOptions) {
    this.#options = options;
    this.#store = options.store;
    this.#clock = options.clock ?? options.store.clock;
    this.address = options.address ?? 'memory:11211';
    this.#requestDeadlineMs = options.requestDeadlineMs ?? REQUEST_DEADLINE_MS_DEFAULT;
    this.#store.listen(this);
  }

  get current(): Connection | undefined {
    return this.#connection?.alive === true ? this.#connection : undefined;
  }

  get trouble(): TorilError | undefined {
    const isUp = this.current !== undefined || !(this.#down || this.#store.stopped);
    return isUp ? undefined : this.#unreachable('at this moment');
  }

  get facts(): ServerFacts | undefined {
    return this.#facts;
  }

  connection(): Promise<Connection> {
    if (this.current !== undefined) return Promise.resolve(this.current);
    if (this.#closed) return Promise.reject(this.#closedError());
    this.#wanted = true;
    this.#connectSoon();
    return new Promise((resolve, reject) => {
      const giveUp = (): void => {
        this.#waiters.delete(waiter);
        reject(this.#unreachable(`within ${this.#requestDeadlineMs} ms`));
      };
      const deadline = this.#clock.after(this.#requestDeadlineMs, giveUp, { keepAlive: true });
      const waiter: Waiter = { resolve, reject, deadline };
      this.#waiters.add(waiter);
    });
  }

  #unreachable(when: string): TorilError {
    return new TorilError('MEMCACHED_UNREACHABLE', `no connection to ${this.address} ${when}`);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const waiter of this.#waiters) {
      waiter.deadline.cancel();
      waiter.reject(this.#closedError());
    }
    this.#waiters.clear();
    await this.#connection?.drain();
    this.#store.unlisten(this);
  }

  // Controls

  /** How many requests of the current connection were sent and are not yet executed. */
  get unexecuted(): number {
    return this.#connection?.unexecuted ?? 0;
  }

  /** Ends the connection; a new one follows unless the server is down for this client. */
  cut(options: CutOptions = {}): void {
    this.#connection?.cut(options);
  }

  /** Unreachable for this client, from now until `down(false)`. */
  down(isDown: boolean, options: CutOptions = {}): void {
    this.#down = isDown;
    if (isDown) this.cut(options);
    else if (this.#wanted) this.#connectSoon();
  }

  restarted(): void {
    if (this.#wanted) this.#connectSoon();
  }

  resumed(): void {
    if (this.#wanted) this.#connectSoon();
  }

  #connectSoon(): void {
    if (this.#connecting) return;
    this.#connecting = true;
    this.#clock.soon(() => {
      this.#connecting = false;
      this.#connect();
    });
  }

  #connect(): void {
    if (this.#closed || this.#down || this.#store.stopped || this.current !== undefined) return;
    this.#epoch++;
    const connection = new MemoryConnection({
      store: this.#store,
      clock: this.#clock,
      epoch: this.#epoch,
      address: this.address,
      requestDeadlineMs: this.#requestDeadlineMs,
      oneWayMs: this.#options.oneWayMs,
    });
    this.#connection = connection;
    this.#facts = this.#store.facts;
    void connection.ended.then(() => this.#connectSoon());
    for (const waiter of this.#waiters) {
      waiter.deadline.cancel();
      waiter.resolve(connection);
    }
    this.#waiters.clear();
  }

  #closedError(): TorilError {
    return new TorilError('CLOSED', `the client of memcached at ${this.address} is closed`);
  }
}
