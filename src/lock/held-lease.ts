/**
 * A lease that is held, and how it ends. States: `held` -> `released` (by its holder), or `held` ->
 * `lost` (trust ran out, the server refused a renewal, the connection ended, the locks were
 * closed). Neither is ever left again: a renewal that is answered after trust has ended does not
 * bring the lease back, since its holder may have been told already.
 */
import type { Clock } from '../base/clock.ts';
import { TorilError } from '../errors.ts';
import type { Random } from '../base/random.ts';
import type { Cas, Connection, Outcome, Refusal } from '../memcached/server.ts';
import { renewalDueMs, renewalRetryMs, trustEndMs } from './lease.ts';
import type { Lease } from './lock.ts';
import { isStanding, type OwnLock, ownerOf, renewedLock } from './lock-item.ts';

/** What became the lease: one attempt's request that succeeded. */
export interface Claim {
  readonly lockName: string;
  readonly lock: OwnLock;
  readonly durationMs: number;
  /** When the request was handed over for sending. */
  readonly sentMs: number;
  /** The CAS over which the lock was taken from its last holder; undefined: it was free. */
  readonly takeoverCas: Cas | undefined;
}

/** What a lease needs of the group of its connection (lease-group.ts). */
export interface LeaseHome {
  readonly clock: Clock;
  readonly random: Random;
  drop(lease: HeldLease): void;
  /** Its `wakeMs` has changed. */
  rearm(lease: HeldLease): void;
  /** The lock may still carry this owner id although the lease is over. */
  abandon(owner: string): void;
}

export class HeldLease implements Lease {
  readonly connection: Connection;
  readonly durationMs: number;
  readonly takenOver: boolean;
  /** When the group is to call `wake`. */
  wakeMs: number;
  readonly #home: LeaseHome;
  readonly #claim: Claim;
  /** As it was written last, be it answered or not. */
  #lock: OwnLock;
  /** Undefined: not known any more, so the lock is left to the others. */
  #cas: Cas | undefined;
  #trustEndMs: number;
  #renewalDueMs: number;
  #renewal: Promise<void> | undefined;
  #state: 'held' | 'released' | 'lost' = 'held';
  #loss: { readonly why: string; readonly cause: unknown } | undefined;
  /** Made when the signal is first read: most leases live a few ms, and nobody asks. */
  #controller: AbortController | undefined;

  constructor(home: LeaseHome, connection: Connection, claim: Claim, cas: Cas) {
    this.#home = home;
    this.#claim = claim;
    this.#lock = claim.lock;
    this.#cas = cas;
    this.connection = connection;
    this.durationMs = claim.durationMs;
    this.takenOver = claim.takeoverCas !== undefined;
    this.#trustEndMs = trustEndMs(claim.sentMs, claim.durationMs);
    this.#renewalDueMs = renewalDueMs(claim.sentMs, claim.durationMs);
    this.wakeMs = this.#renewalDueMs;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#loss !== undefined) this.#controller.abort(this.#lossError());
    }
    return this.#controller.signal;
  }

  trustLeftMs(): number {
    if (this.#state !== 'held') return 0;
    const leftMs = this.#trustEndMs - this.#home.clock.monotonicMs();
    if (leftMs > 0 && this.connection.alive) return leftMs;
    if (this.connection.alive) this.#expire();
    else this.connectionEnded();
    return 0;
  }

  release(): Promise<void> {
    if (this.#state !== 'held') return Promise.resolve();
    this.#state = 'released';
    this.#home.drop(this);
    return this.#leave();
  }

  /**
   * A plain read. Get-and-touch would ignore whose lock it is: a holder that is late would cut the
   * item of a successor with a longer lease down to its own lifetime, and the successor's lock
   * would expire while it is trusted. The owner id says as much as the CAS: every version that
   * carries it was written over the one before it by this very lease.
   */
  async confirm(): Promise<boolean> {
    if (this.trustLeftMs() === 0) return false;
    const lock = this.#lock; // a renewal that is asked for later runs later
    const outcome = await this.connection.get(this.#claim.lockName);
    if (outcome.kind === 'done' && isStanding(lock, outcome.value)) {
      return this.trustLeftMs() > 0;
    }
    if (isWithoutAnswer(outcome)) this.#abandon(this.#lock);
    this.#lose('the server does not confirm the lock as ours', undefined);
    return false;
  }

  /** Called by the group at `wakeMs` or later. */
  wake(nowMs: number): void {
    if (!this.connection.alive) this.connectionEnded();
    else if (nowMs >= this.#trustEndMs) this.#expire();
    else if (this.#renewal === undefined && nowMs >= this.#renewalDueMs) this.#renew(nowMs);
  }

  /** The lock's item is still there, most likely; no request of ours may go out on another connection. */
  connectionEnded(): void {
    this.#abandon(this.#lock);
    this.#lose('the connection to memcached ended', undefined);
  }

  /** The locks are being closed: the lease's holder is told, and the next one can have it. */
  shutDown(): Promise<void> {
    this.#lose('the locks were closed', undefined);
    return this.#leave();
  }

  /** Trust is at zero: nothing is asked first. The next one need not wait for the takeover. */
  #expire(): void {
    this.#lose(`it was not renewed within its ${this.durationMs} ms`, undefined);
    void this.#leave();
  }

  #renew(nowMs: number): void {
    if (this.#cas === undefined) return;
    const before = this.#lock;
    this.#lock = renewedLock(before, this.#home.random);
    this.wakeMs = this.#trustEndMs;
    this.#renewal = this.connection
      .replace(this.#claim.lockName, this.#lock.item, this.#cas)
      .then((outcome) => this.#renewed(nowMs, before, outcome));
  }

  #renewed(sentMs: number, before: OwnLock, outcome: Outcome<Cas>): void {
    this.#renewal = undefined;
    if (outcome.kind === 'done') {
      this.#cas = outcome.value;
      if (this.trustLeftMs() === 0) return;
      this.#trustEndMs = trustEndMs(sentMs, this.durationMs);
      this.#scheduleRenewal(renewalDueMs(sentMs, this.durationMs));
    } else if (outcome.kind === 'refused' && isForWantOfRoom(outcome.reason)) {
      this.#lock = before;
      this.#scheduleRenewal(renewalRetryMs(sentMs, this.durationMs));
    } else {
      this.#cas = undefined;
      // Refused for the CAS: another one has it. Otherwise it may still be there, with either CAS.
      if (isWithoutAnswer(outcome)) {
        this.#abandon(before);
        this.#abandon(this.#lock);
      }
      const why = outcome.kind === 'refused' ? outcome.reason : outcome.kind;
      this.#lose(
        `its renewal ended "${why}"`,
        outcome.kind === 'unknown' ? outcome.cause : undefined,
      );
    }
  }

  #scheduleRenewal(dueMs: number): void {
    this.#renewalDueMs = dueMs;
    this.wakeMs = Math.min(dueMs, this.#trustEndMs);
    this.#home.rearm(this);
  }

  #lose(why: string, cause: unknown): void {
    if (this.#state !== 'held') return;
    this.#state = 'lost';
    this.#loss = { why, cause };
    this.#home.drop(this);
    this.#controller?.abort(this.#lossError());
  }

  #lossError(): TorilError {
    const { why, cause } = this.#loss ?? { why: 'unknown', cause: undefined };
    const options = cause === undefined ? undefined : { cause };
    return new TorilError(
      'LEASE_LOST',
      `the lease on "${this.#claim.lockName}" is lost: ${why}.`,
      options,
    );
  }

  /** A renewal under way changes the CAS, so that the delete has to wait for its answer. */
  #leave(): Promise<void> {
    return this.#renewal === undefined ? this.#delete() : this.#renewal.then(() => this.#delete());
  }

  #delete(): Promise<void> {
    if (this.#cas === undefined) return Promise.resolve();
    return this.connection.delete(this.#claim.lockName, this.#cas).then((outcome) => {
      if (isWithoutAnswer(outcome)) this.#abandon(this.#lock);
    });
  }

  #abandon(lock: OwnLock): void {
    this.#home.abandon(ownerOf(lock));
  }
}

function isForWantOfRoom(reason: Refusal): boolean {
  return reason === 'out-of-memory' || reason === 'too-large';
}

/** The lock may be as it was, or as the request would have it, now or later. */
function isWithoutAnswer(outcome: Outcome<unknown>): boolean {
  return (
    outcome.kind === 'unknown' || (outcome.kind === 'refused' && outcome.reason === 'not-sent')
  );
}
