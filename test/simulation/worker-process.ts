/**
 * A simulated worker process: the real gate with everything below it, and the real way from a delivery to it and back,
 * over a played BullMQ. A process lives once; after a crash the next one takes its place.
 */
import type { Random } from '../../src/base/random.ts';
import { pause } from '../../src/base/clock.ts';
import type { Finisher } from '../../src/jobs/bullmq/fast-path/finisher.ts';
import { MemoryLanes, type Travel } from '../../src/jobs/memory/memory-lanes.ts';
import { UpdateRegistry } from '../../src/updates/update-registry.ts';
import { MemcachedLeaseLocks } from '../../src/lock/lease-locks.ts';
import { RendezvousServers } from '../../src/memcached/rendezvous.ts';
import type { PlayedDelivery } from '../../src/testing/bullmq/job-record.ts';
import {
  PlayedDeliveries,
  type PlayedDeliveriesOptions,
} from '../../src/testing/bullmq/played-deliveries.ts';
import { Intake } from '../../src/workers/deliveries/intake.ts';
import type { EventReporter } from '../../src/workers/worker-events.ts';
import { Gate } from '../../src/workers/gate/gate.ts';
import { CompletingLanes } from './completing-lanes.ts';
import { Dice } from './dice.ts';
import { MemcachedClient } from './memcached-client.ts';
import type { RunOptions } from './options.ts';
import { PlayedSlots } from './played-slots.ts';
import { PlayedWorker } from './played-worker.ts';
import { ProcessClock } from './process-clock.ts';
import { type Disconnect, RedisLink } from './redis-link.ts';
import { type UpdateKind, updatesFor } from './updates.ts';
import type { World } from './world.ts';

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
  readonly #worker: PlayedWorker;
  #closing = false;

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
          protocol: options.protocol,
          casByUs: writesByCas(options, name),
          process: name,
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
    const fastPath = options.fastPath
      ? new PlayedSlots(world.bull, () => world.redisClock.wallMs())
      : undefined;
    this.#worker = new PlayedWorker({
      ...{ world, name, clock: this.clock, link: this.link, fastPath },
      handle: (delivery) => this.#intake.handle(delivery),
      fraction: () => dice.fraction(),
      idle: () => world.waitForJobs(this),
    });
    this.#gate = new Gate({
      queue: 'bull:simulated',
      servers: world.damageServers(new RendezvousServers(this.servers)),
      locks: this.#locks,
      lanes: world.damageLanes(this.#lanes(fastPath)),
      registry: this.#registry,
      clock: this.clock,
      random,
      options: options.gate,
      report,
      rateLimited: options.rateLimited,
      resting: () => this.#worker.resting,
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
      deliveries: deliveriesOf(this.#worker, {
        queue: world.bull,
        wallMs: () => world.timeFor(this.clock),
        call: (tell) => this.#worker.untilTold(tell),
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
    this.#worker.wake();
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
    this.#worker.stop();
    await this.#gate.close(this.#world.options.gate.closeMs);
    while (this.#worker.held.size > 0) await pause(this.clock, 1);
    if (this.#world.options.fastPath) await this.#endInOrder();
    await this.#locks.close();
    await Promise.all(this.servers.map((server) => server.close()));
    this.crash('lost');
  }

  /** As BullMQ: what is on its way is waited for. Without the fast path it is left to whoever finds it, which is harder. */
  async #endInOrder(): Promise<void> {
    while (!this.#worker.isEmpty) await pause(this.clock, 1);
    await this.#worker.settled();
    this.#world.idleHands.closes(this);
  }

  /** worker.pause(): fetches nothing. */
  rest(resting: boolean): void {
    this.#worker.rest(resting);
  }

  #lanes(played: PlayedSlots | undefined): MemoryLanes {
    const travel: Travel = (execute) =>
      this.link.call(() => {
        this.#world.onStep(this);
        return execute();
      });
    const lanes = this.#lanesOver(travel, played);
    const startAlone = lanes.startAlone.bind(lanes);
    lanes.startAlone = (jobId, token, ...more) => {
      this.#world.auditor.jobs.startsAlone(this.name, jobId, token);
      return startAlone(jobId, token, ...more);
    };
    return lanes;
  }

  #lanesOver(travel: Travel, played: PlayedSlots | undefined): MemoryLanes {
    const { jobs } = this.#world;
    if (played === undefined) return new MemoryLanes(jobs, this.clock, travel);
    const finisher = (): Finisher<PlayedDelivery> | undefined => this.#worker.slots?.finisher;
    return new CompletingLanes({ jobs, clock: this.clock, travel, played, finisher });
  }

  /** BullMQ's lock manager. */
  #renewLocks(): void {
    const { bull, options } = this.#world;
    this.clock.after(options.bull.lockMs / 4, () => {
      if (this.#worker.held.size > 0) {
        const locks = new Map(this.#worker.held);
        this.link.call(() => bull.delivered.extend(locks)).catch(() => undefined);
      }
      this.#renewLocks();
    });
  }

  #checkStalled(): void {
    const { bull, options } = this.#world;
    const { stalledCheckMs } = options.bull;
    this.clock.after(stalledCheckMs, () => {
      this.link.call(() => bull.delivered.lookForStalled(stalledCheckMs)).catch(() => undefined);
      this.#checkStalled();
    });
  }
}

/** With the fast path, only completing goes another way. */
function deliveriesOf(worker: PlayedWorker, options: PlayedDeliveriesOptions): PlayedDeliveries {
  const deliveries = new PlayedDeliveries(options);
  if (worker.slots !== undefined)
    deliveries.complete = (job, resultJson) => worker.complete(job, resultJson);
  return deliveries;
}

/** What an event of the gate tells besides its key, as far as it says why. */
function whyOf(event: { readonly cause?: Error; readonly reason?: string }): string {
  const why = event.cause?.message ?? event.reason;
  return why === undefined ? '' : `: ${why}`;
}

/** A fleet may speak with one memcached in different ways. */
function writesByCas({ seed, protocol, locksByCas }: RunOptions, name: string): boolean {
  if (protocol === 'binary' || locksByCas === 'none') return false;
  return locksByCas === 'all' || new Dice(seed, `locks of ${name}`).chance(0.5);
}
