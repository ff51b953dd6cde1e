/** What is known of a server that a worker needs, and telling it: once per state, not once per attempt. */
import { type Clock, pause } from '../../base/clock.ts';
import { TorilError } from '../../errors.ts';
import { mayComeLater, type MemcachedServer } from '../../memcached/server.ts';
import type { EventReporter } from '../worker-events.ts';

/** Milliseconds between two questions to a server that is away: it is tried in the background anyhow. */
const ASK_AGAIN_MS = 100;

export interface ServerStatus {
  /** `redis`, or the address of a memcached server as it was given. */
  readonly server: string;
  readonly available: boolean;
  /** Why it is not; undefined also while nothing is known yet. */
  readonly cause: TorilError | undefined;
}

export class ServerState {
  readonly server: string;
  readonly #report: EventReporter;
  #known: 'nothing' | 'available' | TorilError = 'nothing';
  #isToldUnavailable = false;

  constructor(server: string, report: EventReporter) {
    this.server = server;
    this.#report = report;
  }

  get status(): ServerStatus {
    const known = this.#known;
    return {
      server: this.server,
      available: known === 'available',
      cause: known instanceof TorilError ? known : undefined,
    };
  }

  isAvailable(): void {
    this.#known = 'available';
    if (!this.#isToldUnavailable) return;
    this.#isToldUnavailable = false;
    this.#report('serverAvailable', { server: this.server });
  }

  /** True if that is new. */
  isUnavailable(cause: TorilError): boolean {
    const before = this.#known;
    this.#known = cause;
    if (before instanceof TorilError && before.code === cause.code) return false;
    this.#isToldUnavailable = true;
    this.#report('serverUnavailable', { server: this.server, cause });
    return true;
  }
}

/** Follows a memcached server from now on: it is connected to, and stays so. */
export class MemcachedWatch {
  readonly state: ServerState;
  readonly #server: MemcachedServer;
  readonly #clock: Clock;
  readonly #refused: (cause: TorilError) => void;
  readonly #listening = new Set<(word: TorilError | undefined) => void>();

  /** `refused` is called once for each answer that waiting cannot cure. */
  constructor(
    server: MemcachedServer,
    clock: Clock,
    report: EventReporter,
    refused: (cause: TorilError) => void,
  ) {
    this.state = new ServerState(server.address, report);
    this.#server = server;
    this.#clock = clock;
    this.#refused = refused;
    void this.#follow();
  }

  get status(): ServerStatus {
    const { server, cause } = this.state.status;
    const { current, trouble } = this.#server;
    return { server, available: current !== undefined, cause: cause ?? trouble };
  }

  /** What it says next: undefined if it can be used (also if that is known), else why not. */
  nextWord(): Promise<TorilError | undefined> {
    if (this.state.status.available) return Promise.resolve(undefined);
    return new Promise((resolve) => this.#listening.add(resolve));
  }

  /** Until the server's client is closed. */
  async #follow(): Promise<void> {
    for (;;) {
      try {
        const connection = await this.#server.connection();
        this.state.isAvailable();
        this.#say(undefined);
        await connection.ended;
      } catch (thrown) {
        const cause = thrown as TorilError;
        if (cause.code === 'CLOSED') return this.#say(cause);
        const isNew = this.state.isUnavailable(cause);
        this.#say(cause);
        if (isNew && !mayComeLater(cause)) this.#refused(cause);
        await pause(this.#clock, ASK_AGAIN_MS);
      }
    }
  }

  #say(word: TorilError | undefined): void {
    const listening = [...this.#listening];
    this.#listening.clear();
    for (const resolve of listening) resolve(word);
  }
}
