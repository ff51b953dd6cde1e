/**
 * A BullMQ queue whose jobs are updates. Every way of adding keeps its meaning; what is added enters
 * its key's lane in the same step. Jobs that are due later (delayed, scheduled, flows) and
 * jobs of producers without Toril enter their lane when they are first delivered.
 */
import { Queue as BullQueue, type Job, type JobsOptions } from 'bullmq';
import { systemClock } from '../base/clock.ts';
import { closeInTime } from '../base/close-in-time.ts';
import { checkKey } from '../key.ts';
import { enqueueMsOf, queueCloseMsOf } from '../options.ts';
import { forEachOf } from './bullmq/adding/bulk-error.ts';
import { answered } from './answered.ts';
import { checkSchedulerId, explained } from './bullmq/adding/job-ids.ts';
import { torilBackend, type TorilBackend } from './bullmq/bull-backend.ts';
import { LaneHandle } from './lane-handle.ts';
import type { History } from '../history/history.ts';
import { pageOfLanes } from './reports/lane-pages.ts';
import type { LaneCounts, LanePage, LanesRequest } from './reports/lane-report.ts';
import type { JobCounts } from './redis/index/redis-lane-views.ts';
import type { AuditTrail } from './audit-trail.ts';
import { snapshotOf, type SnapshotValue } from './snapshot.ts';
import { ProducerUpdates } from './producer-updates.ts';
import {
  checkQueueOptions,
  type Enqueue,
  type EnqueuedBulk,
  type QueueOptions,
} from './queue-options.ts';
import { QueueInRedis } from './redis/queue-in-redis.ts';
import { byRedisTime } from './bullmq/backend/cron-times.ts';
import { tolerantTelemetry, withTrace } from './bullmq/telemetry.ts';
import type { QueueObserver } from '../telemetry/observer.ts';
import type { AnyUpdate, InputOf, ResultOf } from '../updates/update.ts';

export class Queue extends BullQueue<
  unknown,
  unknown,
  string,
  unknown,
  unknown,
  string,
  TorilBackend
> {
  readonly #updates: ProducerUpdates;
  readonly #closeMs: number;
  readonly #observer: QueueObserver | undefined;
  /** BullMQ's telemetry leaves a trace with the jobs itself. */
  readonly #leavesTraces: boolean;
  readonly #underWay = new Set<Promise<unknown>>();
  #closed: Promise<void> | undefined;
  #inRedis: QueueInRedis | undefined;

  /** @throws TorilError INVALID_OPTIONS, DUPLICATE_UPDATE */
  constructor(name: string, options: QueueOptions = { connection: {} }) {
    const { updates, enqueueMs, closeMs, observer, ...bullOptions } = options;
    checkQueueOptions(options);
    const known = new ProducerUpdates(name, updates);
    const addWithinMs = enqueueMsOf(enqueueMs);
    const closeWithinMs = queueCloseMsOf(closeMs);
    const telemetry =
      bullOptions.telemetry &&
      tolerantTelemetry(bullOptions.telemetry, (error) => this.emit('error', error));
    const settings = byRedisTime(bullOptions.settings, () => this.backend.cronTimes);
    super(
      name,
      { ...bullOptions, settings, ...(telemetry && { telemetry }) },
      torilBackend({
        addWithinMs,
        laneOf: (update, dataJson) => known.laneOf(update, dataJson),
      }),
    );
    this.#updates = known;
    this.#closeMs = closeWithinMs;
    this.#observer = observer?.queue(name);
    this.#leavesTraces = bullOptions.telemetry === undefined;
  }

  /**
   * Adds one job, once. `options` are BullMQ's.
   * @throws TorilError UNKNOWN_UPDATE, DUPLICATE_UPDATE, INVALID_DATA, DATA_NOT_JSON, INVALID_KEY, INVALID_JOB_ID,
   * PARENT_MISSING, JOB_REFUSED, REDIS_FAILED (nothing was added), OUTCOME_UNKNOWN (it may have been)
   */
  async enqueue<U extends AnyUpdate>(
    update: U,
    data: InputOf<U>,
    options?: JobsOptions,
  ): Promise<Job<InputOf<U>, ResultOf<U>, U['name']>> {
    this.#updates.know(update);
    return (await this.add(update.name, data, options)) as Job<InputOf<U>, ResultOf<U>, U['name']>;
  }

  /** Adds many jobs, of one update or of several; nothing is added if one is refused. Throws like `enqueue`. */
  async enqueueBulk<const Updates extends readonly AnyUpdate[]>(
    jobs: {
      readonly [Place in keyof Updates]: Enqueue<Updates[Place]>;
    },
  ): Promise<EnqueuedBulk<Updates>> {
    forEachOf(jobs as readonly Enqueue<AnyUpdate>[], ({ update }) => this.#updates.know(update));
    const added = await this.addBulk(
      jobs.map(({ update, data, options }) => ({
        name: update.name,
        data,
        ...(options && { opts: options }),
      })),
    );
    return added as EnqueuedBulk<Updates>;
  }

  override async add(
    name: string,
    data: unknown,
    options?: JobsOptions,
  ): Promise<Job<unknown, unknown, string>> {
    return this.#adding([{ name, data }], (trace) =>
      super.add(name, data, withTrace(options, trace)),
    );
  }

  override async addBulk(
    jobs: { name: string; data: unknown; opts?: JobsOptions }[],
  ): Promise<Job<unknown, unknown, string>[]> {
    return this.#adding(jobs, (trace) =>
      super.addBulk(
        trace === undefined
          ? jobs
          : jobs.map((job) => ({ ...job, opts: withTrace(job.opts, trace) ?? {} })),
      ),
    );
  }

  /** What waits for `key`, and what an operator may do about it. */
  lane(key: string): LaneHandle {
    checkKey(key);
    const { lanes, views, refused } = this.inRedis;
    const commits = {
      recorded: (of: string) => this.inRedis.recorded(of),
      refused: (of: string) => refused.of(of),
    };
    return new LaneHandle(this, lanes, views, commits, key);
  }

  /**
   * The keys that have jobs, a page at a time, by how long the first one waits. It costs what the page costs, not what all
   * keys would. @throws TorilError INVALID_OPTIONS, REDIS_FAILED (or no answer within 10 s)
   */
  async lanes(request: LanesRequest = {}): Promise<LanePage> {
    return pageOfLanes(this.inRedis.views, request);
  }

  /**
   * All lanes in numbers: backlog, keys with jobs, held keys, the oldest first job.
   * @throws TorilError REDIS_FAILED (or no answer within 10 s)
   */
  async laneCounts(): Promise<LaneCounts> {
    return this.inRedis.views.counts();
  }

  /**
   * The values of up to 1,000 keys as of one moment: no transaction is in some of them and not in the others. Redis tells
   * them, memcached is not asked. It has all that was acknowledged, so each job that has completed; the cell of a key may be ahead by a commit
   * of jobs of that key alone which Redis is just being told. Keys that no job has changed yet are not in the map.
   * @throws TorilError INVALID_KEY, INVALID_OPTIONS (more keys), VALUE_TOO_LARGE (more than 32 MiB together), COPY_NOT_KEPT, REDIS_FAILED (or
   * no answer within 10 s)
   */
  snapshot<Value = unknown>(keys: Iterable<string>): Promise<Map<string, SnapshotValue<Value>>> {
    return snapshotOf(this.inRedis.lanes, keys);
  }

  /** What Toril keeps of it in Redis, for code that needs more than a lane at a time. @internal */
  get inRedis(): QueueInRedis {
    this.#inRedis ??= new QueueInRedis(this.backend.queueScripts(answered), () =>
      answered(this.#jobCounts()),
    );
    return this.#inRedis;
  }

  async #jobCounts(): Promise<JobCounts> {
    const counts = await this.getJobCounts('wait', 'prioritized', 'active', 'delayed');
    const { wait = 0, prioritized = 0, active = 0, delayed = 0 } = counts;
    return { waiting: wait + prioritized, active, delayed };
  }

  /** What operators did by the page and the command line. Acts of programs (`queue.lane(key).drop()`) are not in it. */
  get audit(): AuditTrail {
    return this.inRedis.audit;
  }

  /** What was committed, if workers record it (`history`); `record()` makes a file of it. */
  get history(): History {
    return this.inRedis.history;
  }

  /**
   * Waits for what is being added, at most `closeMs`. A second or so later it is over, whatever Redis does;
   * what is being added even then is rejected.
   */
  override close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    const closing = Promise.allSettled(this.#underWay).then(() => super.close());
    await closeInTime({
      ...{ clock: systemClock, orderly: closing },
      workMs: this.#underWay.size === 0 ? 0 : this.#closeMs,
      left: () => this.#underWay.size,
      abandon: () => this.backend.abandon(),
    });
    this.closed = true;
  }

  /** How many jobs have given their worker slot back until their turn. They are among those that wait. */
  async getSnoozedCount(): Promise<number> {
    const { snoozed } = await this.backend.snoozed.counts();
    return snoozed.wait + snoozed.prioritized;
  }

  override async drain(delayed?: boolean): Promise<void> {
    await super.drain(delayed);
    await this.#sweep();
  }

  override async clean(...args: Parameters<BullQueue['clean']>): Promise<string[]> {
    const removed = await super.clean(...args);
    if (removed.length > 0) await this.#sweep();
    return removed;
  }

  /**
   * Destroys the queue with its lanes, copies and history. The cells in memcached stay: a key that is used
   * again afterwards stops with REDIS_WENT_BACK until its cell is deleted or trusted.
   */
  override async obliterate(options?: Parameters<BullQueue['obliterate']>[0]): Promise<void> {
    await super.obliterate(options);
    await this.inRedis.upkeep.destroy();
  }

  /** The jobs it makes enter their lane when they are first delivered. Throws like `enqueue`, but Redis' errors as they are. */
  override async upsertJobScheduler(
    ...args: Parameters<BullQueue['upsertJobScheduler']>
  ): ReturnType<BullQueue['upsertJobScheduler']> {
    const [id, repeat, template] = args;
    const { name = id, data = {} } = template ?? {};
    return this.#awaited([{ name, data }], async () => {
      checkSchedulerId(id);
      await this.#updates.laneOf(name, JSON.stringify(data));
      return super.upsertJobScheduler(id, repeat, template);
    });
  }

  /** A lane whose first job is gone goes on with the next one, which may have been told to look again later. */
  async #sweep(): Promise<void> {
    await this.inRedis.upkeep.sweep();
    await this.backend.snoozed.wakePromoted();
  }

  #adding<T>(
    jobs: readonly { name: string; data: unknown }[],
    add: (trace: string | undefined) => Promise<T>,
  ): Promise<T> {
    const observer = this.#observer;
    if (observer === undefined) return this.#awaited(jobs, () => add(undefined));
    return observer.enqueue(jobs.length, (trace) =>
      this.#awaited(jobs, () => add(this.#leavesTraces ? trace : undefined)),
    );
  }

  /** Waited for when the queue closes. */
  async #awaited<T>(
    jobs: readonly { name: string; data: unknown }[],
    add: () => Promise<T>,
  ): Promise<T> {
    const adding = add();
    this.#underWay.add(adding);
    try {
      return await adding;
    } catch (thrown) {
      this.#updates.explain(jobs);
      throw explained(thrown);
    } finally {
      this.#underWay.delete(adding);
    }
  }
}
