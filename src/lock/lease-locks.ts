/**
 * Acquiring leases. One attempt is one request, `add(lock)`, or `replace(lock)` with the CAS that
 * this process has watched for longer than the holder's lease. What can come in between, and what
 * it leads to:
 * - the process dies after sending: the lock stands without a holder, and is taken over;
 * - the answer does not come: a new connection tells whether the lock carries this attempt's owner
 *   id. If it does not, the request may still land later: a lock without a holder, as above;
 * - the answer comes too late: trust is counted from the sending, so the lease may be over on
 *   arrival, and is given back.
 */
import type { Clock } from '../base/clock.ts';
import type { Random } from '../base/random.ts';
import { TorilError } from '../errors.ts';
import type { Cas, Connection, Item, MemcachedServer, Outcome } from '../memcached/server.ts';
import { type Claim, HeldLease } from './held-lease.ts';
import { checkLeaseMs, LEASE_DEFAULT_MS, trustEndMs } from './lease.ts';
import { LeaseGroup } from './lease-group.ts';
import type { Acquisition, Beside, LeaseLocks } from './lock.ts';
import { foreignLock, isStanding, newLock, ownerOf, parseLock } from './lock-item.ts';
import { retryAfterMs, LockObservations } from './lock-observations.ts';

/** How often one attempt starts over because its connection ended before anything was sent. */
const CONNECTIONS_PER_ATTEMPT = 3;

export interface MemcachedLeaseLocksOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Default 10 s. */
  readonly leaseMs?: number;
  /** Default: nothing was seen yet. */
  readonly observations?: LockObservations;
}

export class MemcachedLeaseLocks implements LeaseLocks {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #leaseMs: number;
  readonly #groups = new Map<Connection, LeaseGroup>();
  readonly #observations: LockObservations;
  readonly #abandon = (owner: string): void => this.#observations.abandon(owner);
  #closing: Promise<void> | undefined;
  #attempts = 0;
  #attemptsOver: (() => void) | undefined;

  constructor({
    clock,
    random,
    leaseMs = LEASE_DEFAULT_MS,
    observations = new LockObservations(),
  }: MemcachedLeaseLocksOptions) {
    checkLeaseMs(leaseMs);
    this.#observations = observations;
    this.#clock = clock;
    this.#random = random;
    this.#leaseMs = leaseMs;
  }

  async attempt(
    server: MemcachedServer,
    lockName: string,
    beside: Beside,
    leaseMs: number = this.#leaseMs,
  ): Promise<Acquisition> {
    this.#attempts++;
    try {
      for (let tries = 1; ; tries++) {
        const connection = living(server) ?? (await connectionOf(server));
        if (connection instanceof TorilError) return unavailable(connection);
        if (this.#closing !== undefined) return closed();
        // From here to the request nothing may be awaited: the claim belongs to this connection.
        const claim = this.#claim(connection, lockName, leaseMs);
        const behind = beside(connection);
        const asking = ask(connection, claim);
        behind?.();
        const outcome = await asking;
        if (outcome.kind === 'done') return this.#hold(connection, claim, outcome.value);
        if (wasNotSent(outcome) && tries < CONNECTIONS_PER_ATTEMPT) continue;
        return await this.#withoutLease(server, connection, claim, beside, outcome);
      }
    } finally {
      this.#attempts--;
      if (this.#attempts === 0) this.#attemptsOver?.();
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const shutDown = [...this.#groups.values()].map((group) => group.shutDown());
    if (this.#attempts > 0) await new Promise<void>((resolve) => (this.#attemptsOver = resolve));
    await Promise.all(shutDown);
  }

  #claim(connection: Connection, lockName: string, durationMs: number): Claim {
    const sentMs = this.#clock.monotonicMs();
    const takeoverCas = this.#observations.takeoverCas(lockName, connection, sentMs);
    const lock = newLock(this.#random, durationMs, connection, takeoverCas);
    return { lockName, lock, durationMs, sentMs, takeoverCas };
  }

  /** What an attempt leads to whose request was not simply granted. */
  async #withoutLease(
    server: MemcachedServer,
    connection: Connection,
    claim: Claim,
    beside: Beside,
    outcome: Exclude<Outcome<Cas>, { kind: 'done' }>,
  ): Promise<Acquisition> {
    if (outcome.kind === 'unknown') return this.#findOut(server, claim, beside);
    switch (outcome.reason) {
      case 'exists':
        return this.#look(connection, claim.lockName, outcome.found);
      case 'missing':
        return this.#free(claim.lockName);
      case 'not-sent':
        return lostConnection('before the lock was asked for');
      case 'too-large':
      case 'out-of-memory':
        return noRoom(outcome.reason);
    }
  }

  #hold(connection: Connection, claim: Claim, cas: Cas): Acquisition {
    this.#observations.forget(claim.lockName);
    if (!connection.alive) {
      this.#abandon(ownerOf(claim.lock));
      return lostConnection('with the answer');
    }
    const group = this.#groupOf(connection);
    const lease = new HeldLease(group, connection, claim, cas);
    if (this.#closing !== undefined) {
      void lease.release();
      return closed();
    }
    if (this.#clock.monotonicMs() >= trustEndMs(claim.sentMs, claim.durationMs)) {
      void lease.release();
      return tooLate(claim.durationMs);
    }
    group.keep(lease);
    return { kind: 'held', lease };
  }

  /** Somebody holds the lock: who, which version, and since when have we seen that? */
  async #look(
    connection: Connection,
    lockName: string,
    found: Item | undefined,
  ): Promise<Acquisition> {
    const outcome: Outcome<Item> =
      found === undefined ? await connection.get(lockName) : { kind: 'done', value: found };
    return this.#seen(connection, lockName, outcome);
  }

  #seen(connection: Connection, lockName: string, outcome: Outcome<Item>): Acquisition {
    if (outcome.kind === 'unknown') return unavailable(outcome.cause);
    if (outcome.kind === 'refused') {
      if (outcome.reason === 'missing') return this.#free(lockName);
      return lostConnection('before the lock was read');
    }
    const content = parseLock(outcome.value);
    if (content === undefined) return unavailable(foreignLock(lockName));
    const nowMs = this.#clock.monotonicMs();
    const observation = this.#observations.see(
      lockName,
      connection,
      outcome.value.cas,
      content,
      nowMs,
    );
    return { kind: 'busy', retryAfterMs: retryAfterMs(observation, nowMs, this.#random) };
  }

  #free(lockName: string): Acquisition {
    this.#observations.forget(lockName);
    return { kind: 'busy', retryAfterMs: 0 };
  }

  /**
   * The answer did not come. If the lock carries our owner id, it is ours, on the connection on
   * which that was read, and trust still counts from the request that wrote it. Else it is not
   * ours, even if the request should land later.
   */
  async #findOut(server: MemcachedServer, claim: Claim, beside: Beside): Promise<Acquisition> {
    const connection = living(server) ?? (await connectionOf(server));
    if (connection instanceof TorilError) {
      this.#abandon(ownerOf(claim.lock));
      return unavailable(connection);
    }
    beside(connection);
    const outcome = await connection.get(claim.lockName);
    const mayKeep = connection.casByUs || claim.lock.item.chosenCas === undefined;
    if (mayKeep && outcome.kind === 'done' && isStanding(claim.lock, outcome.value)) {
      return this.#hold(connection, claim, outcome.value.cas);
    }
    this.#abandon(ownerOf(claim.lock));
    return this.#seen(connection, claim.lockName, outcome);
  }

  #groupOf(connection: Connection): LeaseGroup {
    const known = this.#groups.get(connection);
    if (known !== undefined) return known;
    const forget = (): void => void this.#groups.delete(connection);
    const group = new LeaseGroup(connection, this.#clock, this.#random, this.#abandon, forget);
    this.#groups.set(connection, group);
    return group;
  }
}

function ask(
  connection: Connection,
  { lockName, lock: { item }, takeoverCas }: Claim,
): Promise<Outcome<Cas>> {
  if (takeoverCas === undefined) return connection.add(lockName, item);
  return connection.replace(lockName, item, takeoverCas);
}

function wasNotSent(outcome: Outcome<unknown>): boolean {
  return outcome.kind === 'refused' && outcome.reason === 'not-sent';
}

/** Nearly always there is one, and nothing need be awaited. */
function living({ current }: MemcachedServer): Connection | undefined {
  return current?.alive === true ? current : undefined;
}

/** Returns the error instead of throwing it: being out of reach is an expected answer here. */
async function connectionOf(server: MemcachedServer): Promise<Connection | TorilError> {
  try {
    return await server.connection();
  } catch (error) {
    if (error instanceof TorilError) return error;
    throw error;
  }
}

function unavailable(cause: TorilError): Acquisition {
  return { kind: 'unavailable', cause };
}

function closed(): Acquisition {
  return unavailable(new TorilError('CLOSED', 'the locks are closed.'));
}

function lostConnection(when: string): Acquisition {
  return unavailable(
    new TorilError('MEMCACHED_CLOSED', `the connection to memcached ended ${when}.`),
  );
}

function noRoom(reason: string): Acquisition {
  return unavailable(
    new TorilError('MEMCACHED_REFUSED', `memcached did not store the lock: ${reason}.`),
  );
}

function tooLate(leaseMs: number): Acquisition {
  const message = `memcached took longer to answer than the lease of ${leaseMs} ms lasts.`;
  return unavailable(new TorilError('MEMCACHED_TIMED_OUT', message));
}
