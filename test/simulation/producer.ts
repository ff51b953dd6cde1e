/**
 * A process that enqueues jobs, each in one transaction as adding.ts does it: BullMQ's add
 * and the place in the lane. It may lose its connection or die half-way, and then nobody knows what
 * became of the job that was under way.
 */
import type { Dice } from './dice.ts';
import { ProcessClock } from './process-clock.ts';
import { type Disconnect, RedisLink } from './redis-link.ts';
import type { World } from './world.ts';

/** Milliseconds by which a transaction of a dead producer is late at most. */
const LATE_MS = [0.1, 100] as const;
const DOWN_MS = [0.1, 50] as const;
/** How often a transaction that failed is tried again, if it bears an id of its own. */
const TRIES_MAX = 3;

export interface Transaction {
  /** Runs in Redis, at once and as a whole. */
  readonly execute: () => void;
  /** Executed a second time it does nothing. */
  readonly isRepeatable: boolean;
}

export class Producer {
  readonly #world: World;
  readonly #name: string;
  readonly #dice: Dice;
  readonly #clock: ProcessClock;
  readonly #link: RedisLink;
  readonly #underWay = new Set<Transaction>();

  constructor(world: World, name: string, dice: Dice) {
    this.#world = world;
    this.#name = name;
    this.#dice = dice;
    this.#clock = new ProcessClock(world.scheduler, dice, { rate: 1, latenessMs: 0 });
    this.#link = new RedisLink(world.network, this.#clock, () => world.isRefusing);
  }

  get alive(): boolean {
    return this.#clock.alive;
  }

  /** It waits for nothing more; what a dead one has sent may still arrive. */
  get done(): boolean {
    return this.#underWay.size === 0;
  }

  enqueue(transaction: Transaction): void {
    this.#underWay.add(transaction);
    this.#send(transaction, 1);
    if (!this.#dice.chance(this.#world.options.producerFaultRate)) return;
    const afterMs = this.#dice.fraction() * 2 * this.#world.network.latencyMs();
    this.#world.scheduler.at(afterMs, () => this.#strike());
  }

  #send(transaction: Transaction, tries: number): void {
    this.#link.call(transaction.execute).then(
      () => this.#underWay.delete(transaction),
      () => {
        if (transaction.isRepeatable && tries < TRIES_MAX) this.#send(transaction, tries + 1);
        else this.#underWay.delete(transaction);
      },
    );
  }

  #strike(): void {
    if (!this.alive) return;
    const underWay: Disconnect['underWay'] = this.#dice.chance(0.5)
      ? 'lost'
      : { lateMs: this.#dice.magnitude(...LATE_MS) };
    if (this.#dice.chance(0.5)) return this.#die(underWay);
    this.#note('loses its connection');
    const pending = this.#dice.pick(['resend', 'fail']);
    this.#link.disconnect({ downMs: this.#dice.magnitude(...DOWN_MS), pending, underWay });
  }

  #die(underWay: Disconnect['underWay']): void {
    this.#note('is killed');
    this.#clock.kill();
    this.#link.abandon(underWay);
    this.#underWay.clear();
  }

  #note(what: string): void {
    this.#world.count(`fault producer ${what}`);
    this.#world.trace.note(this.#name, what);
  }
}
