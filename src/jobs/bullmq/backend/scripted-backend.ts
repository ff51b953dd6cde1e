/**
 * BullMQ's Redis backend whose client knows Toril's scripts as well. BullMQ's own that are told the time are told Redis's, and
 * what they answer when they deliver a job is read for what Toril has noted of it. An unknown BullMQ's are left as they are.
 */
import {
  type IRedisTransaction,
  isNotConnectionError,
  type RedisClient,
  RedisQueueBackend,
  type WorkerOptions,
} from 'bullmq';
import { systemClock } from '../../../base/clock.ts';
import { ownPrefixOf } from '../../../redis/own-keys.ts';
import { RedisTime } from '../../../redis/redis-time.ts';
import { type InTime, QueueScripts, type ScriptClient } from '../../redis/queue-scripts.ts';
import { REINDEX_OF_JOB } from '../../redis/index/lane-index.ts';
import type { Script } from '../../redis/scripts/script.ts';
import { NOTE_SURVIVED } from '../../redis/scripts/start-alone.ts';
import { FILL } from '../fast-path/fill.ts';
import { FINISH } from '../fast-path/finish.ts';
import { DROP_MISSING } from '../state/drop-missing.ts';
import { SNOOZE_AHEAD, SCHEDULE_SNOOZED } from '../state/snoozing/snooze-ahead.ts';
import { DELIVER_NEXT } from '../state/snoozing/promote.ts';
import { RECLAIM } from '../state/reclaim.ts';
import { isKnownBullMQ } from '../state/known-bullmq.ts';
import { MOVE_JOINT } from '../../redis/scripts/joint/enter.ts';
import { MOVE, REMOVE } from '../state/remove.ts';
import { REMOVE_SCHEDULER } from '../state/snoozing/scheduler-jobs.ts';
import { GIVE_BACK, NOTE_SNOOZED, SNOOZE } from '../state/snoozing/snooze.ts';
import { NOW, timedScripts } from '../state/timed.ts';
import { SNOOZING_SCRIPTS } from '../snoozed-jobs.ts';
import { DeliveredFields, type TorilFields } from './delivered-fields.ts';
import { GatheredWrites } from './gathered-writes.ts';

const SCRIPTS: readonly Script[] = [
  ...[NOW, RECLAIM, DROP_MISSING, MOVE, MOVE_JOINT, REMOVE, REINDEX_OF_JOB, NOTE_SURVIVED],
  ...SNOOZING_SCRIPTS,
];

/** They do what BullMQ's scripts do, or have such a script in them as it is known. */
const IMITATING: readonly Script[] = [
  ...[FINISH, FILL, SNOOZE_AHEAD, SCHEDULE_SNOOZED, DELIVER_NEXT, SNOOZE, GIVE_BACK],
  REMOVE_SCHEDULER,
];
const INSTEAD: readonly Script[] = [NOTE_SNOOZED];

function allScripts(): readonly Script[] {
  const others = isKnownBullMQ() ? [...IMITATING, ...timedScripts().values()] : INSTEAD;
  return [...SCRIPTS, ...others];
}

/** BullMQ's scripts that answer with a job to be processed. */
const DELIVERING: ReadonlySet<string> = new Set([
  ...['moveToActive', 'moveToFinished', 'moveToDelayed', 'retryJob'],
]);

export abstract class ScriptedBackend extends RedisQueueBackend {
  protected readonly redisTime: RedisTime = new RedisTime(systemClock);
  protected readonly delivered: DeliveredFields = new DeliveredFields();
  protected readonly writes: GatheredWrites = new GatheredWrites(systemClock);
  /** Of Toril's own keys. */
  protected readonly ownPrefix: string = ownPrefixOf(this.keys[''] as string);
  #defined: Promise<RedisClient> | undefined;
  /** The client that knows the scripts already. */
  #knowing: RedisClient | undefined;

  /** The client, knowing the scripts. */
  scripts(): Promise<RedisClient> {
    this.#defined ??= Promise.resolve(this.client).then((client) => this.#define(client));
    return this.#defined;
  }

  #define(client: RedisClient): RedisClient {
    this.#knowing = client;
    for (const { name, numberOfKeys, lua } of allScripts()) {
      client.defineCommand(name, { numberOfKeys, lua });
    }
    return client;
  }

  /** For lanes and history. */
  queueScripts(inTime?: InTime): QueueScripts {
    const client = Promise.resolve(this.client) as Promise<ScriptClient>;
    return new QueueScripts(client, this.toKey(''), inTime);
  }

  /** What Toril had noted of the job when it was delivered, once. */
  takeFields(jobId: string): TorilFields {
    return this.delivered.take(jobId);
  }

  /** A script that needs the prefix of the queue's keys, and no key by name but the sequence. */
  protected async runScript({ name }: Script, args: readonly string[]): Promise<unknown> {
    const client = await this.scripts();
    return client.runCommand(name, [`${this.ownPrefix}sequence`, this.keys[''], ...args]);
  }

  protected get workerOptions(): Partial<WorkerOptions> {
    return this.queue.opts as Partial<WorkerOptions>;
  }

  /** BullMQ's scripts, by Redis's clock where the time matters. */
  override execCommand(
    client: RedisClient | IRedisTransaction,
    commandName: string,
    args: unknown[],
  ): unknown {
    this.writes.gather(client);
    const timed = timedScripts().get(commandName);
    if (timed !== undefined && this.#knowing === undefined) this.#define(client as RedisClient);
    const reply: unknown =
      timed === undefined
        ? super.execCommand(client, commandName, args)
        : client.runCommand(timed.name, args);
    if (!DELIVERING.has(commandName) || !(reply instanceof Promise)) return reply;
    return reply.then((delivery: unknown) => {
      this.delivered.note(delivery);
      if (timed !== undefined && Array.isArray(delivery)) {
        this.redisTime.learn(Number(delivery[4]));
        delivery[3] = this.dueOf(Number(delivery[3]));
      }
      return delivery;
    });
  }

  /** BullMQ waits by this machine's clock until the next delayed job is due. */
  protected dueOf(redisMs: number): number {
    return redisMs > 0 && isKnownBullMQ() ? this.redisTime.wallOf(redisMs) : redisMs;
  }

  /**
   * If Redis refuses, jobs are asked for, which is repeated. BullMQ would forget when the next delayed one is due, and wait
   * for another 10 s each time: a Redis that changed its role every second kept due jobs waiting for a minute.
   */
  override async waitForJob(blockTimeout: number): ReturnType<RedisQueueBackend['waitForJob']> {
    try {
      const marker = await super.waitForJob(blockTimeout);
      return marker === null ? marker : { ...marker, score: this.dueOf(marker.score) };
    } catch (thrown) {
      if (!isNotConnectionError(thrown as Error)) throw thrown;
      return null;
    }
  }
}
