/**
 * The leases held on one connection. They share one timer for renewals and for the end of trust,
 * and one listener for the connection's end: a lease that lives for a few milliseconds costs an
 * entry in a set, no timer and no listener.
 */
import type { Clock, Timer } from '../base/clock.ts';
import type { Random } from '../base/random.ts';
import type { Connection } from '../memcached/server.ts';
import type { HeldLease, LeaseHome } from './held-lease.ts';

export class LeaseGroup implements LeaseHome {
  readonly clock: Clock;
  readonly random: Random;
  readonly abandon: (owner: string) => void;
  readonly #held = new Set<HeldLease>();
  #timer: Timer | undefined;
  /** When the timer fires; Infinity: it is not armed. */
  #armedForMs = Infinity;

  /** `ended` is called once, when the connection has ended and all its leases are lost. */
  constructor(
    connection: Connection,
    clock: Clock,
    random: Random,
    abandon: (owner: string) => void,
    ended: () => void,
  ) {
    this.clock = clock;
    this.random = random;
    this.abandon = abandon;
    void connection.ended.then(() => {
      for (const lease of this.#held) lease.connectionEnded();
      this.#disarm();
      ended();
    });
  }

  keep(lease: HeldLease): void {
    this.#held.add(lease);
    this.rearm(lease);
  }

  /** The timer stays as it is: it is armed at most once per third of a lease, not once per lease. */
  drop(lease: HeldLease): void {
    this.#held.delete(lease);
  }

  rearm(lease: HeldLease): void {
    if (lease.wakeMs >= this.#armedForMs || !this.#held.has(lease)) return;
    this.#timer?.cancel();
    this.#armedForMs = lease.wakeMs;
    const delayMs = Math.max(0, lease.wakeMs - this.clock.monotonicMs());
    this.#timer = this.clock.after(delayMs, () => this.#wake());
  }

  /** The leases are lost for their holders at once; resolves when the locks are deleted. */
  async shutDown(): Promise<void> {
    const left = [...this.#held].map((lease) => lease.shutDown());
    this.#disarm();
    await Promise.all(left);
  }

  #wake(): void {
    this.#disarm();
    const nowMs = this.clock.monotonicMs();
    for (const lease of this.#held) {
      if (nowMs >= lease.wakeMs) lease.wake(nowMs);
    }
    let earliest: HeldLease | undefined;
    for (const lease of this.#held) {
      if (earliest === undefined || lease.wakeMs < earliest.wakeMs) earliest = lease;
    }
    if (earliest !== undefined) this.rearm(earliest);
  }

  #disarm(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#armedForMs = Infinity;
  }
}
