/**
 * The lock as a feature of its own: change a memcached value, or act on the outside world, with the
 * certainty that nobody else does. The strict protocol is in strict-cell.ts; here is the order of
 * things: wait for one's turn, acquire all leases, draw one token, close the cells to all older
 * holders, run the user's function, write and release.
 *
 * The token is drawn before the cells are closed, since closing also proves that the leases are
 * still held: so a later holder draws later, and gets a higher one. If this process was
 * the last to change the keys, as far as it knows, it draws the token first of all, and has the acquisition close the cells.
 */
import { type Clock, pause, systemClock } from '../../base/clock.ts';
import { type Random, systemRandom } from '../../base/random.ts';
import { TorilError } from '../../errors.ts';
import { checkKey } from '../../key.ts';
import { refuseMisspelt } from '../../options.ts';
import type { MemcachedServers } from '../../memcached/servers.ts';
import { type Acquired, Acquirer, releaseAll } from '../acquirer.ts';
import { checkLeaseMs, LEASE_DEFAULT_MS } from '../lease.ts';
import { MemcachedLeaseLocks } from '../lease-locks.ts';
import type { DrawnToken, TokenSource } from '../lock.ts';
import { WaitBudget } from '../wait-budget.ts';
import { OwnCommits } from '../own-commits.ts';
import type { CellCodec } from './cell-codec.ts';
import { closeCells, closedCells, heldCells, noteFound } from './closing.ts';
import type { HeldKey, HeldKeys } from './held-keys.ts';
import { LeaseSession } from './lease-session.ts';
import { KeyedMutex } from './keyed-mutex.ts';

/** Longer than the default lease and its takeover: outlasts a holder that died. */
const WAIT_DEFAULT_MS = 30_000;
/** setTimeout takes no more. */
const WAIT_MAX_MS: number = 2 ** 31 - 1;
/** All of them are held at the same time. */
const KEYS_MAX = 100;

export interface LocksOptions {
  readonly memcached: MemcachedServers;
  readonly tokens: TokenSource;
  readonly codec: CellCodec;
  readonly clock?: Clock;
  readonly random?: Random;
  /** Milliseconds, 100 to 3,600,000; default 10,000. It is renewed while the function runs. */
  readonly leaseMs?: number;
  /** Milliseconds to wait for the lease; default 30,000. */
  readonly waitMs?: number;
}

export interface WithLeaseOptions {
  readonly leaseMs?: number | undefined;
  readonly waitMs?: number | undefined;
  /** Gives up waiting. Once the function runs, it is left to its own signal. */
  readonly signal?: AbortSignal | undefined;
}

/** What is done under the lease of one key, */
export type ForOne<Value, Result> = (held: HeldKey<Value>) => Promise<Result> | Result;
/** or of several. */
export type ForMany<Value, Result> = (held: HeldKeys<Value>) => Promise<Result> | Result;

export interface Locks {
  /**
   * Runs `fn` while nobody else holds `key`, hands its result back, and writes what it wanted
   * written. Throws what `fn` throws, with nothing written. Not reentrant: `fn` must not ask for
   * its own key again. With several keys all are held at once; their writes are sent together, but
   * memcached has no transaction: after an UncommittedError some may have landed.
   *
   * @throws UncommittedError (LEASE_LOST, VALUE_TOO_LARGE, MEMCACHED_REFUSED), a TorilError that
   *   says for each key whether it was written; while `fn` still runs if the lease is lost meanwhile
   * @throws TorilError LEASE_TIMED_OUT within `waitMs`, whatever the servers do (cause: why one of them
   *   could not be asked), INVALID_KEY, INVALID_OPTIONS, FOREIGN_VALUE, REDIS_FAILED, REDIS_WENT_BACK,
   *   CELL_OF_ANOTHER_REDIS, CLOSED; the
   *   signal's reason
   */
  withLease<Result, Value = unknown>(
    key: string,
    fn: ForOne<Value, Result>,
    options?: WithLeaseOptions,
  ): Promise<Result>;
  withLease<Result, Value = unknown>(
    keys: readonly string[],
    fn: ForMany<Value, Result>,
    options?: WithLeaseOptions,
  ): Promise<Result>;
  /** Ends all leases: functions that still run lose theirs, and who waits is told CLOSED. */
  close(): Promise<void>;
}

/** Before anything waits. @throws TorilError INVALID_OPTIONS */
function checkCall(fn: unknown, options: unknown): void {
  if (typeof fn !== 'function' || typeof options !== 'object' || options === null) {
    throw new TorilError(
      'INVALID_OPTIONS',
      'withLease takes a key, a function, and then perhaps options: withLease(key, async (held) => …, { waitMs }).',
    );
  }
  refuseMisspelt('withLease', options, ['leaseMs', 'waitMs', 'signal']);
}

export function createLocks(options: LocksOptions): Locks {
  return new StrictLocks(options);
}

class StrictLocks implements Locks {
  readonly #options: LocksOptions;
  readonly #clock: Clock;
  readonly #leaseMs: number;
  readonly #waitMs: number;
  readonly #leases: MemcachedLeaseLocks;
  readonly #acquirer: Acquirer;
  readonly #commits = new OwnCommits();
  readonly #mutex = new KeyedMutex();
  readonly #waiting = new Set<WaitBudget>();

  constructor(options: LocksOptions) {
    const { memcached, clock = systemClock, random = systemRandom } = options;
    this.#options = options;
    this.#clock = clock;
    this.#leaseMs = options.leaseMs ?? LEASE_DEFAULT_MS;
    this.#waitMs = checkedWaitMs(options.waitMs ?? WAIT_DEFAULT_MS);
    this.#leases = new MemcachedLeaseLocks({ clock, random, leaseMs: this.#leaseMs });
    const [leases, commits] = [this.#leases, this.#commits];
    this.#acquirer = new Acquirer({ memcached, leases, clock, commits });
  }

  async withLease<Result, Value>(
    target: string | readonly string[],
    fn: ForOne<Value, Result> | ForMany<Value, Result>,
    options: WithLeaseOptions = {},
  ): Promise<Result> {
    checkCall(fn, options);
    const keys = sortedKeys(typeof target === 'string' ? [target] : target);
    const leaseMs = options.leaseMs ?? this.#leaseMs;
    checkLeaseMs(leaseMs);
    const waitMs = checkedWaitMs(options.waitMs ?? this.#waitMs);
    const budget = new WaitBudget(this.#clock, waitMs, options.signal);
    const inside: string[] = [];
    this.#waiting.add(budget);
    try {
      await this.#queueUp(keys, inside, budget);
      const session = await this.#settle(keys, leaseMs, budget);
      this.#waiting.delete(budget);
      budget.end();
      return await session.run((held) =>
        typeof target === 'string'
          ? (fn as ForOne<Value, Result>)(heldKey(target, held as HeldKeys<Value>))
          : (fn as ForMany<Value, Result>)(held as HeldKeys<Value>),
      );
    } finally {
      this.#waiting.delete(budget);
      budget.end();
      for (const key of inside) this.#mutex.leave(key);
    }
  }

  close(): Promise<void> {
    const closed = new TorilError('CLOSED', 'the locks are closed.');
    for (const budget of this.#waiting) budget.giveUp(closed);
    return this.#leases.close();
  }

  /** In the keys' order, all before the first lease is asked for: then no two callers wait for each other. */
  async #queueUp(keys: readonly string[], inside: string[], budget: WaitBudget): Promise<void> {
    for (const key of keys) {
      if (await this.#mutex.enter(key, budget.signal)) inside.push(key);
      budget.check();
    }
  }

  /** Leases, then the token, then the cells. Whatever goes wrong gives all leases back. */
  async #settle(
    keys: readonly string[],
    leaseMs: number,
    budget: WaitBudget,
  ): Promise<LeaseSession> {
    for (;;) {
      const mayClose = this.#acquirer.mayClose(keys);
      const early = mayClose ? await this.#draw(leaseMs, budget) : undefined;
      const closes = early !== undefined;
      const acquired = await this.#acquirer.acquireAll(keys, leaseMs, budget, closes);
      let session: LeaseSession | undefined;
      try {
        session = await this.#session(acquired, early, leaseMs, budget);
      } finally {
        if (session === undefined) releaseAll(acquired.map(({ lease }) => lease));
      }
      if (session !== undefined) return session;
      budget.check();
    }
  }

  /** Undefined: the leases are of no use any more. `early`: was drawn before they were acquired. */
  async #session(
    acquired: readonly Acquired[],
    early: DrawnToken | undefined,
    leaseMs: number,
    budget: WaitBudget,
  ): Promise<LeaseSession | undefined> {
    const { codec } = this.#options;
    const commits = this.#commits;
    await budget.within(noteFound(acquired, commits));
    const closed = early && (await budget.within(closedCells(acquired)));
    const drawn = closed === undefined ? await this.#draw(leaseMs, budget) : early;
    if (drawn === undefined) return undefined;
    const guardings = closed ?? (await budget.within(closeCells(acquired, codec)));
    const cells = heldCells(acquired, guardings, codec, drawn);
    if (cells !== undefined) return new LeaseSession({ cells, codec, drawn, commits });
    budget.noteObstacle('the lease was lost again before it could be used');
    return undefined;
  }

  /**
   * Undefined: there was none for as long as a lease lasts. Somebody else may have the leases, whose
   * Redis answers.
   */
  async #draw(leaseMs: number, budget: WaitBudget): Promise<DrawnToken | undefined> {
    const { tokens } = this.#options;
    const over = new AbortController();
    const troubled = (cause?: TorilError): void =>
      budget.noteObstacle('Redis gives no fencing token', cause);
    troubled();
    const late = pause(this.#clock, leaseMs, over.signal).then(() => undefined);
    try {
      const drawn = tokens.drawToken({ signal: over.signal, troubled });
      return await budget.within(Promise.race([drawn, late]));
    } finally {
      over.abort();
    }
  }
}

function heldKey<Value>(key: string, held: HeldKeys<Value>): HeldKey<Value> {
  const { token, signal } = held;
  return { key, token, signal, value: held.read(key), write: (value) => held.write(key, value) };
}

/** The same order in every process, so that no two wait for each other; each key once. */
function sortedKeys(keys: readonly string[]): string[] {
  for (const key of keys) checkKey(key);
  const sorted = [...new Set(keys)].sort();
  if (sorted.length === 0 || sorted.length > KEYS_MAX) {
    throw new TorilError(
      'INVALID_OPTIONS',
      `withLease takes 1 to ${KEYS_MAX} keys, not ${sorted.length}.`,
    );
  }
  return sorted;
}

function checkedWaitMs(waitMs: number): number {
  if (waitMs >= 0 && waitMs <= WAIT_MAX_MS) return waitMs;
  throw new TorilError(
    'INVALID_OPTIONS',
    `waitMs must be a number from 0 to ${WAIT_MAX_MS}, not ${waitMs}.`,
  );
}
