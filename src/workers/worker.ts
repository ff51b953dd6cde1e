/**
 * A BullMQ worker whose jobs change shared values in memcached. Thin glue: BullMQ delivers a job,
 * intake.ts takes it to the gate and tells BullMQ what became of it.
 */
import { Worker as BullWorker, WaitingChildrenError, type WorkerListener } from 'bullmq';
import { systemClock } from '../base/clock.ts';
import { closeInTime } from '../base/close-in-time.ts';
import { systemRandom } from '../base/random.ts';
import { redisFailed } from '../errors.ts';
import { torilBackend, type TorilBackend } from '../jobs/bullmq/bull-backend.ts';
import { BullDeliveries, BullDelivery } from '../jobs/bullmq/bull-deliveries.ts';
import { thrownOf } from '../jobs/bullmq/told-failures.ts';
import { verified } from '../updates/determinism.ts';
import { byRedisTime } from '../jobs/bullmq/backend/cron-times.ts';
import { inTraceOf, tolerantTelemetry } from '../jobs/bullmq/telemetry.ts';
import { RedisLanes } from '../jobs/redis/redis-lanes.ts';
import { isKnownBullMQ } from '../jobs/bullmq/state/known-bullmq.ts';
import { CODE } from '../jobs/bullmq/state/layout.ts';
import { SlotTokens } from '../jobs/bullmq/fast-path/slot-tokens.ts';
import type { AnyUpdate, UpdateContext } from '../updates/update.ts';
import { UpdateRegistry } from '../updates/update-registry.ts';
import { MemcachedLeaseLocks } from '../lock/lease-locks.ts';
import { openServers } from '../memcached/open-servers.ts';
import type { MemcachedServers } from '../memcached/servers.ts';
import type { TorilWorkerOptions } from '../options.ts';
import { tolerant } from './deliveries/backoff-strategy.ts';
import { Gate } from './gate/gate.ts';
import type { EventReporter, WorkerEvents } from './worker-events.ts';
import { LockRenewal } from '../jobs/bullmq/state/lock-renewal.ts';
import { fastPathOff } from '../jobs/bullmq/fast-path/peculiarities.ts';
import { inside } from '../jobs/bullmq/state/worker-internals.ts';
import { Intake } from './deliveries/intake.ts';
import { Lookout } from './watching/lookout.ts';
import { notApplied } from './watching/missing-jobs.ts';
import { StandingLanes } from './watching/standing-lanes.ts';
import { Start } from './starting/start.ts';
import { splitOptions, type WorkerOptions } from './worker-options.ts';
import { statusOf, type WorkerStatus } from './worker-status.ts';

/** BullMQ's events and the gate's. */
export type TorilListener = WorkerListener & {
  [Name in keyof WorkerEvents]: (event: WorkerEvents[Name]) => void;
};

export class Worker extends BullWorker<unknown, unknown, string, TorilBackend> {
  /** How often each event of Toril's has happened in this worker. */
  readonly counts: Partial<Record<keyof WorkerEvents, number>> = {};
  readonly #options: TorilWorkerOptions;
  readonly #servers: MemcachedServers;
  readonly #locks: MemcachedLeaseLocks;
  readonly #lanes: RedisLanes;
  readonly #gate: Gate;
  readonly #intake: Intake<BullDelivery, unknown>;
  readonly #start: Start;
  readonly #standing: StandingLanes;
  readonly #lookout: Lookout;
  readonly #slotTokens: SlotTokens;
  readonly #closeNow = new AbortController();
  /** Resolves when nothing is being applied any more, once it closes. */
  #gateClosed: Promise<void> | undefined;
  #closed: Promise<void> | undefined;
  #snoozingAhead: Promise<void> | undefined;

  /**
   * Starts to work at once, unless `autorun` is false. What is wrong with the servers is an `error`
   * event and rejects `waitUntilReady()`.
   * @throws TorilError INVALID_OPTIONS, DUPLICATE_UPDATE
   */
  constructor(name: string, options: WorkerOptions) {
    const { gate, bull, fastPath } = splitOptions(options);
    const verify = (update: AnyUpdate): AnyUpdate =>
      verified(update, (one, context) => this.#hint(one, context));
    const registry = new UpdateRegistry(
      options.updates,
      options.verifyUpdates === true ? verify : undefined,
    );
    const servers = openServers(options.memcached, systemClock, systemRandom);
    const telemetry =
      bull.telemetry && tolerantTelemetry(bull.telemetry, (error) => this.emit('error', error));
    const settings = tolerant(bull.settings, gate.blockedMs, (error) => this.emit('error', error));
    super(
      name,
      (job, token) => this.#intake.handle(new BullDelivery(job, token as string, this.backend)),
      {
        ...bull,
        settings: byRedisTime(settings, () => this.backend.cronTimes),
        ...(telemetry && { telemetry }),
      },
      torilBackend({
        fastPath,
        refused: (refusal) => this.#report('redisRefused', { key: undefined, ...refusal }),
        takesJobs: () => this.closing === undefined && !this.isPaused(),
        nextTokens: (token) =>
          this.#slotTokens.following(token, inside(this).mainLoopQueue, this.concurrency),
        expects: (token) =>
          this.#slotTokens.expects(token, inside(this).mainLoopQueue, this.concurrency),
        isSlow: (reasons) => this.#report('fastPathOff', fastPathOff(reasons)),
        beforeClose: () => this.#gateClosed,
      }),
    );
    this.#options = gate;
    this.#servers = servers;
    this.#locks = new MemcachedLeaseLocks({
      clock: systemClock,
      random: systemRandom,
      leaseMs: gate.leaseMs,
    });
    this.#slotTokens = new SlotTokens(this.id);
    this.#lanes = new RedisLanes(this.backend.scriptClient(), this.backend.toKey(''), systemClock, {
      finisher: () => this.backend.slots.finisher,
      concurrency: bull.concurrency ?? 1,
      // What fails, comes back when it is due.
      ...(!isKnownBullMQ() && {
        decided: () => void this.backend.decided().catch(() => undefined),
      }),
    });
    this.#gate = new Gate({
      queue: this.qualifiedName,
      servers,
      locks: this.#locks,
      lanes: this.#lanes,
      registry,
      clock: systemClock,
      random: systemRandom,
      options: gate,
      report: this.#report,
      rateLimited: bull.limiter !== undefined,
      resting: () => this.isPaused() || this.#isLimited(),
      slots: () => this.concurrency,
      snoozeAhead: (key, perRankMs, atLeastMs) => this.#snoozeAhead(key, perRankMs, atLeastMs),
      deliverNext: (jobId, key) => {
        this.#standing.note(key, jobId);
        // Then it is delivered when its turn comes.
        this.backend.deliverNext(jobId).catch(() => undefined);
      },
      log: (key, jobId, row) => this.#log(key, jobId, row),
      ...(telemetry && { inTrace: inTraceOf(telemetry) }),
    });
    const visit = (key: string): void => this.#gate.visit(key);
    this.#standing = new StandingLanes({ clock: systemClock, lanes: this.#lanes, visit });
    this.#lookout = new Lookout({
      ...{ clock: systemClock, lanes: this.#lanes, visit },
      notApplied: (jobIds) => this.#report('jobsNotApplied', { key: undefined, jobIds }),
    });
    this.#intake = new Intake({
      gate: this.#gate,
      deliveries: new BullDeliveries(this.backend),
      registry,
      clock: systemClock,
      report: this.#report,
      blockedMs: gate.blockedMs,
    });
    this.#start = new Start({
      ...{ clock: systemClock, queue: this.name, servers, report: this.#report },
      register: (fingerprint) => this.#lanes.registerServers(fingerprint),
      failed: (cause) => void this.emit('error', cause),
    });
    this.backend.on('close', () => this.#start.redisIsGone());
    this.backend.on('ready', () => this.#start.redisIsBack());
    if (options.autorun !== false) void this.run();
  }

  /**
   * Resolves once Redis is there, the memcached servers are known to be the queue's, and one of them
   * answers: then it works, on the keys of the others as soon as they do. Servers that are away are
   * waited for. @throws as `run`; CLOSED
   */
  override waitUntilReady(): Promise<void> {
    if (this.#start.outcome === 'ready') return this.#start.ready; // BullMQ asks for each job that it completes
    return Promise.all([super.waitUntilReady(), this.#start.ready]).then(() => undefined);
  }

  /**
   * Works until it is closed. What no waiting mends is also an `error` event; call it again when it is
   * mended.
   * @throws TorilError SERVER_LIST_CHANGED, MEMCACHED_PROTOCOL, MEMCACHED_AUTH, MEMCACHED_CAS_DISABLED
   */
  override run(): Promise<void> {
    const running = this.#run();
    running.catch(() => undefined); // it is told by an event, whoever looks at it
    return running;
  }

  async #run(): Promise<void> {
    try {
      await this.#start.again();
      if (this.closing !== undefined) return;
      this.#lookout.begin();
      await super.run();
    } catch (cause) {
      if (this.#closed !== undefined) return;
      if (cause !== this.#start.outcome) this.emit('error', cause as Error);
      throw cause;
    }
  }

  /** What it does, and which of its servers it can use. */
  status(): WorkerStatus {
    return statusOf(this.#start, {
      isClosing: this.#closed !== undefined,
      isClosed: this.closed,
      isPaused: this.isPaused(),
      isRunning: this.isRunning(),
    });
  }

  /** Stops fetching; resolves when nothing is being applied any more, unless it shall not wait. */
  override async pause(doNotWaitActive?: boolean): Promise<void> {
    await super.pause(doNotWaitActive);
    if (doNotWaitActive !== true) await this.#gate.atRest();
  }

  /**
   * As in BullMQ: aborts the signal of the job's update (`context.signal`), which may fail then, or not. If it has not
   * been called yet, it is not called in this attempt, which fails with JOB_CANCELLED. False: the job is not here. One
   * that another worker applies in a batch of its own just then is applied all the same.
   */
  override cancelJob(jobId: string, reason?: string): boolean {
    return this.#intake.cancel(jobId, reason);
  }

  override cancelAllJobs(reason?: string): void {
    this.#intake.cancelAll(reason);
  }

  /** Listeners get the error that was thrown, not the one that BullMQ was told. */
  override emit<Name extends keyof WorkerListener>(
    event: Name,
    ...args: Parameters<WorkerListener[Name]>
  ): boolean {
    if (event !== 'failed') return super.emit(event, ...args);
    const [job, error, ...more] = args as Parameters<WorkerListener['failed']>;
    return super.emit('failed', job, thrownOf(error) as Error, ...more);
  }

  override on<Name extends keyof TorilListener>(event: Name, listener: TorilListener[Name]): this {
    return super.on(
      event as keyof WorkerListener,
      listener as WorkerListener[keyof WorkerListener],
    );
  }

  override once<Name extends keyof TorilListener>(
    event: Name,
    listener: TorilListener[Name],
  ): this {
    return super.once(
      event as keyof WorkerListener,
      listener as WorkerListener[keyof WorkerListener],
    );
  }

  override off<Name extends keyof TorilListener>(event: Name, listener: TorilListener[Name]): this {
    return super.off(
      event as keyof WorkerListener,
      listener as WorkerListener[keyof WorkerListener],
    );
  }

  /**
   * Begins nothing more, finishes the update that is being applied (at most `closeMs`), releases every
   * lease, gives the rest of the delivered jobs back, then closes the connections. A second or so later it
   * is over, whatever Redis and memcached do; what could not be given back is told (`jobsNotGivenBack`).
   * `force`, also when it closes already: nothing is finished.
   */
  override close(force = false): Promise<void> {
    if (force) this.#closeNow.abort();
    this.#closed ??= this.#close(force);
    return this.#closed;
  }

  async #close(force: boolean): Promise<void> {
    const { closeMs } = this.#options;
    this.#start.close();
    const now = this.#closeNow.signal;
    const inHand = inside(this).lockManager.getActiveJobCount();
    const gate = this.#gate.close(closeMs, now);
    this.#gateClosed = gate;
    this.#standing.close();
    this.#lookout.close();
    const bull = super.close(force);
    const memcached = gate.then(() => this.#locks.close()).then(() => this.#servers.close());
    await closeInTime({
      ...{ clock: systemClock, orderly: Promise.all([bull, memcached]), now },
      workMs: inHand === 0 ? 0 : closeMs,
      left: () => this.backend.notHandedBack().size,
      abandon: () => this.#abandon(),
    });
    const jobIds = [...this.backend.notHandedBack()];
    if (jobIds.length > 0) this.#report('jobsNotGivenBack', { jobIds });
  }

  /** Nothing answers: what hangs on a connection ends with it, and what BullMQ would do later is done here. */
  #abandon(): void {
    this.backend.abandon();
    void this.#servers.close(true);
    const { lockManager, stalledCheckStopper } = inside(this);
    void lockManager.close();
    stalledCheckStopper?.();
  }

  /**
   * A job that has been given children meanwhile cannot be completed, and BullMQ would have it fail. It is applied: once
   * its children are done, it is delivered once more, and completed.
   */
  protected override async handleFailed(
    ...[thrown, job, token, ...more]: Parameters<BullWorker['handleFailed']>
  ): ReturnType<BullWorker['handleFailed']> {
    if ((thrown as { code?: unknown } | undefined)?.code !== CODE.pendingChildren)
      return super.handleFailed(thrown, job, token, ...more);
    await this.backend.moveToWaitingChildren(job.id as string, token);
    return super.handleFailed(new WaitingChildrenError(), job, token, ...more);
  }

  /** By the monotonic clock. Called while BullMQ's worker is constructed. */
  protected override createLockManager(): void {
    this.lockManager = LockRenewal.of(this);
  }

  /** An update has met a rate limit: BullMQ fetches nothing while it lasts. */
  #isLimited(): boolean {
    return (inside(this).limitUntil ?? 0) > systemClock.wallMs();
  }

  /** BullMQ's own script, as `job.log`; not waited for. */
  #log(key: string, jobId: string, row: string): void {
    this.backend
      .log(jobId, row)
      .catch((cause: unknown) =>
        this.#report('logLost', { key, jobId, cause: redisFailed(cause) }),
      );
  }

  #hint(name: string, { key, jobId }: UpdateContext): void {
    this.#report('updateChangesData', { key, jobId, name });
  }

  readonly #report: EventReporter = (name, event) => {
    this.counts[name] = (this.counts[name] ?? 0) + 1;
    this.emit(name as keyof WorkerListener, event as never);
    if (name === 'internalFault')
      this.emit('error', (event as WorkerEvents['internalFault']).cause);
    if (name === 'jobsNotApplied') {
      this.emit('error', notApplied(this.name, event as WorkerEvents['jobsNotApplied']));
    }
    if (name === 'jobsMissing' && (event as WorkerEvents['jobsMissing']).key === undefined) {
      this.#lookout.lookSoon();
    }
    if (name === 'laneHeld' || name === 'updateUnknown') {
      const { key, jobId } = event as WorkerEvents['laneHeld' | 'updateUnknown'];
      if (key !== undefined && jobId !== undefined) this.#standing.note(key, jobId);
    }
  };

  /** One call at a time: a second one would find what the first one has left. */
  #snoozeAhead(key: string, perRankMs: number, atLeastMs: number): Promise<void> {
    const { backend } = this;
    const away = { perRankMs, atLeastMs, atMostMs: this.#options.snoozeMsMax };
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
}
