/** Waits for leases: attempt after attempt, until they are held or the budget ends. */
import { assert } from '../base/assert.ts';
import { type Clock, pause } from '../base/clock.ts';
import { cellName, lockName } from '../memcached/item-names.ts';
import {
  type Cas,
  type Connection,
  type Item,
  mayComeLater,
  type Outcome,
} from '../memcached/server.ts';
import type { MemcachedServers } from '../memcached/servers.ts';
import type { Acquisition, Lease, LeaseLocks } from './lock.ts';
import type { OwnCommits } from './own-commits.ts';
import type { WaitBudget } from './wait-budget.ts';

/** Between two attempts on a server that is out of reach. */
const UNAVAILABLE_RETRY_MS = 100;

/** A key whose lease is held, and the read of its cell that travelled with the acquisition. */
export interface Acquired {
  readonly key: string;
  readonly lease: Lease;
  readonly read: Promise<Outcome<Item>>;
  /** The cell was to be closed in the same write, by the CAS of the own last commit. */
  readonly closing: Promise<Outcome<Cas>> | undefined;
}

export interface AcquirerOptions {
  readonly memcached: MemcachedServers;
  readonly leases: LeaseLocks;
  readonly clock: Clock;
  /** Undefined: cells are never closed in the acquiring write. */
  readonly commits?: OwnCommits;
}

export class Acquirer {
  readonly #memcached: MemcachedServers;
  readonly #leases: LeaseLocks;
  readonly #clock: Clock;
  readonly #commits: OwnCommits | undefined;

  constructor({ memcached, leases, clock, commits }: AcquirerOptions) {
    this.#memcached = memcached;
    this.#leases = leases;
    this.#clock = clock;
    this.#commits = commits;
  }

  /** Each of the cells was last committed to from here, as far as is known: they may be closed in the acquiring write. */
  mayClose(keys: readonly string[]): boolean {
    return keys.every((key) => {
      const { current } = this.#memcached.serverFor(key);
      return this.#commits?.has(cellName(key), current) === true;
    });
  }

  /**
   * One after the other, in the order given. One may be lost while another is waited for: whoever
   * uses them finds out. `closes`: the cells in the same write, where that is possible. Throws what
   * `budget.check` throws, and errors that do not pass.
   */
  async acquireAll(
    keys: readonly string[],
    leaseMs: number,
    budget: WaitBudget,
    closes: boolean = false,
  ): Promise<Acquired[]> {
    const acquired: Acquired[] = [];
    try {
      for (const key of keys) acquired.push(await this.#acquire(key, leaseMs, budget, closes));
      return acquired;
    } catch (error) {
      releaseAll(acquired.map(({ lease }) => lease));
      throw error;
    }
  }

  async #acquire(
    key: string,
    leaseMs: number,
    budget: WaitBudget,
    closes: boolean,
  ): Promise<Acquired> {
    const server = this.#memcached.serverFor(key);
    const cell = cellName(key);
    for (;;) {
      let read: Promise<Outcome<Item>> | undefined;
      let closing: Promise<Outcome<Cas>> | undefined;
      const beside = (connection: Connection): void | (() => void) => {
        read = connection.get(cell);
        closing = undefined;
        const cas = closes ? this.#commits?.take(cell, connection) : undefined;
        // Behind the lock: it must be ours at a moment at which the cell is closed.
        if (cas !== undefined) return () => void (closing = connection.bump(cell, cas));
      };
      const attempt = this.#leases.attempt(server, lockName(key), beside, leaseMs);
      const acquisition = await withinBudget(attempt, budget);
      switch (acquisition.kind) {
        case 'held':
          assert(read !== undefined, 'a lease without the read beside it');
          return { key, lease: acquisition.lease, read, closing };
        case 'busy':
          budget.noteObstacle(`somebody else holds "${key}"`);
          await pause(this.#clock, acquisition.retryAfterMs, budget.signal);
          break;
        case 'unavailable': {
          const { cause } = acquisition;
          if (!mayComeLater(cause)) throw cause;
          budget.noteObstacle(cause.message.replace(/\.$/, ''), cause);
          await pause(this.#clock, UNAVAILABLE_RETRY_MS, budget.signal);
        }
      }
      budget.check();
    }
  }
}

/** Nobody waits for the answers: the next holder does. */
export function releaseAll(leases: readonly Lease[]): void {
  for (const lease of leases) void lease.release();
}

/** An attempt can outlast the budget, on a server that does not answer. What it still brings is given back. */
async function withinBudget(
  attempt: Promise<Acquisition>,
  budget: WaitBudget,
): Promise<Acquisition> {
  try {
    return await budget.within(attempt);
  } catch (thrown) {
    attempt.then(
      (late) => late.kind === 'held' && void late.lease.release(),
      () => undefined, // thrown already
    );
    throw thrown;
  }
}
