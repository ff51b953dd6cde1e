/**
 * A real memcached server: the engine of the contract that speaks to one.
 *
 * It is idle until `connection` is first asked for; from then on it is either connected, or trying
 * to be, with a growing and jittered wait between two attempts, until it is closed. A connection
 * becomes `current` only after the handshake. Whoever waits for one is served by the next success,
 * and rejected by the first answer that waiting cannot cure, or by the request deadline.
 */
import { type Clock, pause, type Timer } from '../../base/clock.ts';
import type { Random } from '../../base/random.ts';
import type { ErrorCode, TorilError } from '../../errors.ts';
import { closedClientError, unreachableError } from '../connect-errors.ts';
import type { ServerOptions } from '../options.ts';
import type { OwnedConnection, ProtocolEngine } from '../protocol.ts';
import {
  type Connection,
  mayComeLater,
  type MemcachedServer,
  type ServerFacts,
} from '../server.ts';
import { Attempt } from './attempt.ts';

/** Milliseconds before the second attempt; doubled with each further one. */
export const RECONNECT_FIRST_MS = 25;
/** Milliseconds between two attempts at the most: below the request deadline, so that who waits sees one. */
export const RECONNECT_LAST_MS = 500;
/** Milliseconds that a connection must have lived for the next to be attempted at once. */
const SOUND_CONNECTION_MS = 1000;

/** Jittered, so that the clients of a server that comes back do not all come in one moment. */
export function reconnectDelayMs(failures: number, fraction: number): number {
  const fullMs = Math.min(RECONNECT_LAST_MS, RECONNECT_FIRST_MS * 2 ** (failures - 1));
  return fullMs * (0.5 + fraction / 2);
}

/** With these ends an attempt at what says nothing, or not what memcached says. */
const SPEECHLESS: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'MEMCACHED_PROTOCOL',
  'MEMCACHED_TIMED_OUT',
  'MEMCACHED_CLOSED',
]);

interface Waiter {
  readonly resolve: (connection: Connection) => void;
  readonly reject: (error: TorilError) => void;
  readonly deadline: Timer;
}

export class SocketServer implements MemcachedServer {
  readonly address: string;
  readonly #options: ServerOptions;
  readonly #engines: readonly ProtocolEngine[];
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #waiters = new Set<Waiter>();
  readonly #closing = new AbortController();
  #running: Promise<void> | undefined;
  #connection: OwnedConnection | undefined;
  #attempt: Attempt | undefined;
  /** What it spoke last; undefined: that is to be found out. */
  #spoken: readonly ProtocolEngine[] | undefined;
  #lastError: TorilError | undefined;
  #facts: ServerFacts | undefined;
  #epoch = 0;

  /** @param engines at least one, in the order in which they are tried */
  constructor(
    options: ServerOptions,
    engines: readonly ProtocolEngine[],
    clock: Clock,
    random: Random,
  ) {
    this.address = options.address;
    this.#options = options;
    this.#engines = engines;
    this.#clock = clock;
    this.#random = random;
  }

  get current(): Connection | undefined {
    return this.#connection?.alive === true ? this.#connection : undefined;
  }

  get trouble(): TorilError | undefined {
    return this.current === undefined ? this.#lastError : undefined;
  }

  get facts(): ServerFacts | undefined {
    return this.#facts;
  }

  connection(): Promise<Connection> {
    if (this.current !== undefined) return Promise.resolve(this.current);
    if (this.#closing.signal.aborted) return Promise.reject(closedClientError(this.address));
    this.#running ??= this.#stayConnected();
    return new Promise((resolve, reject) => {
      const giveUp = (): void => {
        this.#waiters.delete(waiter);
        reject(this.#whyNot());
      };
      const { requestDeadlineMs } = this.#options;
      const deadline = this.#clock.after(requestDeadlineMs, giveUp, { keepAlive: true });
      const waiter: Waiter = { resolve, reject, deadline };
      this.#waiters.add(waiter);
    });
  }

  async close(atOnce = false): Promise<void> {
    this.#closing.abort();
    if (atOnce) this.#connection?.destroy();
    this.#attempt?.abort();
    this.#rejectWaiters(closedClientError(this.address));
    await this.#connection?.drain();
    await this.#running;
  }

  /** Runs from the first wish for a connection until `close`. Never rejects. */
  async #stayConnected(): Promise<void> {
    const { signal } = this.#closing;
    for (let failures = 0; !signal.aborted; ) {
      const livedMs = await this.#connectOnce();
      failures = livedMs >= SOUND_CONNECTION_MS ? 0 : failures + 1;
      if (failures === 0 || signal.aborted) continue;
      await pause(this.#clock, reconnectDelayMs(failures, this.#random.fraction()), signal);
    }
  }

  /** Resolves, when the connection has ended or could not be made, with the milliseconds it lived. */
  async #connectOnce(): Promise<number> {
    this.#attempt = new Attempt(this.#options, this.#spoken ?? this.#engines, this.#clock);
    try {
      const { facts, connect, engine } = await this.#attempt.result();
      this.#spoken = [engine];
      this.#attempt = undefined;
      this.#facts = facts;
      this.#epoch++;
      this.#connection = connect(this.#epoch);
    } catch (error) {
      this.#attempt = undefined;
      this.#spoken = undefined; // it may come back as another one
      this.#fail(error as TorilError);
      return 0;
    }
    const sinceMs = this.#clock.monotonicMs();
    const connection = this.#connection;
    this.#lastError = undefined;
    this.#resolveWaiters(connection);
    if (this.#closing.signal.aborted) connection.destroy();
    await connection.ended;
    return this.#clock.monotonicMs() - sinceMs;
  }

  #fail(error: TorilError): void {
    this.#lastError = this.#inContext(error);
    if (!mayComeLater(this.#lastError)) this.#rejectWaiters(this.#lastError);
  }

  /** Why there is no connection, as far as is known at this moment. */
  #whyNot(): TorilError {
    const error = this.#lastError ?? this.#attempt?.soFar();
    if (error !== undefined) return this.#inContext(error);
    return unreachableError(
      this.address,
      `no connection within ${this.#options.requestDeadlineMs} ms`,
    );
  }

  /** A server that did speak the protocol has not forgotten it: it hangs, or is going down. */
  #inContext(error: TorilError): TorilError {
    if (!SPEECHLESS.has(error.code) || this.#facts === undefined) return error;
    return unreachableError(this.address, 'it takes connections, but does not answer', error);
  }

  #resolveWaiters(connection: Connection): void {
    for (const waiter of this.#takeWaiters()) waiter.resolve(connection);
  }

  #rejectWaiters(error: TorilError): void {
    for (const waiter of this.#takeWaiters()) waiter.reject(error);
  }

  #takeWaiters(): readonly Waiter[] {
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const { deadline } of waiters) deadline.cancel();
    return waiters;
  }
}
