/** The workers of a test bed: who gets the next job, who is frozen, who takes a dead one's place. */
import type { Clock } from '../../base/clock.ts';
import type { JobQueue } from '../bullmq/job-queue.ts';
import type { TestWorker } from './test-worker.ts';
import { Upkeep } from './upkeep.ts';

export interface CrewOptions {
  readonly workers: number;
  /** Jobs that one worker has in hand at most. */
  readonly concurrency: number;
  /** Milliseconds until another one takes the place of one that crashed; Infinity: nobody does. */
  readonly restartMs: number;
  /** As Upkeep has them. */
  readonly lockMs: number;
  readonly stalledCheckMs: number;
  readonly clock: Clock;
  readonly queue: JobQueue;
  /** A number in [0, 1): chooses who is delivered a job. */
  readonly fraction: () => number;
  readonly start: (place: number, life: number) => TestWorker;
}

export class Crew {
  readonly #options: CrewOptions;
  readonly upkeep: Upkeep;
  readonly #workers: TestWorker[] = [];
  #lives = 0;
  #delivering = false;
  #handingOut = false;
  /** The application paused or closed its worker: no job is handed out. */
  #isResting = false;

  constructor(options: CrewOptions) {
    this.#options = options;
    const { clock, queue, lockMs, stalledCheckMs } = options;
    const isWatched = (): boolean => this.#running().length > 0;
    this.upkeep = new Upkeep({ clock, queue, lockMs, stalledCheckMs, isWatched });
    for (let place = 0; place < options.workers; place++) this.#start(place);
    options.queue.places.onWaiting = () => {
      if (!this.#handingOut) this.deliver();
    };
  }

  /** By place; one of them may be dead. */
  get workers(): readonly TestWorker[] {
    return this.#workers;
  }

  /** Work is in hand that only needs time. */
  get isPressed(): boolean {
    return this.#workers.some(({ clock }) => clock.pressing > 0);
  }

  /** An update has been called and has not settled. */
  get isApplying(): boolean {
    return this.#workers.some(({ clock, applying }) => clock.state === 'running' && applying > 0);
  }

  set isResting(isResting: boolean) {
    this.#isResting = isResting;
    if (!isResting) this.deliver();
  }

  /** Hands out what waits, in the next moment. */
  deliver(): void {
    if (this.#delivering) return;
    this.#delivering = true;
    this.#options.clock.soon(() => {
      this.#delivering = false;
      this.#handingOut = true;
      this.#handOut();
      this.#handingOut = false;
    });
  }

  /** The one that is meant; undefined: the busiest that runs. */
  find(place: number | undefined): TestWorker | undefined {
    if (place !== undefined) return this.#workers[place];
    return this.#running().toSorted((a, b) => b.jobsInHand - a.jobsInHand)[0];
  }

  crash(place: number): void {
    const worker = this.#workers[place];
    if (worker === undefined || worker.clock.state === 'dead') return;
    const { clock, restartMs } = this.#options;
    worker.kill();
    this.upkeep.workerLost(worker.name);
    if (restartMs === Number.POSITIVE_INFINITY) return;
    clock.after(restartMs, () => {
      this.#start(place);
      this.deliver();
    });
  }

  freeze(place: number): void {
    const worker = this.#workers[place];
    if (worker?.clock.state !== 'running') return;
    worker.clock.freeze();
    this.upkeep.workerLost(worker.name);
  }

  thaw(place: number): void {
    const worker = this.#workers[place];
    if (worker?.clock.state !== 'frozen') return;
    worker.clock.thaw();
    this.upkeep.workerBack(worker.name);
    this.deliver();
  }

  #start(place: number): void {
    this.#workers[place] = this.#options.start(place, ++this.#lives);
  }

  #running(): TestWorker[] {
    return this.#workers.filter(({ clock }) => clock.state === 'running');
  }

  #handOut(): void {
    const { queue, concurrency, fraction } = this.#options;
    while (queue.places.waiting > 0 && !this.#isResting) {
      const free = this.#running().filter((worker) => worker.jobsInHand < concurrency);
      const worker = free[Math.floor(fraction() * free.length)];
      if (worker === undefined) return;
      const delivery = queue.delivered.fetch(this.upkeep.tokenFor(worker.name));
      if (delivery === undefined) return;
      this.upkeep.delivered(delivery.jobId, delivery.lock);
      worker.process(delivery);
    }
  }
}
