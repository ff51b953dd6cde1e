/** Enqueues the jobs of a run: all at once, or little by little. */
import { Dice } from './dice.ts';
import type { Data } from './updates.ts';
import type { World } from './world.ts';

export class Workload {
  readonly #world: World;
  readonly #dice: Dice;
  #left: number;

  constructor(world: World) {
    this.#world = world;
    this.#dice = new Dice(world.options.seed, 'workload');
    this.#left = world.options.jobs;
  }

  /** All jobs have been enqueued. */
  get done(): boolean {
    return this.#left === 0;
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
    const { options, keys, bull, auditor, redisClock, trace } = this.#world;
    const dice = this.#dice;
    this.#left -= 1;
    const kind = dice.pick(options.kinds);
    const key = dice.pick(keys);
    const data: Data = {
      key,
      fails: dice.below(options.failsMax + 1),
      kills: dice.chance(0.3) ? dice.whole(1, options.killsMax) : 0,
      ms: Math.round(dice.magnitude(1, options.slowMsMax)),
    };
    const attempts = dice.whole(1, options.attemptsMax);
    const isDelayed = dice.chance(options.delayedRate);
    const entersLater = isDelayed || dice.chance(options.plainRate);
    const job = bull.add(
      {
        name: kind,
        data: JSON.stringify(data),
        ...(!entersLater && { lane: key }),
        ...(isDelayed && { dueMs: redisClock.wallMs() + dice.whole(1, 100) }),
      },
      attempts,
    );
    if (job === undefined) throw new Error('a job without an id of its own was not added');
    auditor.jobs.added(job.id, { key, kind, attempts, entered: !entersLater });
    trace.note('producer', `adds job ${job.id} (${kind}) of ${key}, ${attempts} attempts`);
  }
}
