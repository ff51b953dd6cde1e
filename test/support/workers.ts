/** A queue of the test's own with its workers: everything is closed when the test has finished. */
import { ownPrefixOf } from '../../src/redis/own-keys.ts';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Job, Queue as BullQueue } from 'bullmq';
import type { Redis } from 'ioredis';
import { expect, onTestFinished } from 'vitest';
import {
  type AnyUpdate,
  type WorkerEventName,
  type WorkerEvents,
  openCells,
  type OpenCells,
  Queue,
  type QueueOptions,
  Worker,
  type WorkerOptions,
} from '../../src/index.ts';
import type { MemcachedSetting } from '../../src/memcached/options.ts';
import { redisClient } from './redis.ts';
import { memcachedAddresses, redisUrl } from './servers.ts';
import { allUpdates, type Entry, type Line, log, type Position } from './updates.ts';

const POLL_MS = 20;
const FINISH_DEADLINE_MS = 60_000;

export interface StageOptions {
  /** Of a queue that another stage has, too. */
  readonly name?: string;
  readonly redis?: string;
  readonly memcached?: MemcachedSetting;
  readonly updates?: readonly AnyUpdate[];
  readonly queue?: Partial<QueueOptions>;
}

export type StageWorkerOptions = Partial<WorkerOptions>;

let stages = 0;

/** Where one test plays. */
export class Stage {
  /** The queue's name; also the beginning of the test's keys. */
  readonly name: string;
  readonly redisUrl: string;
  readonly memcached: MemcachedSetting;
  readonly updates: readonly AnyUpdate[];
  readonly queue: Queue;
  readonly cells: OpenCells;
  readonly redis: Redis;
  readonly #workers: Worker[] = [];

  constructor(options: StageOptions) {
    this.name = options.name ?? `test-${process.pid}-${Date.now()}-${stages++}`;
    this.redisUrl = options.redis ?? redisUrl();
    this.memcached = options.memcached ?? quickly(memcachedAddresses());
    this.updates = options.updates ?? allUpdates;
    this.redis = redisClient(this.redisUrl);
    this.queue = new Queue(this.name, {
      connection: { url: this.redisUrl },
      updates: this.updates,
      ...options.queue,
    });
    this.queue.on('error', () => undefined);
    this.cells = openCells({ memcached: this.memcached });
  }

  readonly key = (name: string | number = ''): string => `${this.name}-${name}`;

  /** The Redis key behind Toril's own prefix of the queue. */
  readonly ownKey = (name: string): string => `${ownPrefixOf(`bull:${this.name}:`)}${name}`;

  /** The Redis key behind `bull:<queue>:`. */
  readonly redisKey = (name: string): string => `bull:${this.name}:${name}`;

  /** A producer without Toril: nothing is looked at when a job is added. */
  plainQueue(): BullQueue {
    const plain = new BullQueue(this.name, { connection: { url: this.redisUrl } });
    onTestFinished(() => plain.close());
    return plain;
  }

  /** A worker in this process, as good as its word: quick to notice what died, and ready. */
  async worker(options: StageWorkerOptions = {}): Promise<Worker> {
    const worker = this.startWorker(options);
    await worker.waitUntilReady();
    return worker;
  }

  /** The same, but not known to be ready. */
  startWorker(options: StageWorkerOptions = {}): Worker {
    const worker = new Worker(this.name, { ...this.workerOptions(), ...options });
    worker.on('error', () => undefined);
    this.#workers.push(worker);
    return worker;
  }

  workerOptions(): WorkerOptions {
    return {
      connection: { url: this.redisUrl },
      memcached: this.memcached,
      updates: this.updates,
      ...QUICK,
    };
  }

  /** Waits until every one of them is completed or failed, and returns them as they are then. */
  async finished(jobs: readonly Job[], deadlineMs: number = FINISH_DEADLINE_MS): Promise<Job[]> {
    let waiting = jobs.map((job) => job.id as string);
    const until = performance.now() + deadlineMs;
    while (waiting.length > 0) {
      const pipeline = this.redis.pipeline();
      for (const id of waiting) pipeline.hget(this.redisKey(id), 'finishedOn');
      const replies = await pipeline.exec();
      waiting = waiting.filter((_, at) => replies?.[at]?.[1] == null);
      if (waiting.length === 0) break;
      if (performance.now() > until) throw new Error(await this.#stuck(waiting, deadlineMs));
      await sleep(POLL_MS);
    }
    return Promise.all(jobs.map(async ({ id }) => (await this.queue.getJob(id as string)) as Job));
  }

  async #stuck(waiting: readonly string[], deadlineMs: number): Promise<string> {
    const job = await this.queue.getJob(waiting[0] as string);
    const state = job === undefined ? 'gone' : await job.getState();
    const counts = JSON.stringify(await this.queue.getJobCounts());
    return `${waiting.length} jobs have not finished within ${deadlineMs} ms; the first, ${waiting[0]}, is ${state}; ${counts}`;
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.close()));
    await this.queue.close();
    await this.cells.close();
  }
}

/** What makes faults short: a second where production takes half a minute. */
export const QUICK = {
  lockDuration: 1_000,
  stalledInterval: 500,
  leaseMs: 600,
  blockedMs: 50,
} satisfies StageWorkerOptions;

/** Memcached answers within 300 ms or is given up: shorter than QUICK's lease. */
export function quickly(servers: string | readonly string[]): MemcachedSetting {
  return { servers, requestDeadlineMs: 300, connectDeadlineMs: 300 };
}

export function stage(options: StageOptions = {}): Stage {
  const opened = new Stage(options);
  onTestFinished(() => opened.close());
  return opened;
}

/** Enqueues one `log` job for each entry, in order. */
export function enqueueLog(
  { queue }: Stage,
  entries: readonly Entry[],
  options: Parameters<Queue['enqueue']>[2] = {},
): Promise<Job<Entry, Position, string>[]> {
  return queue.enqueueBulk(entries.map((data) => ({ update: log, data, options })));
}

/** 0 to count-1 under one key. */
export function entries(key: string, count: number, more: Partial<Entry> = {}): Entry[] {
  return Array.from({ length: count }, (_, n) => ({ key, n, ...more }));
}

/**
 * The promise itself, checked for the jobs of one key: every completed job is in the value exactly
 * once and returned its own place in it; no other is; sequences and tokens never go down. Returns
 * the numbers in the order in which they were applied.
 */
export async function expectExact(
  { cells }: Stage,
  key: string,
  finished: readonly Job[],
): Promise<number[]> {
  const lines = (await cells.get<Line[]>(key)) ?? [];
  const completed = finished.filter((job) => job.failedReason == null || job.returnvalue != null);
  const returned = completed.map((job) => [(job.data as Entry).n, job.returnvalue as Position]);
  const applied = lines.map(([n], position) => [n, position]);
  const byNumber = (a: number[], b: number[]): number => (a[0] ?? 0) - (b[0] ?? 0);
  expect(applied.toSorted(byNumber)).toEqual(returned.toSorted(byNumber));
  expect(descents(lines.map(([, sequence]) => sequence))).toBe(0);
  expect(descents(lines.map(([, , token]) => token))).toBe(0);
  return lines.map(([n]) => n);
}

/** How often a number is lower than the one before it. */
export function descents(numbers: readonly number[]): number {
  return numbers.filter((number, at) => at > 0 && number < (numbers[at - 1] as number)).length;
}

/** Resolves with the event's content when a worker reports it next. */
export function nextEvent<Name extends WorkerEventName>(
  worker: Worker,
  name: Name,
): Promise<WorkerEvents[Name]> {
  return new Promise((resolve) => {
    (worker.once as (name: string, listener: (event: never) => void) => unknown)(name, resolve);
  });
}
