/**
 * BullMQ's own Redis backend with three things added: jobs enter their lanes in the step that adds
 * them; a delivery brings along the outcome that somebody else's batch may have left in
 * the job's hash; and a job that BullMQ fails for good is free to be retried by an operator.
 */
import {
  createRedisBackend,
  QueueKeys,
  RedisQueueBackend,
  raw2NextJobData,
  type BackendFactory,
  type IRedisTransaction,
  type JobJson,
  type KeepJobs,
  type MinimalJob,
  type ParentKeyOpts,
  type QueueBaseOptions,
  type RedisClient,
  type WorkerOptions,
} from 'bullmq';
import { systemClock } from '../base/clock.ts';
import { OWN_MARK, ownPrefixOf } from '../base/own-keys.ts';
import { systemRandom } from '../base/random.ts';
import { TorilError } from '../errors.ts';
import { ENQUEUE_MS } from '../options.ts';
import { Adding, type LaneOf } from './adding/adding.ts';
import { bullAddScripts } from './adding/bull-scripts.ts';
import { Producer } from './adding/producer.ts';
import { DeliveredOutcomes } from './delivered-outcomes.ts';
import { isKnownBullMQ, isOrdinary, type NextJob } from './finisher.ts';
import { GatheredWrites } from './gathered-writes.ts';
import {
  type Away,
  parkAhead,
  type ParkedAhead,
  type ParkingSite,
  scheduleParked,
} from './parking-ahead.ts';
import { addScript } from './scripts/add.ts';
import { LEAVE_IF_GONE } from './scripts/leave.ts';
import { FILL } from './scripts/fill.ts';
import { FINISH } from './scripts/finish.ts';
import { SURVIVED } from './scripts/locate.ts';
import { PARK_AHEAD, SCHEDULE_PARKED } from './scripts/park-ahead.ts';
import { DELIVER_NEXT, PROMOTE_DECIDED } from './scripts/promote.ts';
import {
  ALONE_FIELD,
  DIRECTIVE_FIELD,
  OUTCOME_FIELD,
  PARKED_FIELD,
  type Script,
} from './scripts/script.ts';
import type { ScriptClient } from './redis-lanes.ts';
import { Slots } from './slots.ts';

/** BullMQ's scripts that answer with a job to be processed. */
const DELIVERING: ReadonlySet<string> = new Set([
  'moveToActive',
  'moveToFinished',
  'moveToDelayed',
  'retryJob',
]);

const SCRIPTS = [
  LEAVE_IF_GONE,
  PARK_AHEAD,
  SCHEDULE_PARKED,
  PROMOTE_DECIDED,
  DELIVER_NEXT,
  SURVIVED,
  FINISH,
  FILL,
];

export class TorilBackend extends RedisQueueBackend {
  /** Set by the queue; a worker adds nothing. */
  laneOf: LaneOf | undefined;
  /** Set by the queue: milliseconds for which adding is tried. */
  addWithinMs: number = ENQUEUE_MS;
  /** Awaited before the connection closes: work that needs it to the last. */
  beforeClose: (() => Promise<void>) | undefined;
  /** Of Toril's own keys. */
  readonly #ownPrefix = ownPrefixOf(this.keys[''] as string);
  readonly slots: Slots = this.#makeSlots();
  readonly #outcomes = new DeliveredOutcomes();
  /** Why jobs fail for good that are just being reported. */
  readonly #failing = new Map<string, 'holds' | 'left'>();
  readonly #writes = new GatheredWrites(systemClock);
  #adding: Adding | undefined;
  #defined: Promise<RedisClient> | undefined;

  /** The client, knowing the scripts of this file. */
  scripts(): Promise<RedisClient> {
    this.#defined ??= Promise.resolve(this.client).then((client) => {
      for (const { name, numberOfKeys, lua } of SCRIPTS) {
        client.defineCommand(name, { numberOfKeys, lua });
      }
      return client;
    });
    return this.#defined;
  }

  /** What lanes need of the client. */
  scriptClient(): Promise<ScriptClient> {
    return Promise.resolve(this.client) as Promise<ScriptClient>;
  }

  /** The outcome that came with the job's delivery, once. */
  takeOutcome(jobId: string): string | undefined {
    return this.#outcomes.take(jobId);
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

  override execCommand(
    client: RedisClient | IRedisTransaction,
    commandName: string,
    args: unknown[],
  ): unknown {
    this.#writes.gather(client);
    const reply: unknown = super.execCommand(client, commandName, args);
    if (!DELIVERING.has(commandName) || !(reply instanceof Promise)) return reply;
    return reply.then((delivery: unknown) => {
      this.#outcomes.note(delivery);
      return delivery;
    });
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
    const script = addScript(bullAddScripts());
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
      isClosed: () => this.closing !== undefined || client?.status === 'end',
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

  override async remove(jobId: string, removeChildren: boolean): Promise<number> {
    const job = this.laneOf === undefined ? undefined : await this.getJobData(jobId);
    const removed = await super.remove(jobId, removeChildren);
    const lane =
      job === undefined || this.laneOf === undefined ? '' : await laneOrNone(this.laneOf, job);
    if (removed > 0 && lane !== '') {
      const next = await this.#run(LEAVE_IF_GONE, [lane, jobId]);
      // The one that may have held the lane is gone: do not wait until the next one looks again.
      if (typeof next === 'string' && next !== '') await this.promote(next).catch(() => undefined);
    }
    return removed;
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
    const client = await this.scripts();
    const args = this.moveToDelayedArgs(jobId, systemClock.wallMs(), token, delayMs, {
      skipAttempt: true,
      ...(attemptsMade > 0 && { fieldsToUpdate: { [PARKED_FIELD]: String(attemptsMade) } }),
    });
    const [code] = await Promise.all([
      this.execCommand(client, 'moveToDelayed', args),
      survivedStart && this.#run(SURVIVED, [jobId]),
      // Behind it in the same write: whoever decided the job in the last moment found nothing to promote.
      this.#run(PROMOTE_DECIDED, [jobId]),
    ]);
    if (typeof code === 'number' && code < 0)
      throw this.finishedErrors({ code, jobId, command: 'moveToDelayed', state: 'active' });
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

  /** Together with its commit, or with all others of this moment, where they are ordinary ones. */
  override async moveToCompleted<T, R, N extends string>(
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
    const { answer, finishedOn } = completed;
    if (answer !== 'fetch') return { result: this.#nextJob(answer), finishedOn };
    return { result: await super.moveToActive(token, this.#workerOptions.name), finishedOn };
  }

  /** It may have been fetched already, or is fetched together with others. */
  override async moveToActive(
    token: string,
    name?: string,
  ): ReturnType<RedisQueueBackend['moveToActive']> {
    const answer = await this.slots.fetch(token);
    return answer === 'fetch' ? super.moveToActive(token, name) : this.#nextJob(answer);
  }

  #nextJob(answer: NextJob): unknown[] {
    this.#outcomes.note(answer);
    return answer === undefined ? [] : raw2NextJobData([...answer]);
  }

  get #workerOptions(): Partial<WorkerOptions> {
    return this.queue.opts as Partial<WorkerOptions>;
  }

  #makeSlots(): Slots {
    const { lockDuration = 0, name, concurrency = 1, removeOnComplete } = this.#workerOptions;
    return new Slots({
      ...{ lockMs: lockDuration, workerName: name, concurrency, removeOnComplete },
      isOrdinary: async () =>
        isOrdinary(this.#workerOptions) && isKnownBullMQ(await this.scripts(), this.version),
      activeJobs: async () => (await this.scripts()).llen(this.keys['active'] as string),
      run: (script, args) => this.#run(script, args),
      giveBack: (jobId, token) => this.moveJobFromActiveToWait(jobId, token),
    });
  }

  /** What Toril noted about the job goes in the same script as the failure itself. */
  override moveToFailed<T, R, N extends string>(
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
    return super.moveToFailed(
      job,
      failedReason,
      why === 'holds' ? false : removeOnFail,
      token,
      fetchNext,
      fields,
    );
  }

  override async close(force?: boolean): Promise<void> {
    await this.beforeClose?.();
    await this.slots.settled();
    return super.close(force);
  }
}

/** A removed job's data may fit no lane any more; its entry is then dropped when it is met. */
async function laneOrNone(laneOf: LaneOf, job: JobJson): Promise<string> {
  try {
    return await laneOf(job.name, job.data);
  } catch {
    return '';
  }
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
