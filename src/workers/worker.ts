/**
 * A BullMQ worker whose jobs change shared values in memcached. Thin glue: BullMQ delivers a job,
 * intake.ts takes it to the gate and tells BullMQ what became of it.
 */
import { Worker as BullWorker, WaitingChildrenError, type WorkerListener } from 'bullmq';
import { systemClock } from '../base/clock.ts';
import { systemRandom } from '../base/random.ts';
import { torilBackend, type TorilBackend } from '../jobs/bullmq/bull-backend.ts';
import { BullDelivery } from '../jobs/bullmq/bull-deliveries.ts';
import { Snoozed, thrownOf } from '../jobs/bullmq/told-failures.ts';
import { verified } from '../updates/calling/determinism.ts';
import { byRedisTime } from '../jobs/bullmq/backend/cron-times.ts';
import { inTraceOf, tolerantTelemetry } from '../jobs/bullmq/telemetry.ts';
import { CODE } from '../jobs/bullmq/state/layout.ts';
import { SlotTokens } from '../jobs/bullmq/fast-path/slot-tokens.ts';
import type { AnyUpdate } from '../updates/update.ts';
import type { WorkerObserver } from '../telemetry/observer.ts';
import { UpdateRegistry } from '../updates/update-registry.ts';
import { openServers } from '../memcached/open-servers.ts';
import { tolerant } from './deliveries/backoff-strategy.ts';
import type { EventReporter, WorkerEvents } from './worker-events.ts';
import { LockRenewal } from '../jobs/bullmq/state/lock-renewal.ts';
import { fastPathOff } from '../jobs/bullmq/fast-path/peculiarities.ts';
import { inside } from '../jobs/bullmq/state/worker-internals.ts';
import type { HealthOptions, WorkerHealth } from './health/health.ts';
import { notApplied } from './watching/missing-jobs.ts';
import { WorkerCore } from './worker-core.ts';
import {
  optionsAmong,
  type UncalledProcessor,
  type WorkerArguments,
} from './uncalled-processor.ts';
import { UnheardEvents } from './unheard-events.ts';
import { splitOptions, type WorkerOptions } from './worker-options.ts';
import { statusOf, type WorkerStatus } from './worker-status.ts';

/** BullMQ's events and Toril's. */
export type TorilListener = WorkerListener & {
  [Name in keyof WorkerEvents]: (event: WorkerEvents[Name]) => void;
};

// Only types: BullMQ's own methods do it, whatever the event is called.
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging
export interface Worker {
  on<Name extends keyof TorilListener>(event: Name, listener: TorilListener[Name]): this;
  once<Name extends keyof TorilListener>(event: Name, listener: TorilListener[Name]): this;
  off<Name extends keyof TorilListener>(event: Name, listener: TorilListener[Name]): this;
}

// oxlint-disable-next-line typescript/no-unsafe-declaration-merging
export class Worker extends BullWorker<unknown, unknown, string, TorilBackend> {
  /** How often each event of Toril's has happened in this worker. */
  readonly counts: Partial<Record<keyof WorkerEvents, number>> = {};
  readonly #core: WorkerCore;
  readonly #observer: WorkerObserver | undefined;
  readonly #slotTokens: SlotTokens;
  readonly #closeNow = new AbortController();
  readonly #unheard: UnheardEvents;
  /** Why its fast path is off. */
  #slow: readonly string[] = [];
  /** A run that waits for the servers. */
  #starting: Promise<void> | undefined;
  /** Resolves when nothing is being applied any more, once it closes. */
  #gateClosed: Promise<void> | undefined;
  #closed: Promise<void> | undefined;

  /**
   * Starts to work at once, unless `autorun` is false. What is wrong with the servers is an `error`
   * event and rejects `waitUntilReady()`.
   * @throws TorilError INVALID_OPTIONS, DUPLICATE_UPDATE
   */
  constructor(name: string, options: WorkerOptions);
  /** As frameworks call BullMQ's. The processor is never called: one that does something is refused. */
  constructor(name: string, processor: UncalledProcessor, options: WorkerOptions);
  constructor(name: string, ...given: WorkerArguments) {
    const options = optionsAmong(given);
    const { own, bull, fastPath } = splitOptions(options);
    const report: EventReporter = (event, facts) => this.#report(event, facts);
    const tellError = (error: Error): void => void this.emit('error', error);
    const verify = (update: AnyUpdate): AnyUpdate =>
      verified(update, (updateName, { key, jobId }) =>
        report('updateChangesData', { key, jobId, name: updateName }),
      );
    const registry = new UpdateRegistry(
      options.updates,
      options.verifyUpdates === true ? verify : undefined,
    );
    registry.checkCopies(own.durableCopies);
    const servers = openServers(options.memcached, systemClock, systemRandom);
    const telemetry = bull.telemetry && tolerantTelemetry(bull.telemetry, tellError);
    const settings = tolerant(bull.settings, own.blockedMs, tellError);
    super(
      name,
      (job, token) =>
        this.#core.intake.handle(new BullDelivery(job, token as string, this.backend)),
      {
        ...bull,
        settings: byRedisTime(settings, () => this.backend.cronTimes),
        ...(telemetry && { telemetry }),
      },
      torilBackend({
        fastPath,
        refused: (refusal) => report('redisRefused', { key: undefined, ...refusal }),
        takesJobs: () => this.closing === undefined && !this.isPaused(),
        nextTokens: (token) =>
          this.#slotTokens.following(token, inside(this).mainLoopQueue, this.concurrency),
        expects: (token) =>
          this.#slotTokens.expects(token, inside(this).mainLoopQueue, this.concurrency),
        isSlow: (reasons) => {
          this.#slow = reasons;
          report('fastPathOff', fastPathOff(reasons));
        },
        beforeClose: () => this.#gateClosed,
      }),
    );
    this.#slotTokens = new SlotTokens(this.id);
    this.#unheard = new UnheardEvents(name);
    this.#observer = options.observer?.worker({
      queue: name,
      backlog: () => this.#core.backlog(),
      sight: () => this.#core.sight(),
    });
    this.#core = new WorkerCore({
      ...{
        id: this.id,
        queue: this.name,
        qualifiedName: this.qualifiedName,
        backend: this.backend,
      },
      ...{ options: own, servers, registry, report, failed: tellError, observer: this.#observer },
      inTrace: telemetry && inTraceOf(telemetry),
      rateLimited: bull.limiter !== undefined,
      concurrency: bull.concurrency ?? 1,
      slots: () => this.concurrency,
      taken: () => inside(this).lockManager.getActiveJobCount(),
      resting: () => this.isPaused() || this.#isLimited(),
      fastPathOff: () => this.#slow,
    });
    if (options.autorun !== false) void this.run();
  }

  /**
   * Resolves once Redis is there, the memcached servers are known to be the queue's, and one of them
   * answers: then it works, on the keys of the others as soon as they do. Servers that are away are
   * waited for. @throws as `run`; CLOSED
   */
  override waitUntilReady(): Promise<void> {
    if (this.#core.start.outcome === 'ready') return this.#core.start.ready; // BullMQ asks for each job that it completes
    return Promise.all([super.waitUntilReady(), this.#core.start.ready]).then(() => undefined);
  }

  /**
   * Works until it is closed. What waiting cannot cure is also an `error` event. Call it again once
   * the cause is gone.
   * @throws TorilError SERVER_LIST_CHANGED, MEMCACHED_PROTOCOL, MEMCACHED_AUTH, MEMCACHED_CAS_DISABLED
   */
  override run(): Promise<void> {
    const running = (this.#starting ??= this.#run()); // resume() calls it as well
    running.catch(() => undefined); // an event tells it as well
    return running;
  }

  async #run(): Promise<void> {
    try {
      await this.#core.start.again().finally(() => (this.#starting = undefined));
      if (this.closing !== undefined) return;
      this.#core.lookout.begin();
      this.#core.presence.begin();
      await super.run();
    } catch (cause) {
      if (this.#closed !== undefined) return;
      if (cause !== this.#core.start.outcome) this.emit('error', cause as Error);
      throw cause;
    }
  }

  /** What it does, and which of its servers it can use. */
  status(): WorkerStatus {
    return statusOf(this.#core.start, {
      isClosing: this.#closed !== undefined,
      isClosed: this.closed,
      isPaused: this.isPaused(),
      isRunning: this.isRunning(),
    });
  }

  /**
   * Whether it is alive (only a restart helps, if it is not) and ready (its servers answer, and the list is the registered
   * one), and what is wrong. Asks Redis and memcached, within `deadlineMs`; never rejects.
   */
  health(options?: HealthOptions): Promise<WorkerHealth> {
    return this.#core.health(this.status(), options);
  }

  /** Stops fetching; resolves when nothing is being applied any more, unless it shall not wait. */
  override async pause(doNotWaitActive?: boolean): Promise<void> {
    await super.pause(doNotWaitActive);
    if (doNotWaitActive !== true) await this.#core.gate.atRest();
  }

  /**
   * As in BullMQ: aborts the signal of the job's update (`context.signal`), which may fail then, or not. If it has not
   * been called yet, it is not called in this attempt, which fails with JOB_CANCELLED. False: the job is not here. One
   * that another worker applies in a batch of its own just then is applied all the same.
   */
  override cancelJob(jobId: string, reason?: string): boolean {
    return this.#core.intake.cancel(jobId, reason);
  }

  override cancelAllJobs(reason?: string): void {
    this.#core.intake.cancelAll(reason);
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
    const now = this.#closeNow.signal;
    const isIdle = inside(this).lockManager.getActiveJobCount() === 0;
    const gateClosed = this.#core.closeGate(now);
    this.#gateClosed = gateClosed.then(() => this.#core.presence.close());
    const bull = super.close(force);
    const abandonWorker = (): void => {
      const { lockManager, stalledCheckStopper } = inside(this);
      void lockManager.close();
      stalledCheckStopper?.();
    };
    await this.#core.closeServers(gateClosed, { bull, isIdle, now, abandonWorker });
    this.#observer?.close();
  }

  /**
   * A job that has been given children meanwhile cannot be completed, and BullMQ would have it fail. It is applied: once
   * its children are done, it is delivered once more, and completed.
   */
  protected override async handleFailed(
    ...[thrown, job, token, ...more]: Parameters<BullWorker['handleFailed']>
  ): ReturnType<BullWorker['handleFailed']> {
    // BullMQ's telemetry shows a span for each delivery: this one is no attempt.
    if (thrown instanceof Snoozed)
      more[1]?.addEvent('job snoozed', { 'toril.snooze.delay_ms': thrown.delayMs });
    if ((thrown as { code?: unknown } | undefined)?.code !== CODE.pendingChildren)
      return super
        .handleFailed(thrown, job, token, ...more)
        .finally(() => this.#core.deliveries.limited.delete(job.id as string));
    await this.backend.moveToWaitingChildren(job.id as string, token);
    return super.handleFailed(new WaitingChildrenError(), job, token, ...more);
  }

  /** By the monotonic clock. Called while BullMQ's worker is constructed. */
  protected override createLockManager(): void {
    this.lockManager = LockRenewal.of(this);
  }

  /**
   * An update has met a rate limit: BullMQ fetches nothing while it lasts, and has perhaps not heard of it yet. A job that was
   * delivered just then had the update called again after 5 ms.
   */
  #isLimited(): boolean {
    if (this.#core.deliveries.limited.size > 0) return true;
    return (inside(this).limitUntil ?? 0) > systemClock.wallMs();
  }

  readonly #report: EventReporter = (name, event) => {
    this.counts[name] = (this.counts[name] ?? 0) + 1;
    this.#observer?.event(name, event);
    const isHeard = this.emit(name as keyof WorkerListener, event as never);
    if (!isHeard) this.#unheard.note(name, event);
    if (name === 'internalFault')
      this.emit('error', (event as WorkerEvents['internalFault']).cause);
    if (name === 'jobsNotApplied') {
      this.emit('error', notApplied(this.name, event as WorkerEvents['jobsNotApplied']));
    }
  };
}
