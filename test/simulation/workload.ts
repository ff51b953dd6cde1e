/** Enqueues the jobs of a run: all at once, or little by little. */
import type { NewJob } from '../../src/testing/bullmq/job-record.ts';
import { Dice } from './dice.ts';
import { Producer } from './producer.ts';
import { type Data, JOINT_KINDS, type UpdateKind } from './updates.ts';
import type { World } from './world.ts';

/** A job before it is in Redis. */
interface Order {
  readonly kind: UpdateKind;
  readonly key: string;
  readonly attempts: number;
  /** Its place in the lane is taken with the add. */
  readonly enters: boolean;
  readonly job: NewJob;
}

export class Workload {
  readonly #world: World;
  readonly #dice: Dice;
  readonly #producerDice: Dice;
  #left: number;
  #producers: Producer[] = [];
  #started = 0;

  constructor(world: World) {
    this.#world = world;
    this.#dice = new Dice(world.options.seed, 'workload');
    this.#producerDice = new Dice(world.options.seed, 'producers');
    this.#left = world.options.jobs;
  }

  /** All jobs have been enqueued, as far as their producers live. */
  get done(): boolean {
    return this.#left === 0 && this.#producers.every((producer) => producer.done);
  }

  start(): void {
    const { jobs, spreadMs } = this.#world.options;
    const burst = this.#dice.pick([1, 1, 5, jobs]);
    for (let job = 0; job < jobs; job += burst) {
      const atMs = this.#dice.fraction() * spreadMs;
      this.#world.scheduler.at(atMs, () => this.#enqueue(Math.min(burst, jobs - job)));
    }
  }

  #enqueue(count: number): void {
    for (let job = 0; job < count; job++) this.#enqueueOne();
  }

  #enqueueOne(): void {
    this.#left -= 1;
    const order = this.#draw();
    const producer = this.#producer();
    if (producer === undefined) this.#place(order);
    else producer.enqueue(this.#transactionOf(order));
  }

  #draw(): Order {
    const { options, keys } = this.#world;
    const dice = this.#dice;
    const kind = dice.pick(options.kinds);
    const key = dice.pick(keys);
    const joint = (JOINT_KINDS as readonly string[]).includes(kind)
      ? this.#several(key)
      : undefined;
    const data: Data = {
      key,
      ...(joint !== undefined && { keys: joint }),
      fails: dice.below(options.failsMax + 1),
      kills: dice.chance(0.3) ? dice.whole(1, options.killsMax) : 0,
      ms: Math.round(dice.magnitude(1, options.slowMsMax)),
    };
    const attempts = dice.whole(1, options.attemptsMax);
    const isDelayed = dice.chance(options.delayedRate);
    const entersLater = isDelayed || dice.chance(options.plainRate);
    const job = {
      ...{ name: kind, data: JSON.stringify(data), key, enters: !entersLater },
      ...(joint !== undefined && { keys: joint }),
      options: {
        attempts,
        backoff: options.backoffMs,
        ...(isDelayed && { delay: dice.whole(1, 100) }),
      },
    };
    return { kind, key, attempts, enters: !entersLater, job };
  }

  /** Two or three keys, of which this is the first. */
  #several(first: string): string[] {
    const keys = [first];
    const most = Math.min(this.#world.keys.length, this.#dice.pick([2, 2, 3]));
    while (keys.length < most) {
      const key = this.#dice.pick(this.#world.keys);
      if (!keys.includes(key)) keys.push(key);
    }
    return keys;
  }

  /** Undefined: jobs of this run appear in Redis as they are drawn. */
  #producer(): Producer | undefined {
    const { producers } = this.#world.options;
    if (producers === 0) return undefined;
    const place = this.#producerDice.below(producers);
    const present = this.#producers[place];
    if (present?.alive === true) return present;
    const name = `producer${++this.#started}`;
    const producer = new Producer(this.#world, name, new Dice(this.#world.options.seed, name));
    this.#producers[place] = producer;
    return producer;
  }

  /** An id of its own makes it repeatable, as long as nobody removes the job meanwhile. */
  #transactionOf(order: Order): { execute: () => void; isRepeatable: boolean } {
    const { bull, faults } = this.#world.options;
    const isRemoved = bull.removeOnComplete || bull.removeOnFail || faults.includes('operator');
    if (isRemoved || !this.#producerDice.chance(0.5)) {
      return { execute: () => this.#place(order), isRepeatable: false };
    }
    const jobId = `own${this.#world.options.jobs - this.#left}`;
    const { job } = order;
    const named = { ...order, job: { ...job, options: { ...job.options, jobId } } };
    return { execute: () => this.#place(named), isRepeatable: true };
  }

  #place({ kind, key, attempts, enters, job: added }: Order): void {
    const { bull, auditor, trace } = this.#world;
    const { jobId = '' } = added.options;
    if (bull.record(jobId) !== undefined) return; // it was there before
    const { job } = bull.add(added);
    auditor.jobs.added(job.id, { key, kind, attempts, entered: enters });
    trace.note('producer', `adds job ${job.id} (${kind}) of ${key}, ${attempts} attempts`);
  }
}
