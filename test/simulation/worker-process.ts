/**
 * A simulated worker process: the real gate with everything below it, and the real way from a delivery to it and back,
 * over a played BullMQ. A process lives once; after a crash the next one takes its place.
 */
import type { Random } from '../../src/base/random.ts';
import { pause, type Timer } from '../../src/base/clock.ts';
import { MemoryLanes } from '../../src/jobs/memory/memory-lanes.ts';
import { UpdateRegistry } from '../../src/updates/update-registry.ts';
import { MemcachedLeaseLocks } from '../../src/lock/lease-locks.ts';
import { RendezvousServers } from '../../src/memcached/rendezvous.ts';
import type { Answer, PlayedDelivery } from '../../src/testing/bullmq/job-record.ts';
import { PlayedDeliveries } from '../../src/testing/bullmq/played-deliveries.ts';
import { Intake } from '../../src/workers/deliveries/intake.ts';
import type { EventReporter } from '../../src/workers/worker-events.ts';
import { Gate } from '../../src/workers/gate/gate.ts';
import type { Dice } from './dice.ts';
import { MemcachedClient } from './memcached-client.ts';
import { ProcessClock } from './process-clock.ts';
import { type Disconnect, RedisLink } from './redis-link.ts';
import { type UpdateKind, updatesFor } from './updates.ts';
import type { World } from './world.ts';

/** A worker that found nothing looks again after so long, as BullMQ's drainDelay. */
const IDLE_MS = 1_000;
/** What becomes of a job is told to Redis until it takes it (repeating.ts). */
const REPORT_RETRY_MS = 20;

export class WorkerProcess {
  readonly name: string;
  readonly clock: ProcessClock;
  readonly link: RedisLink;
  readonly servers: readonly MemcachedClient[];
  readonly #world: World;
  readonly #dice: Dice;
  readonly #locks: MemcachedLeaseLocks;
  readonly #registry: UpdateRegistry;
  readonly #gate: Gate;
  readonly #intake: Intake<PlayedDelivery, Promise<void>>;
  /** The locks in BullMQ of the jobs that are in hand. */
  readonly #held = new Map<string, string>();
  #deliveries = 0;
  #fetching = false;
  /** Something may have come since the fetch under way was sent. */
  #fetchAgain = false;
  #nextFetch: Timer | undefined;
  #closing = false;
  #resting = false;

  constructor(world: World, name: string, dice: Dice, kinds: readonly UpdateKind[]) {
    const { scheduler, network, options } = world;
    this.#world = world;
    this.#dice = dice;
    this.name = name;
    const rate = 1 + (dice.fraction() - 0.5) * 2 * options.driftMax;
    this.clock = new ProcessClock(scheduler, dice, { rate, latenessMs: options.timerLatenessMs });
    this.link = new RedisLink(network, this.clock, () => world.isRefusing);
    this.servers = world.stores.map(
      (store, index) =>
        new MemcachedClient({
          network,
          clock: this.clock,
          store,
          address: `memcached-${index}`,
          requestDeadlineMs: options.requestDeadlineMs,
          note: (what) => {
            world.trace.note(this.name, what);
            world.onStep(this);
          },
        }),
    );
    this.#registry = new UpdateRegistry(
      updatesFor(world, this.clock, () => this.crash('lost'), name, kinds),
    );
    const random: Random = { fraction: () => dice.fraction(), id: () => `${name}-${dice.id()}` };
    this.#locks = new MemcachedLeaseLocks({
      clock: this.clock,
      random,
      leaseMs: options.gate.leaseMs,
    });
    const report: EventReporter = (event, told) => {
      const { key, ...more } = told as { readonly key?: string };
      if (event === 'internalFault') throw (more as unknown as { cause: Error }).cause;
      world.count(event);
      world.trace.note(this.name, `${event} ${key}${whyOf(more)}`);
    };
    this.#gate = new Gate({
      queue: 'bull:simulated',
      servers: world.damageServers(new RendezvousServers(this.servers)),
      locks: this.#locks,
      lanes: world.damageLanes(this.#lanes()),
      registry: this.#registry,
      clock: this.clock,
      random,
      options: options.gate,
      report,
      rateLimited: options.rateLimited,
      resting: () => this.#resting,
      slots: () => options.concurrency,
      snoozeAhead: (key, perRankMs, atLeastMs) => {
        const { snoozeMsMax } = options.gate;
        const snooze = (): void => world.bull.snoozeAhead(key, perRankMs, atLeastMs, snoozeMsMax);
        return this.link.call(snooze).catch(() => undefined);
      },
      deliverNext: (jobId) => {
        this.link.call(() => world.bull.deliverNext(jobId)).catch(() => undefined);
      },
    });
    this.#intake = new Intake({
      ...{ gate: this.#gate, registry: this.#registry, clock: this.clock, report },
      blockedMs: options.gate.blockedMs,
      deliveries: new PlayedDeliveries({
        queue: world.bull,
        wallMs: () => world.timeFor(this.clock),
        call: (tell) => this.#untilTold(tell),
        blockedMs: options.gate.blockedMs,
        fraction: () => dice.fraction(),
      }),
    });
    this.#renewLocks();
    this.#checkStalled();
    this.wake();
  }

  /** It has every update. */
  get knowsAll(): boolean {
    return this.#registry.names.length === this.#world.options.kinds.length;
  }

  get alive(): boolean {
    return this.clock.alive;
  }

  /** Jobs can be delivered, or may soon be. */
  wake(): void {
    const { concurrency } = this.#world.options;
    this.#fetchAgain = true;
    if (this.#fetching || this.#closing || this.#resting || this.#held.size >= concurrency) return;
    this.#fetching = true;
    this.#fetchAgain = false;
    this.#nextFetch?.cancel();
    const lock = `${this.name}:${++this.#deliveries}`;
    this.link
      .call(() => this.#world.bull.fetch(lock, this.#world.timeFor(this.clock)))
      .then(
        (delivery) => this.#fetched(delivery),
        () => this.#fetched(undefined),
      );
  }

  /** As SIGKILL. Another one will take its place. */
  crash(underWay: Disconnect['underWay']): void {
    if (!this.clock.alive) return;
    this.clock.kill();
    this.#world.lost(this);
    this.link.abandon(underWay);
    for (const { wire } of this.servers) {
      const lands = underWay === 'lost' ? 0 : this.#dice.below((wire?.underWay ?? 0) + 1);
      wire?.break(lands, underWay === 'lost' ? 0 : underWay.lateMs, false);
    }
  }

  /** As SIGSTOP and SIGCONT. */
  pause(forMs: number): void {
    this.clock.pause();
    this.#world.scheduler.at(forMs, () => this.clock.resume());
  }

  /** As SIGTERM: what worker.close() does. */
  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    await this.#gate.close(this.#world.options.gate.closeMs);
    while (this.#held.size > 0) await pause(this.clock, 1);
    await this.#locks.close();
    await Promise.all(this.servers.map((server) => server.close()));
    this.crash('lost');
  }

  /** worker.pause(): fetches nothing. */
  rest(resting: boolean): void {
    this.#resting = resting;
    if (!resting) this.wake();
  }

  #lanes(): MemoryLanes {
    const lanes = new MemoryLanes(this.#world.jobs, this.clock, (execute) =>
      this.link.call(() => {
        this.#world.onStep(this);
        return execute();
      }),
    );
    const startAlone = lanes.startAlone.bind(lanes);
    lanes.startAlone = (jobId, token, survived) => {
      this.#world.auditor.jobs.startsAlone(this.name, jobId, token);
      return startAlone(jobId, token, survived);
    };
    return lanes;
  }

  #fetched(delivery: PlayedDelivery | undefined): void {
    this.#fetching = false;
    if (delivery === undefined) {
      if (this.#fetchAgain) return this.wake();
      this.#world.waitForJobs(this);
      const dueMs = this.#world.bull.places.delayed.nextDueMs - this.#world.timeFor(this.clock);
      const delayMs = Math.min(Math.max(dueMs, 1), IDLE_MS);
      this.#nextFetch = this.clock.after(delayMs, () => this.wake());
      return;
    }
    this.#held.set(delivery.jobId, delivery.lock);
    void this.#process(delivery);
    this.wake();
  }

  async #process(delivery: PlayedDelivery): Promise<void> {
    const { jobId, lock } = delivery;
    await this.#intake.handle(delivery);
    if (this.#held.get(jobId) === lock) this.#held.delete(jobId);
    this.wake();
  }

  /** As repeating.ts. */
  async #untilTold(tell: () => Answer): Promise<void> {
    while (this.clock.alive) {
      try {
        const answer = await this.link.call(tell);
        if (answer !== 'done') this.#world.trace.note(this.name, answer);
        return;
      } catch {
        await pause(this.clock, REPORT_RETRY_MS);
      }
    }
  }

  /** BullMQ's lock manager. */
  #renewLocks(): void {
    const { bull, options } = this.#world;
    this.clock.after(options.bull.lockMs / 4, () => {
      if (this.#held.size > 0) {
        const locks = new Map(this.#held);
        this.link.call(() => bull.extend(locks)).catch(() => undefined);
      }
      this.#renewLocks();
    });
  }

  #checkStalled(): void {
    const { bull, options } = this.#world;
    const { stalledCheckMs } = options.bull;
    this.clock.after(stalledCheckMs, () => {
      this.link.call(() => bull.lookForStalled(stalledCheckMs)).catch(() => undefined);
      this.#checkStalled();
    });
  }
}

/** What an event of the gate tells besides its key, as far as it says why. */
function whyOf(event: { readonly cause?: Error; readonly reason?: string }): string {
  const why = event.cause?.message ?? event.reason;
  return why === undefined ? '' : `: ${why}`;
}
