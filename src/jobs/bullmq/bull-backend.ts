/**
 * BullMQ's own Redis backend with three things added: jobs enter their lanes in the step that adds
 * them; a delivery brings along the outcome that somebody else's batch may have left in
 * the job's hash; and a job that BullMQ fails for good is free to be retried by an operator.
 */
import {
  createRedisBackend,
  isNotConnectionError,
  isRedisInstance,
  QueueKeys,
  raw2NextJobData,
  type BackendFactory,
  type IRedisTransaction,
  type JobJson,
  type KeepJobs,
  type MinimalJob,
  type ParentKeyOpts,
  type QueueBaseOptions,
  type RedisClient,
  type RedisQueueBackend,
  type WorkerOptions,
} from 'bullmq';
import { type AbandonableClient, abandonClient } from '../../redis/abandon-client.ts';
import { systemClock } from '../../base/clock.ts';
import { OWN_MARK, ownPrefixOf } from '../../redis/own-keys.ts';
import { systemRandom } from '../../base/random.ts';
import { TorilError } from '../../errors.ts';
import { ENQUEUE_MS } from '../../options.ts';
import { Adding, type LaneOf } from './adding/adding.ts';
import { Producer } from './adding/producer.ts';
import { DeliveredFields, type TorilFields } from './backend/delivered-fields.ts';
import {
  type Completion,
  isKnownBullMQ,
  type NextJob,
  peculiaritiesOf,
} from './fast-path/finisher.ts';
import { GatheredWrites } from './backend/gathered-writes.ts';
import {
  type Away,
  parkAhead,
  type ParkedAhead,
  type ParkingSite,
  scheduleParked,
} from './parking-ahead.ts';
import { addScript } from './state/add.ts';
import { DROP_MISSING } from './state/drop-missing.ts';
import { FILL } from './fast-path/fill.ts';
import { FINISH } from './fast-path/finish.ts';
import { MOVE, removeScript } from './state/remove.ts';
import { PARK_AHEAD, SCHEDULE_PARKED } from './state/park-ahead.ts';
import { DELIVER_NEXT } from './state/promote.ts';
import { RECLAIM } from './state/reclaim.ts';
import {
  ALONE_FIELD,
  DIRECTIVE_FIELD,
  OUTCOME_FIELD,
  PARKED_FIELD,
  type Script,
} from '../redis/scripts/script.ts';
import { giveBackScript, snoozeScript } from './state/snooze.ts';
import { timedScripts } from './state/timed.ts';
import type { ScriptClient } from '../redis/redis-lanes.ts';
import { RedisTime } from '../../redis/redis-time.ts';
import { type Held, isRefusal, Repeating, type Standing, type Step } from './backend/repeating.ts';
import { Slots } from './fast-path/slots.ts';
import { SNOOZING_SCRIPTS } from './snoozed-jobs.ts';
import { WaitingBackend } from './backend/waiting-backend.ts';

/** BullMQ's scripts that answer with a job to be processed. */
const DELIVERING: ReadonlySet<string> = new Set([
  'moveToActive',
  'moveToFinished',
  'moveToDelayed',
  'retryJob',
]);

const SNOOZE = snoozeScript();
const GIVE_BACK = giveBackScript();
const REMOVE = removeScript();

const SCRIPTS = [
  PARK_AHEAD,
  SCHEDULE_PARKED,
  DELIVER_NEXT,
  FINISH,
  FILL,
  SNOOZE,
  GIVE_BACK,
  RECLAIM,
  DROP_MISSING,
  ...SNOOZING_SCRIPTS,
  ...timedScripts().values(),
  MOVE,
  REMOVE,
];

/** They miss the job, its lock, or the job among the active ones: it may be completed, with the answer lost and the request sent again. */
const MISSED: ReadonlySet<unknown> = new Set([-1, -2, -3]);
/** How BullMQ's `isFinished` answers. */
const COMPLETED = 1;
const MISSING_JOB = -1;
/** Milliseconds for which jobs are asked for again before BullMQ is told that they are refused. */
const FETCH_WITHIN_MS = 10_000;

/** How a job goes back to the front of the queue. */
export interface GivingBack {
  readonly attemptsMade?: number;
  readonly begun?: boolean;
  readonly survivedStart?: boolean;
}

export class TorilBackend extends WaitingBackend {
  /** Set by the queue; a worker adds nothing. */
  laneOf: LaneOf | undefined;
  /** Set by the queue: milliseconds for which adding is tried. */
  addWithinMs: number = ENQUEUE_MS;
  /** Awaited before the connection closes: work that needs it to the last. */
  beforeClose: (() => Promise<void>) | undefined;
  /** What is decided of a job is told to Redis until it is done. */
  readonly repeating: Repeating = new Repeating({
    clock: systemClock,
    random: systemRandom,
    reclaim: (held) => this.#reclaim(held),
  });
  readonly #time = new RedisTime(systemClock);
  /** Of Toril's own keys. */
  readonly #ownPrefix = ownPrefixOf(this.keys[''] as string);
  readonly slots: Slots = this.#makeSlots();
  readonly #delivered = new DeliveredFields();
  /** Why jobs fail for good that are just being reported. */
  readonly #failing = new Map<string, 'holds' | 'left'>();
  readonly #attempts = new Map<string, number>();
  readonly #writes = new GatheredWrites(systemClock);
  #adding: Adding | undefined;
  readonly #handingBack = new Set<string>();
  readonly #abandoned = new AbortController();
  #defined: Promise<RedisClient> | undefined;
  /** The client that knows the scripts already. */
  #knowing: RedisClient | undefined;

  /** The client, knowing the scripts of this file. */
  override scripts(): Promise<RedisClient> {
    this.#defined ??= Promise.resolve(this.client).then((client) => this.#define(client));
    return this.#defined;
  }

  #define(client: RedisClient): RedisClient {
    this.#knowing = client;
    for (const { name, numberOfKeys, lua } of SCRIPTS) {
      client.defineCommand(name, { numberOfKeys, lua });
    }
    return client;
  }

  /** What lanes need of the client. */
  scriptClient(): Promise<ScriptClient> {
    return Promise.resolve(this.client) as Promise<ScriptClient>;
  }

  /** What Toril had noted of the job when it was delivered, once. */
  takeFields(jobId: string): TorilFields {
    return this.#delivered.take(jobId);
  }

  /** A job that holds its lane must stay until somebody decides about it, whatever `removeOnFail` says. */
  keepWhenFailed(jobId: string): void {
    this.#failing.set(jobId, 'holds');
  }

  /**
   * A job that fails because it has left its lane so: its outcome has served its purpose, and a later
   * retry by an operator is a new beginning. Any other failure leaves the outcome alone: somebody
   * else may have applied the job meanwhile.
   */
  forgetWhenFailed(jobId: string): void {
    this.#failing.set(jobId, 'left');
  }

  /** BullMQ's scripts, by Redis's clock where the time matters. */
  override execCommand(
    client: RedisClient | IRedisTransaction,
    commandName: string,
    args: unknown[],
  ): unknown {
    this.#writes.gather(client);
    const timed = timedScripts().get(commandName);
    if (timed === undefined) return super.execCommand(client, commandName, args);
    if (this.#knowing === undefined) this.#define(client as RedisClient);
    const reply: unknown = client.runCommand(timed.name, args);
    if (!DELIVERING.has(commandName) || !(reply instanceof Promise)) return reply;
    return reply.then((delivery: unknown) => {
      this.#delivered.note(delivery);
      if (Array.isArray(delivery)) {
        this.#time.learn(Number(delivery[4]));
        delivery[3] = this.#dueOf(Number(delivery[3]));
      }
      return delivery;
    });
  }

  /** BullMQ waits by this machine's clock until the next delayed job is due. */
  #dueOf(redisMs: number): number {
    return redisMs > 0 ? this.#time.wallOf(redisMs) : redisMs;
  }

  /**
   * If Redis refuses, jobs are asked for, which is repeated. BullMQ would forget when the next delayed one is due, and wait
   * for 10 s, each time anew: a Redis that changed its role every second kept due jobs waiting for a minute.
   */
  override async waitForJob(blockTimeout: number): ReturnType<RedisQueueBackend['waitForJob']> {
    try {
      const marker = await super.waitForJob(blockTimeout);
      return marker === null ? marker : { ...marker, score: this.#dueOf(marker.score) };
    } catch (thrown) {
      if (!isNotConnectionError(thrown as Error)) throw thrown;
      return null;
    }
  }

  override async addJob(
    job: JobJson,
    jobId: string,
    parentKeyOpts: ParentKeyOpts = {},
  ): Promise<string> {
    const [id] = await this.addJobs([{ job, jobId, parentKeyOpts }]);
    return id as string;
  }

  override async addJobs(
    adds: { job: JobJson; jobId: string; parentKeyOpts?: ParentKeyOpts }[],
  ): Promise<string[]> {
    const all = adds.map((add) => ({ ...add, parentKeyOpts: add.parentKeyOpts ?? {} }));
    this.#adding ??= this.#makeAdding();
    return this.#adding.add(all, this.laneOf);
  }

  #makeAdding(): Adding {
    const withinMs = this.addWithinMs;
    const script = addScript();
    let client: RedisClient | undefined;
    const producer = new Producer({
      ...{ clock: systemClock, random: systemRandom, withinMs },
      ready: async () => {
        if (client !== undefined) return;
        client = await this.scripts();
        client.defineCommand(script.name, script);
      },
      run: async (producerId, args) =>
        client?.runCommand(script.name, [
          `${this.#ownPrefix}sequence`,
          `${this.#ownPrefix}producer:${producerId}`,
          this.keys[''],
          ...args,
        ]),
      isClosed: () =>
        this.#abandoned.signal.aborted || this.closing !== undefined || client?.status === 'end',
      abandoned: this.#abandoned.signal,
    });
    return new Adding(this, producer, withinMs);
  }

  /** Parks the jobs of a lane that are next in BullMQ's wait list, before they are delivered. */
  async parkAhead(lane: string): Promise<ParkedAhead> {
    return parkAhead(await this.#parkingSite(), lane);
  }

  /** Says of them when they come back. */
  async scheduleParked(lane: string, parked: ParkedAhead, away: Away): Promise<void> {
    await scheduleParked(await this.#parkingSite(), lane, parked, away, systemClock);
  }

  async #parkingSite(): Promise<ParkingSite> {
    const client = await this.scripts();
    return { keys: this.keys, run: ({ name }, args) => client.runCommand(name, args) };
  }

  /** Says no (0), as BullMQ does of what is locked, also if the job may be in its key's value already. */
  override async remove(jobId: string, removeChildren: boolean): Promise<number> {
    const answer = await this.#run(REMOVE, [jobId, removeChildren ? '1' : '0']);
    const [removed, heads] = answer as [number, string[]];
    if (removed < 0) throw this.finishedErrors({ code: removed, jobId, command: 'removeJob' });
    await this.#goOn(heads);
    return removed;
  }

  /** Data that name another key: the job goes there, unless somebody has it in hand. */
  override async updateData<T, R, N extends string>(
    job: MinimalJob<T, R, N>,
    data: T,
  ): Promise<void> {
    const lane = await this.laneOf?.(job.name, JSON.stringify(data));
    await super.updateData(job, data);
    if (lane === undefined || lane === '') return;
    const head = await this.#run(MOVE, [job.id as string, lane]);
    await this.#goOn(typeof head === 'string' ? [head] : []);
  }

  /** What may have held these jobs up is gone: do not wait until they look again. */
  async #goOn(jobIds: readonly string[]): Promise<void> {
    for (const jobId of jobIds) await this.snoozed.wake(jobId);
  }

  /**
   * Gives a job back for a while, without an attempt. `survivedStart`: it was begun alone in this
   * delivery, and the process lives. `attemptsMade`: so that whoever meets it at the lane's head knows that
   * it does not wait for its backoff.
   */
  async park(
    jobId: string,
    survivedStart: boolean,
    delayMs: number,
    token: string,
    attemptsMade = 0,
  ): Promise<void> {
    const bull = this.moveToDelayedArgs(jobId, 0, token, delayMs, {
      skipAttempt: true,
      ...(attemptsMade > 0 && { fieldsToUpdate: { [PARKED_FIELD]: String(attemptsMade) } }),
    });
    const args = [...bull, survivedStart ? '1' : '', ...this.#limiterArguments];
    await this.#handBack('snooze', { jobId, token, attemptsMade }, SNOOZE, args);
  }

  /**
   * To the front of the queue. `begun`: else it was fetched ahead, and nobody has begun to work on it.
   * `survivedStart`: as for `park`.
   */
  async giveBack(
    jobId: string,
    token: string,
    { attemptsMade = 0, begun = true, survivedStart = false }: GivingBack = {},
  ): Promise<void> {
    const { active, wait, stalled, paused, meta, limiter, prioritized, marker, events } = this.keys;
    const keys = [active, wait, stalled, paused, meta, limiter, prioritized, marker, events];
    const bull = [...keys, jobId, token, this.toKey(jobId)];
    const flags = [begun ? '' : '1', survivedStart ? '1' : ''];
    const args = [...bull, this.keys[''], ...flags, ...this.#limiterArguments];
    await this.#handBack('give back', { jobId, token, attemptsMade }, GIVE_BACK, args);
  }

  async #handBack(step: Step, held: Held, script: Script, args: unknown[]): Promise<void> {
    const client = await this.scripts();
    const { jobId } = held;
    this.#handingBack.add(jobId);
    try {
      await this.repeating.untilDone(step, held, async () => {
        this.#writes.gather(client);
        const code = await client.runCommand(script.name, args);
        if (typeof code === 'number' && code < 0)
          throw this.finishedErrors({ code, jobId, command: script.name, state: 'active' });
      });
    } catch (thrown) {
      if (!isRefusal(thrown)) this.#handingBack.delete(jobId); // it is somebody else's by now
      throw thrown;
    }
    this.#handingBack.delete(jobId);
  }

  /** Jobs that were to go back to the queue, or to be finished, and of which Redis has not said that they are. */
  notHandedBack(): Set<string> {
    return new Set([...this.#handingBack, ...this.repeating.givenUp]);
  }

  get #limiterArguments(): (string | number)[] {
    const { max = '', duration = '' } = this.#workerOptions.limiter ?? {};
    return [max, duration];
  }

  async #reclaim({ jobId, token, attemptsMade }: Held): Promise<Standing> {
    const { lockDuration = 30_000 } = this.#workerOptions;
    const args = [jobId, token, String(lockDuration), String(attemptsMade ?? '')];
    return (await this.#run(RECLAIM, args)) as Standing;
  }

  /**
   * A job was delivered without a name. Takes it out of BullMQ's lists if nothing is left of it (`dropped`), unless
   * more is left (`damaged`), or somebody else has it (`elsewhere`).
   */
  async dropMissing(jobId: string, token: string): Promise<'dropped' | 'damaged' | 'elsewhere'> {
    return (await this.#run(DROP_MISSING, [jobId, token])) as 'dropped' | 'damaged' | 'elsewhere';
  }

  /** Has BullMQ deliver a job before all others: its lane waits for it. */
  async deliverNext(jobId: string): Promise<void> {
    await this.#run(DELIVER_NEXT, [jobId]);
  }

  /** A script that needs the prefix of the queue's keys, and no key by name but the sequence. */
  async #run({ name }: Script, args: readonly string[]): Promise<unknown> {
    const client = await this.scripts();
    return client.runCommand(name, [`${this.#ownPrefix}sequence`, this.keys[''], ...args]);
  }

  override moveToCompleted<T, R, N extends string>(
    job: MinimalJob<T, R, N>,
    returnValue: R,
    removeOnComplete: boolean | number | KeepJobs,
    token: string,
    fetchNext: boolean,
  ): ReturnType<RedisQueueBackend['moveToCompleted']> {
    const wantsNext = fetchNext && this.closing === undefined;
    const before = this.slots.completedBefore(job.id as string, token, wantsNext);
    if (before === undefined)
      return this.#complete(job, returnValue, removeOnComplete, token, fetchNext);
    return this.#withNext(before, token);
  }

  /** However long it takes: what it would complete is decided. */
  async #complete<T, R, N extends string>(
    job: MinimalJob<T, R, N>,
    returnValue: R,
    removeOnComplete: boolean | number | KeepJobs,
    token: string,
    fetchNext: boolean,
  ): ReturnType<RedisQueueBackend['moveToCompleted']> {
    const act = (): ReturnType<RedisQueueBackend['moveToCompleted']> =>
      this.#completeOnce(job, returnValue, removeOnComplete, token, fetchNext);
    const held = heldOf(job, token);
    this.repeating.check('complete', held.jobId);
    try {
      return await act();
    } catch (thrown) {
      const isMissed = MISSED.has(codeOf(thrown));
      const ended = isMissed
        ? { instead: await this.#seen(held.jobId) }
        : await this.repeating.again('complete', held, act, thrown);
      if ('done' in ended) return ended.done;
      const { instead } = ended;
      const isDone = instead === 'finished' || (instead === 'gone' && removeOnComplete === true);
      if (!isDone) throw isMissed ? thrown : this.#lost(held, 'moveToCompleted');
      return { result: undefined, finishedOn: systemClock.wallMs() };
    }
  }

  async #seen(jobId: string): Promise<Exclude<Standing, 'held'>> {
    const code = await this.isFinished(jobId);
    if (code === COMPLETED) return 'finished';
    return code === MISSING_JOB ? 'gone' : 'lost';
  }

  #lost({ jobId }: Held, command: string): Error {
    return this.finishedErrors({ code: -2, jobId, command, state: 'active' });
  }

  /** With all others of this moment, where they are ordinary ones. */
  async #completeOnce<T, R, N extends string>(
    job: MinimalJob<T, R, N>,
    returnValue: R,
    removeOnComplete: boolean | number | KeepJobs,
    token: string,
    fetchNext: boolean,
  ): ReturnType<RedisQueueBackend['moveToCompleted']> {
    const completed = await this.slots.complete(
      job.id as string,
      token,
      returnValue,
      removeOnComplete,
      fetchNext && this.closing === undefined,
    );
    if (completed === undefined) {
      return super.moveToCompleted(job, returnValue, removeOnComplete, token, fetchNext);
    }
    return this.#withNext(completed, token);
  }

  async #withNext(
    { answer, finishedOn }: Completion,
    token: string,
  ): ReturnType<RedisQueueBackend['moveToCompleted']> {
    if (answer !== 'fetch') return { result: this.#nextJob(answer), finishedOn };
    return { result: await this.#fetchInstead(token), finishedOn };
  }

  /** The job before it is completed, whatever comes of this: the slot asks again. */
  async #fetchInstead(token: string): Promise<unknown[] | undefined> {
    try {
      return await super.moveToActive(token, this.#workerOptions.name);
    } catch (thrown) {
      if (!isRefusal(thrown)) throw thrown;
      return undefined;
    }
  }

  /** It may have been fetched already, or is fetched together with others. */
  override async moveToActive(
    token: string,
    name?: string,
  ): ReturnType<RedisQueueBackend['moveToActive']> {
    const fetch = async (): Promise<unknown[]> => {
      const answer = await this.slots.fetch(token);
      return answer === 'fetch' ? super.moveToActive(token, name) : this.#nextJob(answer);
    };
    // BullMQ has used up the marker that says that jobs are waiting: it would not ask again before `drainDelay`.
    return this.repeating.within(FETCH_WITHIN_MS, 'fetch', fetch, this.slots.takesJobs);
  }

  #nextJob(answer: NextJob): unknown[] {
    this.#delivered.note(answer);
    if (answer === undefined) return [];
    const [fields, id, limitedMs = 0, dueMs = 0] = answer;
    return raw2NextJobData([fields, id, limitedMs, this.#dueOf(dueMs)]);
  }

  get #workerOptions(): Partial<WorkerOptions> {
    return this.queue.opts as Partial<WorkerOptions>;
  }

  /** Ends the connections at once, but not a client that was given. */
  abandon(): void {
    this.#abandoned.abort();
    this.repeating.stop();
    const connections = [this.blockingConnection];
    if (!isRedisInstance(this.queue.opts.connection)) connections.push(this.connection);
    for (const connection of connections) {
      const { _client } = (connection ?? {}) as unknown as { _client?: AbandonableClient };
      if (_client !== undefined) abandonClient(_client);
    }
  }

  #makeSlots(): Slots {
    const { lockDuration = 0, name, concurrency = 1, removeOnComplete } = this.#workerOptions;
    return new Slots({
      ...{ lockMs: lockDuration, workerName: name, concurrency, removeOnComplete },
      peculiarities: async () =>
        peculiaritiesOf(this.#workerOptions, isKnownBullMQ(await this.scripts(), this.version)),
      activeJobs: async () => (await this.scripts()).llen(this.keys['active'] as string),
      run: (script, args) => this.#run(script, args),
      giveBack: (jobId, token) => this.giveBack(jobId, token, { begun: false }),
      tellTime: (nowMs) => this.#time.learn(nowMs),
    });
  }

  /** What Toril noted about the job goes in the same script as the failure itself. */
  override async moveToFailed<T, R, N extends string>(
    job: MinimalJob<T, R, N>,
    failedReason: string,
    removeOnFail: Parameters<RedisQueueBackend['moveToFailed']>[2],
    token: string,
    fetchNext: boolean,
    fieldsToUpdate?: Record<string, unknown>,
  ): ReturnType<RedisQueueBackend['moveToFailed']> {
    const why = this.#failing.get(job.id ?? '');
    this.#failing.delete(job.id ?? '');
    const fields = {
      ...fieldsToUpdate,
      [ALONE_FIELD]: '',
      [DIRECTIVE_FIELD]: '',
      ...(why === 'left' && { [OUTCOME_FIELD]: '' }),
    };
    const remove = why === 'holds' ? false : removeOnFail;
    const act = (): ReturnType<RedisQueueBackend['moveToFailed']> =>
      super.moveToFailed(job, failedReason, remove, token, fetchNext, fields);
    const held = heldOf(job, token);
    const ended = await this.repeating.untilDone('fail', held, act);
    if ('done' in ended) return ended.done;
    if (ended.instead !== 'finished') throw this.#lost(held, 'moveToFailed');
    return { result: undefined, finishedOn: systemClock.wallMs() };
  }

  /** With a backoff; a job that waits for its turn is snoozed. */
  override async moveToDelayed(
    ...args: Parameters<RedisQueueBackend['moveToDelayed']>
  ): ReturnType<RedisQueueBackend['moveToDelayed']> {
    const [jobId, , , token = '0'] = args;
    return this.#untilDone('retry', this.#heldAs(jobId, token), 'moveToDelayed', () =>
      super.moveToDelayed(...args),
    );
  }

  override async retryJob(...args: Parameters<RedisQueueBackend['retryJob']>): Promise<void> {
    const [jobId, , token = '0'] = args;
    return this.#untilDone('retry', this.#heldAs(jobId, token), 'retryJob', () =>
      super.retryJob(...args),
    );
  }

  /** A job that is about to be retried was delivered with so many attempts made. */
  noteAttempts(jobId: string, attemptsMade: number): void {
    this.#attempts.set(jobId, attemptsMade);
  }

  #heldAs(jobId: string, token: string): Held {
    const attemptsMade = this.#attempts.get(jobId);
    this.#attempts.delete(jobId);
    return { jobId, token, attemptsMade };
  }

  /** By a processor that limits the rate by hand. */
  override async moveJobFromActiveToWait(jobId: string, token = '0'): Promise<number> {
    return this.#untilDone('give back', this.#heldAs(jobId, token), 'moveJobFromActiveToWait', () =>
      super.moveJobFromActiveToWait(jobId, token),
    );
  }

  /** A lock is renewed at half its time: a quarter is left for Redis to come round. */
  override extendLocks(jobIds: string[], tokens: string[], ms: number): Promise<string[]> {
    return this.repeating.within(ms / 4, 'keep locks', () => super.extendLocks(jobIds, tokens, ms));
  }

  /** @throws what BullMQ says of a lock that is lost */
  async #untilDone<T>(step: Step, held: Held, command: string, act: () => Promise<T>): Promise<T> {
    const ended = await this.repeating.untilDone(step, held, act);
    if ('done' in ended) return ended.done;
    throw this.#lost(held, command);
  }

  override async close(force?: boolean): Promise<void> {
    await this.beforeClose?.();
    this.repeating.stop();
    await this.slots.settled();
    return super.close(force);
  }
}

function codeOf(thrown: unknown): unknown {
  return (thrown as { code?: unknown } | null)?.code;
}

function heldOf({ id, attemptsMade }: MinimalJob, token: string): Held {
  return { jobId: id as string, token, attemptsMade };
}

function checkedPrefix(opts: object): string | undefined {
  const { prefix } = opts as { prefix?: string };
  if (prefix?.startsWith(OWN_MARK) !== true) return prefix;
  throw new TorilError(
    'INVALID_OPTIONS',
    `the prefix "${prefix}" begins with "${OWN_MARK}", as the names of Toril's own keys in Redis do. Choose another one.`,
  );
}

/** For BullMQ's Queue and Worker: its own connections, our backend around them. */
export const createTorilBackend: BackendFactory<TorilBackend> = (name, opts, flags) => {
  const plain = createRedisBackend(name, opts as QueueBaseOptions, flags);
  // It forwards its connection's errors to itself; we listen to the same connection and report them.
  plain.on('error', () => undefined);
  const keys = new QueueKeys(checkedPrefix(opts));
  return new TorilBackend(
    plain.connection,
    name,
    keys.getKeys(name),
    (type) => keys.toKey(name, type),
    opts as QueueBaseOptions,
    plain.blockingConnection,
  );
};
