/**
 * What a worker is made of beside BullMQ's own: servers, leases, lanes, the gate, and who looks after lanes. Put together
 * here, once, and closed here.
 */
import { hostname } from 'node:os';
import { systemClock } from '../base/clock.ts';
import { closeInTime } from '../base/close-in-time.ts';
import { systemRandom } from '../base/random.ts';
import { redisFailed } from '../errors.ts';
import type { TorilBackend } from '../jobs/bullmq/bull-backend.ts';
import { type BullDelivery, BullDeliveries } from '../jobs/bullmq/bull-deliveries.ts';
import { installedBullMQ, isKnownBullMQ } from '../jobs/bullmq/state/known-bullmq.ts';
import { type JobCounts, RedisLaneViews } from '../jobs/redis/index/redis-lane-views.ts';
import { LaneUpkeep } from '../jobs/redis/lane-upkeep.ts';
import { RedisLanes } from '../jobs/redis/redis-lanes.ts';
import { RefusedCommitsInRedis } from '../jobs/redis/refused-commits.ts';
import { REFUSED_BY } from '../jobs/reports/lane-past.ts';
import { RegisteredServers } from '../jobs/redis/registered-servers.ts';
import { RegisteredWorkers, type WorkerCard } from '../jobs/redis/registered-workers.ts';
import { MemcachedLeaseLocks } from '../lock/lease-locks.ts';
import type { MemcachedServers } from '../memcached/servers.ts';
import type { TorilWorkerOptions } from '../options.ts';
import type { Backlog, WorkerObserver, WorkerSight } from '../telemetry/observer.ts';
import type { UpdateRegistry } from '../updates/update-registry.ts';
import { Intake } from './deliveries/intake.ts';
import { Gate } from './gate/gate.ts';
import type { GateContext } from './gate/gate-context.ts';
import {
  type HealthOptions,
  healthOf,
  type HealthSite,
  type WorkerHealth,
} from './health/health.ts';
import { SlotProgress } from './health/slot-progress.ts';
import { Start } from './starting/start.ts';
import { backlogOf } from './watching/backlog.ts';
import { HeldLanes } from './watching/held-lanes.ts';
import { Lookout } from './watching/lookout.ts';
import { Presence } from './watching/presence.ts';
import { StandingLanes } from './watching/standing-lanes.ts';
import type { EventReporter, WorkerEvents } from './worker-events.ts';
import type { WorkerStatus } from './worker-status.ts';

/** The worker. */
export interface CoreSite {
  /** BullMQ's id of it. */
  readonly id: string;
  readonly queue: string;
  /** As it stands in cells ("bull:orders"). */
  readonly qualifiedName: string;
  readonly backend: TorilBackend;
  readonly options: TorilWorkerOptions;
  readonly servers: MemcachedServers;
  readonly registry: UpdateRegistry;
  readonly inTrace: GateContext['inTrace'] | undefined;
  readonly rateLimited: boolean;
  /** Jobs that it works on at once: now, and at the start. */
  readonly slots: () => number;
  /** Jobs that it has. */
  readonly taken: () => number;
  readonly concurrency: number;
  /** It is paused, or met a rate limit: nothing is begun for which no delivered job waits. */
  readonly resting: () => boolean;
  /** Why its fast path is off; empty: it is on. */
  readonly fastPathOff: () => readonly string[];
  readonly report: EventReporter;
  readonly observer: WorkerObserver | undefined;
  /** It cannot start, or a server later reports a fault that waiting cannot cure. */
  readonly failed: (cause: Error) => void;
}

export class WorkerCore {
  readonly gate: Gate;
  readonly deliveries: BullDeliveries;
  readonly intake: Intake<BullDelivery, unknown>;
  readonly start: Start;
  readonly lookout: Lookout;
  readonly presence: Presence;
  readonly #site: CoreSite;
  readonly #locks: MemcachedLeaseLocks;
  readonly #standing: StandingLanes;
  readonly #healthSite: Omit<HealthSite, 'status'>;
  readonly #views: RedisLaneViews;
  readonly #heldLanes: HeldLanes;
  readonly #refused: RefusedCommitsInRedis;
  #snoozingAhead: Promise<void> | undefined;

  constructor(site: CoreSite) {
    const { backend, options, registry, servers, inTrace } = site;
    const [clock, random] = [systemClock, systemRandom];
    const heldLanes = new HeldLanes(clock, options);
    this.#heldLanes = heldLanes;
    const report: EventReporter = (name, event) => {
      if (heldLanes.isNews(name, event)) site.report(name, event);
      this.#follow(name, event);
    };
    const scripts = backend.queueScripts();
    const lanes = new RedisLanes(scripts, clock, {
      id: site.id,
      finisher: () => backend.slots.finisher,
      concurrency: site.concurrency,
      // What fails, comes back when it is due.
      ...(!isKnownBullMQ() && { decided: () => void backend.decided().catch(() => undefined) }),
    });
    const visit = (key: string): void => this.gate.visit(key);
    this.#site = site;
    this.#refused = new RefusedCommitsInRedis(scripts);
    const list = new RegisteredServers(scripts);
    const upkeep = new LaneUpkeep(scripts, lanes);
    const workers = new RegisteredWorkers(scripts);
    this.#views = new RedisLaneViews({
      ...{ scripts, jobCounts: () => jobCountsOf(backend), reindex: () => upkeep.reindex() },
      workers: () => workers.all(),
    });
    this.#locks = new MemcachedLeaseLocks({ clock, random, leaseMs: options.leaseMs });
    this.#standing = new StandingLanes({ clock, lanes, visit });
    this.lookout = new Lookout({
      ...{ clock, visit, upkeep },
      notApplied: (jobIds) => report('jobsNotApplied', { key: undefined, jobIds }),
    });
    this.presence = new Presence({
      ...{ clock, workers, card: () => this.#card() },
    });
    this.gate = new Gate({
      ...{ queue: site.qualifiedName, servers, locks: this.#locks, lanes, registry, clock, random },
      ...{
        options,
        report,
        observer: site.observer,
        rateLimited: site.rateLimited,
        resting: site.resting,
        slots: site.slots,
      },
      snoozeAhead: (key, perRankMs, atLeastMs) => this.#snoozeAhead(key, perRankMs, atLeastMs),
      deliverNext: (jobId, key) => {
        this.#standing.note(key, jobId);
        // Then it is delivered when its turn comes.
        backend.deliverNext(jobId).catch(() => undefined);
      },
      log: (key, jobId, row) => this.#log(key, jobId, row),
      ...(inTrace && { inTrace }),
    });
    this.deliveries = new BullDeliveries(backend);
    this.intake = new Intake({
      ...{ gate: this.gate, registry, clock, report, blockedMs: options.blockedMs },
      deliveries: this.deliveries,
    });
    this.start = new Start({
      ...{ clock, queue: site.queue, servers, report, failed: site.failed },
      ...{ list, upkeep },
    });
    const slots = new SlotProgress({
      ...{ clock, count: site.slots, taken: site.taken, ended: () => this.intake.ended },
    });
    this.#healthSite = { clock, servers, list, slots };
    backend.on('error', (cause: Error) => this.start.redisSays(cause));
    backend.on('close', () => this.start.redisIsGone());
    backend.on('ready', () => this.start.redisIsBack());
  }

  /**
   * Lanes that stand still are looked at now and then, and so is what others may have left behind. Refused commits are
   * counted by key.
   */
  #follow<Name extends keyof WorkerEvents>(name: Name, event: WorkerEvents[Name]): void {
    if (name === 'jobsMissing' && (event as WorkerEvents['jobsMissing']).key === undefined) {
      this.lookout.lookSoon();
    }
    if (name === 'laneHeld' || name === 'updateUnknown') {
      const { key, jobId } = event as WorkerEvents['laneHeld' | 'updateUnknown'];
      if (key !== undefined && jobId !== undefined) this.#standing.note(key, jobId);
    }
    const by = REFUSED_BY[name];
    if (by !== undefined) {
      const { key, token } = event as WorkerEvents['commitRefused'];
      this.#refused.note(key, { token, by }).catch(() => undefined); // counted for operators, as far as Redis is there
    }
  }

  /** What is told of this worker. */
  #card(): WorkerCard {
    const { id, registry, options, servers, slots, fastPathOff } = this.#site;
    return {
      ...{ id, host: hostname(), pid: process.pid, node: process.versions.node },
      ...{ bullmq: installedBullMQ().version, updates: registry.names, concurrency: slots() },
      ...{ leaseMs: options.leaseMs, memcached: servers.fingerprint, fastPathOff: fastPathOff() },
      knowsTransactions: true,
    };
  }

  /** BullMQ's own script, as `job.log`; not waited for. */
  #log(key: string, jobId: string, row: string): void {
    const { backend, report } = this.#site;
    backend
      .log(jobId, row)
      .catch((cause: unknown) => report('logLost', { key, jobId, cause: redisFailed(cause) }));
  }

  /** One call at a time: a second one would find what the first one has left. */
  #snoozeAhead(key: string, perRankMs: number, atLeastMs: number): Promise<void> {
    const { backend, options } = this.#site;
    const away = { perRankMs, atLeastMs, atMostMs: options.snoozeMsMax };
    this.#snoozingAhead ??= backend
      .snoozeAhead(key)
      .then(
        (snoozed) => void backend.scheduleSnoozed(key, snoozed, away).catch(() => undefined),
        () => undefined, // then they are snoozed one by one
      )
      .finally(() => {
        this.#snoozingAhead = undefined;
      });
    return this.#snoozingAhead;
  }

  /** Undefined: Redis does not say in time. */
  backlog(): Promise<Backlog | undefined> {
    return backlogOf(this.#views, systemClock);
  }

  /** What it knows itself, for those who measure it. */
  sight(): WorkerSight {
    return { servers: this.start.servers, stopped: this.#heldLanes.standing };
  }

  health(status: WorkerStatus, options: HealthOptions | undefined): Promise<WorkerHealth> {
    return healthOf({ ...this.#healthSite, status }, options);
  }

  /** Begins nothing more; resolves when nothing is being applied any more. @param now aborts when nothing is finished */
  closeGate(now: AbortSignal): Promise<void> {
    this.start.close();
    const closed = this.gate.close(this.#site.options.closeMs, now);
    this.#standing.close();
    this.lookout.close();
    return closed;
  }

  /**
   * Closes the connections, in good order if that is possible within its time.
   * @param bull BullMQ's worker has closed
   * @param abandonWorker what BullMQ would do later is done at once
   */
  async closeServers(
    gateClosed: Promise<void>,
    {
      bull,
      isIdle,
      now,
      abandonWorker,
    }: {
      readonly bull: Promise<void>;
      readonly isIdle: boolean;
      readonly now: AbortSignal;
      readonly abandonWorker: () => void;
    },
  ): Promise<void> {
    const { backend, options, servers, report } = this.#site;
    const memcached = gateClosed.then(() => this.#locks.close()).then(() => servers.close());
    await closeInTime({
      ...{ clock: systemClock, orderly: Promise.all([bull, memcached]), now },
      workMs: isIdle ? 0 : options.closeMs,
      left: () => backend.notHandedBack().size,
      abandon: () => {
        // Nothing answers: what hangs on a connection ends with it.
        backend.abandon();
        void servers.close(true);
        abandonWorker();
      },
    });
    const jobIds = [...backend.notHandedBack()];
    if (jobIds.length > 0) report('jobsNotGivenBack', { jobIds });
  }
}

async function jobCountsOf(backend: TorilBackend): Promise<JobCounts> {
  const counts = await backend.getCounts(['wait', 'prioritized', 'active', 'delayed']);
  const [wait = 0, prioritized = 0, active = 0, delayed = 0] = counts;
  return { waiting: wait + prioritized, active, delayed };
}
