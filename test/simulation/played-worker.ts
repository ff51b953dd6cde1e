/**
 * BullMQ's worker, played: its main loop fills free slots, each under a token that it counts up, and hands jobs on. With the
 * fast path (the shipped one, over played scripts), jobs are completed and fetched many at a time; then a slot whose job
 * ended otherwise asks under its own token again, as in BullMQ.
 */
import { pause, type Timer } from '../../src/base/clock.ts';
import { Completing, type OwnCompletion } from '../../src/jobs/bullmq/fast-path/completing.ts';
import { SlotTokens } from '../../src/jobs/bullmq/fast-path/slot-tokens.ts';
import { type DoneJob, Slots } from '../../src/jobs/bullmq/fast-path/slots.ts';
import type { Answer, PlayedDelivery } from '../../src/testing/bullmq/job-record.ts';
import type { PlayedSlots } from './played-slots.ts';
import type { ProcessClock } from './process-clock.ts';
import type { RedisLink } from './redis-link.ts';
import type { World } from './world.ts';

/** A worker that found nothing looks again after so long, as BullMQ's drainDelay. */
const IDLE_MS = 1_000;
/** What becomes of a job is told to Redis until it takes it (repeating.ts). */
const REPORT_RETRY_MS = 20;

type Next = PlayedDelivery | undefined;

export interface PlayedWorkerOptions {
  readonly world: World;
  readonly name: string;
  readonly clock: ProcessClock;
  readonly link: RedisLink;
  /** Undefined: each job is completed and fetched by BullMQ's own scripts. */
  readonly fastPath: PlayedSlots | undefined;
  /** From a delivery to what is told of it. */
  readonly handle: (delivery: PlayedDelivery) => Promise<void>;
  /** A number in [0, 1). */
  readonly fraction: () => number;
  /** It waits for jobs, until it is woken. */
  readonly idle: () => void;
}

export class PlayedWorker {
  readonly slots: Slots<PlayedDelivery> | undefined;
  readonly #options: PlayedWorkerOptions;
  readonly #completing: Completing<PlayedDelivery, Next> | undefined;
  /** The locks in BullMQ of the jobs that are in hand. */
  readonly #held = new Map<string, string>();
  /** By lock, what came into the slot when its job was completed. */
  readonly #next = new Map<string, Next>();
  #tokens = 0;
  #fetching = false;
  /** Slots that ask under their own token again. */
  #askingAgain = 0;
  /** Something may have come since the fetch under way was sent. */
  #fetchAgain = false;
  #nextFetch: Timer | undefined;
  #closing = false;
  #resting = false;

  constructor(options: PlayedWorkerOptions) {
    this.#options = options;
    if (options.fastPath === undefined) return;
    this.slots = this.#makeSlots(options.fastPath);
    this.#completing = new Completing(this.slots, {
      fetch: (token) => this.#fetchOne(token),
      ownOf: (next) => (next === undefined || next[0] === 0 ? undefined : next[0]),
      takesNext: () => this.#takesJobs(),
      isRefusal: () => true,
    });
  }

  get held(): ReadonlyMap<string, string> {
    return this.#held;
  }

  get resting(): boolean {
    return this.#resting;
  }

  /** Nothing is in its hands, or on its way there. */
  get isEmpty(): boolean {
    return this.#held.size === 0 && this.#askingAgain === 0 && !this.#fetching;
  }

  /** worker.pause(): fetches nothing. */
  rest(resting: boolean): void {
    this.#resting = resting;
    if (!resting) this.wake();
  }

  /** Nothing is fetched any more. */
  stop(): void {
    this.#closing = true;
  }

  /** Jobs can be delivered, or may soon be. */
  wake(): void {
    this.#fetchAgain = true;
    if (this.#fetching || !this.#takesJobs() || !this.#isFree()) return;
    this.#fetching = true;
    this.#fetchAgain = false;
    this.#nextFetch?.cancel();
    const lock = `${this.#options.name}:${++this.#tokens}`;
    this.#ask(lock).then(
      (delivery) => this.#fetched(delivery),
      () => this.#fetched(undefined),
    );
  }

  /** As repeating.ts. */
  async untilTold(tell: () => Answer): Promise<void> {
    await this.#repeated(() => this.#options.link.call(tell).then((answer) => this.#heard(answer)));
  }

  /** What BullMQ is told of a job that is in the value; what comes into its slot waits here. */
  async complete({ jobId, lock, delivery }: PlayedDelivery, resultJson: string): Promise<void> {
    const { world } = this.#options;
    const { removeOnComplete } = world.options.bull;
    const returnValue: unknown = resultJson === '' ? undefined : JSON.parse(resultJson);
    const done = { jobId, token: lock, delivery, returnValue, removeOnComplete };
    const asked = (): typeof done & { fetchNext: boolean } => ({
      ...done,
      fetchNext: this.#isFree(1),
    });
    const byOwn = (): Promise<OwnCompletion<Next>> =>
      this.#completeOne(done, resultJson, this.#takesJobs() && this.#isFree(1));
    const completing = this.#completing as Completing<PlayedDelivery, Next>;
    const before = completing.before(asked());
    world.count(before === undefined ? 'completed by a call' : 'completed with their commit');
    const completed =
      (await before) ?? (await this.#repeated(() => completing.complete(asked(), byOwn)));
    this.#next.set(lock, completed?.result);
  }

  /** Nothing that was fetched ahead is left here. */
  async settled(): Promise<void> {
    await this.slots?.settled();
  }

  #takesJobs(): boolean {
    return !this.#closing && !this.#resting;
  }

  /** @param own slots that are counted, but are not in the way */
  #isFree(own = 0): boolean {
    const { concurrency } = this.#options.world.options;
    return this.#held.size + this.#askingAgain - own < concurrency;
  }

  #ask(lock: string): Promise<Next> {
    return this.#completing?.fetch(lock) ?? this.#fetchOne(lock);
  }

  /** moveToActive. */
  #fetchOne(lock: string): Promise<Next> {
    const { world, link, clock } = this.#options;
    return link.call(() => world.bull.delivered.fetch(lock, world.timeFor(clock)));
  }

  /** moveToFinished. */
  #completeOne(
    done: Pick<DoneJob, 'jobId' | 'token' | 'delivery'>,
    result: string,
    fetchNext: boolean,
  ): Promise<OwnCompletion<Next>> {
    const { world, link, clock } = this.#options;
    return link
      .call(() => {
        const { jobId, token: lock } = done;
        const isHeld = world.bull.places.locks.tokenOf(jobId) === lock;
        const answer = world.bull.delivered.complete(jobId, lock, result, done);
        const next =
          isHeld && fetchNext ? world.bull.delivered.fetch(lock, world.timeFor(clock)) : undefined;
        return { answer, next };
      })
      .then(({ answer, next }) => {
        this.#heard(answer);
        return { result: next, finishedOn: clock.wallMs() };
      });
  }

  #heard(answer: Answer): void {
    const { world, name } = this.#options;
    if (answer !== 'done') world.trace.note(name, answer);
  }

  async #repeated<T>(act: () => Promise<T>): Promise<T | undefined> {
    const { clock } = this.#options;
    while (clock.alive) {
      try {
        return await act();
      } catch {
        await pause(clock, REPORT_RETRY_MS);
      }
    }
    return undefined;
  }

  #fetched(delivery: Next): void {
    const { world, clock, idle } = this.#options;
    this.#fetching = false;
    if (delivery === undefined) {
      if (this.#fetchAgain) return this.wake();
      idle();
      const dueMs = world.bull.places.delayed.nextDueMs - world.timeFor(clock);
      const delayMs = Math.min(Math.max(dueMs, 1), IDLE_MS);
      this.#nextFetch = clock.after(delayMs, () => this.wake());
      return;
    }
    this.#work(delivery);
    const { fastPath, loopLagMs } = world.options;
    if (!fastPath || loopLagMs === 0) return this.wake();
    this.#fetching = true; // one slot after the other
    clock.after(loopLagMs * this.#options.fraction(), () => {
      this.#fetching = false;
      this.wake();
    });
  }

  #work(delivery: PlayedDelivery): void {
    this.#held.set(delivery.jobId, delivery.lock);
    void this.#process(delivery);
  }

  async #process(delivery: PlayedDelivery): Promise<void> {
    const { world, handle } = this.#options;
    const { jobId, lock } = delivery;
    const { removeOnComplete } = world.options.bull;
    const completable = this.slots?.completable(jobId, lock, removeOnComplete);
    await handle(completable === undefined ? delivery : { ...delivery, completable });
    if (this.#held.get(jobId) === lock) this.#held.delete(jobId);
    if (this.slots !== undefined) await this.#goOn(lock);
    this.wake();
  }

  /** The slot's next job, whatever the worker wants by now: it is this slot's. */
  async #goOn(lock: string): Promise<void> {
    let next = this.#next.get(lock);
    if (!this.#next.delete(lock) && this.#takesJobs() && this.#isFree()) {
      this.#askingAgain += 1;
      next = await this.#ask(lock).catch(() => undefined);
      this.#askingAgain -= 1;
    }
    if (next !== undefined) this.#work(next);
  }

  #makeSlots(played: PlayedSlots): Slots<PlayedDelivery> {
    const { world, name, clock, link } = this.#options;
    const { concurrency, bull } = world.options;
    const tokens = new SlotTokens(name);
    const numTotal = (): number => this.#held.size + this.#askingAgain + (this.#fetching ? 1 : 0);
    const mainLoop = { numTotal };
    const { lockMs, removeOnComplete } = bull;
    return new Slots<PlayedDelivery>({
      ...{ clock, lockMs, concurrency, removeOnComplete, settings: [String(lockMs), name] },
      takesJobs: () => this.#takesJobs(),
      nextTokens: (token) => tokens.following(token, mainLoop, concurrency),
      expects: (token) => tokens.expects(token, mainLoop, concurrency),
      isSlow: () => undefined,
      peculiarities: () => [],
      activeJobs: () => link.call(() => world.bull.places.locks.active.size),
      calls: {
        finish: (jobs) => link.call(() => played.finish(jobs)),
        fill: async (slots) => {
          const filled = await link.call(() => played.fill(slots));
          const ahead = filled.answers.slice(1).filter((one) => typeof one === 'object');
          for (const _ of ahead) world.count('fetched ahead');
          return filled;
        },
      },
      giveBack: (jobId, token) =>
        this.untilTold(() => {
          world.count('fetched ahead, and given back');
          return world.bull.delivered.giveBack(jobId, token, { begun: false });
        }),
      tellTime: () => undefined,
    });
  }
}
