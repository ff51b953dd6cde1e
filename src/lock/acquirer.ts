/** Waits for leases: attempt after attempt, until they are held or the budget ends. */
import { assert } from '../base/assert.ts';
import { type Clock, pause } from '../base/clock.ts';
import { cellName, lockName } from '../memcached/item-names.ts';
import { type Item, mayComeLater, type Outcome } from '../memcached/server.ts';
import type { MemcachedServers } from '../memcached/servers.ts';
import type { Acquisition, Lease, LeaseLocks } from './lock.ts';
import type { WaitBudget } from './wait-budget.ts';

/** Between two attempts on a server that is out of reach. */
const UNAVAILABLE_RETRY_MS = 100;

/** A key whose lease is held, and the read of its cell that travelled with the acquisition. */
export interface Acquired {
  readonly key: string;
  readonly lease: Lease;
  readonly read: Promise<Outcome<Item>>;
}

export interface AcquirerOptions {
  readonly memcached: MemcachedServers;
  readonly leases: LeaseLocks;
  readonly clock: Clock;
}

export class Acquirer {
  readonly #memcached: MemcachedServers;
  readonly #leases: LeaseLocks;
  readonly #clock: Clock;

  constructor({ memcached, leases, clock }: AcquirerOptions) {
    this.#memcached = memcached;
    this.#leases = leases;
    this.#clock = clock;
  }

  /**
   * One after the other, in the order given. One may be lost while another is waited for: whoever
   * uses them finds out. Throws what `budget.check` throws, and errors that do not pass.
   */
  async acquireAll(
    keys: readonly string[],
    leaseMs: number,
    budget: WaitBudget,
  ): Promise<Acquired[]> {
    const acquired: Acquired[] = [];
    try {
      for (const key of keys) acquired.push(await this.#acquire(key, leaseMs, budget));
      return acquired;
    } catch (error) {
      releaseAll(acquired.map(({ lease }) => lease));
      throw error;
    }
  }

  async #acquire(key: string, leaseMs: number, budget: WaitBudget): Promise<Acquired> {
    const server = this.#memcached.serverFor(key);
    for (;;) {
      let read: Promise<Outcome<Item>> | undefined;
      const attempt = this.#leases.attempt(
        server,
        lockName(key),
        (connection) => {
          read = connection.get(cellName(key));
        },
        leaseMs,
      );
      const acquisition = await withinBudget(attempt, budget);
      switch (acquisition.kind) {
        case 'held':
          assert(read !== undefined, 'a lease without the read beside it');
          return { key, lease: acquisition.lease, read };
        case 'busy':
          budget.noteObstacle(`somebody else holds "${key}"`);
          await pause(this.#clock, acquisition.retryAfterMs, budget.signal);
          break;
        case 'unavailable': {
          const { cause } = acquisition;
          if (!mayComeLater(cause)) throw cause;
          budget.noteObstacle(`${server.address} is unavailable`, cause);
          await pause(this.#clock, UNAVAILABLE_RETRY_MS, budget.signal);
        }
      }
      budget.check();
    }
  }
}

/** Nobody waits for the answers: whoever comes next does. */
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
