/**
 * Finishing many jobs in one call, or together with the commits that decide them, and fetching many, must
 * leave in Redis what BullMQ's own scripts leave, call by call.
 * Random walks on two queues, one with a stock worker, one with Toril's backend: after each step the
 * whole queue is read, and must be the same. Times differ, and events of one moment may come in
 * another order: per job, they may not.
 *
 * @module-tag imitation
 */
import { randomUUID } from 'node:crypto';
import { type Job, Queue, UnrecoverableError, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { torilBackend, type TorilBackend } from '../../src/jobs/bullmq/bull-backend.ts';
import { installedBullMQ } from '../../src/jobs/bullmq/state/known-bullmq.ts';
import type { Acknowledgement, Completable } from '../../src/jobs/lanes.ts';
import { RedisLanes } from '../../src/jobs/redis/redis-lanes.ts';
import { Dice } from '../simulation/dice.ts';
import { redisUrl } from '../support/servers.ts';
import { committing, taking } from './lanes.suite.ts';

const WALKS = 12;
const STEPS = 50;
const LOCK_MS = 60_000;
const FAR_MS = 10_000_000;

const connection = { url: redisUrl(), maxRetriesPerRequest: null };

/** How Toril's side completes jobs. */
type Way = 'alone' | 'with their commits';

interface Side {
  /** Undefined: as BullMQ does. */
  readonly lanes: RedisLanes | undefined;
  readonly queue: Queue;
  readonly worker: Worker;
  /** Delivered and unfinished, by token. */
  readonly held: Map<string, Job>;
  /** Tokens whose jobs something was done to, and whether fetching is restricted. */
  readonly odd: Set<string>;
  restricted: boolean;
  /** What the main loop would do: the tokens that it asks with next, and whether it takes further jobs. */
  nextTokens: (token: string) => readonly string[];
  takesJobs: boolean;
  close(): Promise<void>;
}

function openSide(
  redis: Redis,
  prefix: string,
  way: Way | 'as BullMQ',
  name: string | undefined,
): Side {
  const queue = new Queue('q', { connection, prefix });
  const options = {
    ...{ connection, prefix, autorun: false, lockDuration: LOCK_MS, skipStalledCheck: true },
    ...(name !== undefined && { name }),
  };
  const nothing = (): Promise<void> => Promise.resolve();
  const mainLoop = {
    takesJobs: () => side.takesJobs,
    nextTokens: (token: string) => side.nextTokens(token),
  };
  const worker =
    way === 'as BullMQ'
      ? new Worker('q', nothing, options)
      : (new Worker('q', nothing, options, torilBackend(mainLoop)) as unknown as Worker);
  const lanes = way === 'with their commits' ? lanesOf(backendOf(worker)) : undefined;
  const side: Side = {
    lanes,
    queue,
    worker,
    held: new Map(),
    odd: new Set(),
    restricted: false,
    nextTokens: () => [],
    takesJobs: true,
    async close() {
      await worker.close();
      await queue.close();
      const left = await redis.keys(`${prefix}:*`);
      if (left.length > 0) await redis.del(left);
    },
  };
  return side;
}

function backendOf(worker: Worker): TorilBackend {
  return worker.backend as unknown as TorilBackend;
}

function lanesOf(backend: TorilBackend): RedisLanes {
  return new RedisLanes(backend.queueScripts(), systemClock, {
    finisher: () => backend.slots.finisher,
    concurrency: 1,
  });
}

/** The acknowledged commit of a batch that decides this job alone, in a lane of its own; undefined: it is in no lane any more. */
async function commitFor(
  { lanes, worker }: Side,
  job: Job,
  token: string,
  fetchNext: boolean,
): Promise<Acknowledgement | undefined> {
  const { slots } = backendOf(worker);
  const jobId = job.id as string;
  const asking = (): Completable | undefined =>
    slots.completable(jobId, token, job.opts.removeOnComplete);
  await vi.waitFor(() => expect(asking() ?? slots.finisher).toBeDefined());
  slots.finisher?.heard(fetchNext);
  const completable = asking();
  const key = `key of ${jobId}`;
  const taken = await lanes?.take(taking({ key, arrivals: [jobId] }));
  const [entry] = taken?.entries ?? [];
  if (taken === undefined || entry === undefined) return undefined;
  const commit = committing({
    ...{ key, dataSet: taken.dataSet.id, base: taken.copy.token, token: taken.token },
    watermark: entry.sequence,
    decisions: new Map([[jobId, `a${JSON.stringify(resultOf(job))}`]]),
  });
  const whole = { ...commit, completable: completable === undefined ? [] : [completable] };
  return (await lanes?.acknowledge(whole))?.accepted === true ? whole : undefined;
}

function resultOf(job: Job): unknown {
  return { was: job.data };
}

/** Everything that BullMQ keeps of the queue in Redis, without times. */
async function dump(redis: Redis, prefix: string): Promise<Record<string, unknown>> {
  const all = (await redis.keys(`${prefix}:*`)).toSorted();
  const keys = all.filter((key) => !TORILS.test(key.slice(prefix.length)));
  const values = await Promise.all(keys.map((key) => read(redis, key, prefix)));
  return Object.fromEntries(keys.map((key, at) => [key.slice(prefix.length), values[at]]));
}

const TIMES = new Set(['timestamp', 'processedOn', 'finishedOn']);
const TORILS = /^:q:(lane:|copy:|sequence)/;
/** Written by Toril; and where in this file an error was made. */
const BESIDE_THE_POINT = new Set([
  ...['toril', 'torilAlone', 'torilDirective', 'torilLate', 'tl'],
  'stacktrace',
]);

async function read(redis: Redis, key: string, prefix: string): Promise<unknown> {
  switch (await redis.type(key)) {
    case 'string':
      return [await redis.get(key), (await redis.pttl(key)) > 0];
    case 'list':
      return redis.lrange(key, 0, -1);
    case 'set':
      return (await redis.smembers(key)).map((member) => member.replace(prefix, '')).toSorted();
    case 'zset':
      return (await redis.zrange(key, '0', '-1')).toSorted(); // scores are times, here
    case 'hash': {
      const all = Object.entries(await redis.hgetall(key));
      const fields = all
        .filter(([field]) => !BESIDE_THE_POINT.has(field))
        .map(([field, value]) => [
          field.replace(prefix, ''),
          TIMES.has(field) ? 'a time' : value.replaceAll(prefix, ''),
        ]);
      return Object.fromEntries(
        fields.toSorted(([a], [b]) => ((a as string) < (b as string) ? -1 : 1)),
      );
    }
    case 'stream':
      return perJob((await redis.xrange(key, '-', '+')).map(([, fields]) => fields));
    default:
      return 'gone meanwhile';
  }
}

/** Events of one job in their order; those of several jobs in none. */
function perJob(events: readonly string[][]): unknown {
  const found: Record<string, string[]> = {};
  for (const fields of events) {
    const jobId = fields[fields.indexOf('jobId') + 1] as string;
    (found[jobId] ??= []).push(withoutTimes(fields));
  }
  return found;
}

function withoutTimes(fields: string[]): string {
  return fields
    .map((field, at) => (fields[at - 1] === 'delay' && at % 2 === 1 ? 'a time' : field))
    .join(' ');
}

/** What is done to both sides in one step. */
type Step = (side: Side, redis: Redis) => Promise<unknown>;

function stepFrom(dice: Dice, at: number, tokens: readonly string[]): Step {
  const some = tokens.filter(() => dice.chance(0.5));
  const one = tokens.length === 0 ? [] : [dice.pick(tokens)];
  const fetchNext = dice.chance(0.7);
  switch (dice.below(13)) {
    case 0:
    case 1:
    case 2:
      return addSome(dice, at);
    case 3:
      return addSpecial(dice, at);
    case 4:
    case 5:
      return fetchSome(at, 1 + dice.below(5));
    case 6:
    case 7:
    case 8:
      return completeAll(some, fetchNext);
    case 9:
      return dice.chance(0.5) ? loseLock(one, dice.chance(0.5)) : failAll(one, fetchNext);
    case 10:
    case 11:
      return dice.chance(0.7) ? restrict(dice) : suspectAll;
    default:
      return dice.chance(0.5) ? addChild(one, at) : removeActive(one);
  }
}

function addSome(dice: Dice, at: number): Step {
  const count = 1 + dice.below(10);
  const removeOnComplete = dice.pick([undefined, undefined, true, false, 3, { age: 1_000 }]);
  const options = { attempts: 2, ...(removeOnComplete !== undefined && { removeOnComplete }) };
  return async ({ queue }) => {
    const jobs = Array.from({ length: count }, (_, n) => ({
      name: 'n',
      data: { at, n },
      opts: options,
    }));
    await queue.addBulk(jobs);
  };
}

function addSpecial(dice: Dice, at: number): Step {
  const options = dice.pick([
    { priority: 2 },
    { delay: FAR_MS },
    { delay: 1 },
    { delay: 1 },
    { delay: 1 },
    { lifo: true },
    { jobId: `own-${at}` },
    { deduplication: { id: 'same' } },
    { deduplication: { id: 'last', keepLastIfActive: true } },
  ]);
  return async ({ queue }, redis) => {
    await queue.add('special', { at }, options);
    if (options.delay === 1) await becomeDue(redis, queue);
  };
}

/** Waits for nothing: what is delayed by 1 ms was due long ago. */
async function becomeDue(redis: Redis, queue: Queue): Promise<void> {
  const delayed = queue.toKey('delayed');
  const all = await redis.zrange(delayed, '0', '-1', 'WITHSCORES');
  for (let i = 0; i < all.length; i += 2) {
    const isSoon = Number(all[i + 1]) / 4096 < Date.now() + FAR_MS / 2;
    if (isSoon) await redis.zadd(delayed, String(4096 * (Date.now() - 60_000) + i), String(all[i]));
  }
}

/** For so many slots: one after the other, on Toril's side in one call. */
function fetchSome(at: number, count: number): Step {
  return async (side) => {
    const { worker, held } = side;
    const tokens = Array.from({ length: count }, (_, n) => `token-${at}-${n}`);
    side.nextTokens = (token) => tokens.slice(tokens.indexOf(token) + 1);
    const fetched = [];
    for (const token of tokens) {
      const job = (await worker.getNextJob(token, { block: false })) as Job | undefined;
      if (job !== undefined) held.set(token, job);
      fetched.push(job?.id);
    }
    return fetched;
  };
}

/**
 * All at once: on the one side one after the other, on the other side in one call. One that only
 * BullMQ's own script can finish comes alone, since it would be finished after the others.
 */
function completeAll(tokens: readonly string[], fetchNext: boolean): Step {
  return async (side, redis) => {
    const plain = side.restricted ? [] : tokens.filter((token) => isPlain(side, token));
    const together = plain.length > 0 ? plain : tokens.slice(0, 1);
    if (side.lanes !== undefined) {
      await Promise.all(
        together.map((token) => {
          const job = side.held.get(token);
          return job === undefined
            ? Promise.resolve(false)
            : commitFor(side, job, token, fetchNext);
        }),
      );
    }
    return finishAll(together, (job, token) =>
      job.moveToCompleted(resultOf(job), token, fetchNext),
    )(side, redis);
  };
}

function isPlain({ held, odd }: Side, token: string): boolean {
  const job = held.get(token);
  if (job === undefined || odd.has(token)) return false;
  const { removeOnComplete } = job.opts;
  const isKeptByNumber = removeOnComplete !== undefined && typeof removeOnComplete !== 'boolean';
  return !isKeptByNumber && job.parentKey === undefined && job.deduplicationId === undefined;
}

function failAll(tokens: readonly string[], fetchNext: boolean): Step {
  return finishAll(tokens, (job, token) =>
    job.moveToFailed(new UnrecoverableError('no'), token, fetchNext),
  );
}

function finishAll(
  tokens: readonly string[],
  finish: (job: Job, token: string) => Promise<unknown>,
): Step {
  return async ({ held, odd, worker, queue }) => {
    const answers = tokens.map(async (token) => {
      const job = held.get(token);
      if (job === undefined) return 'not held';
      try {
        const fetched = ((await finish(job, token)) ?? []) as unknown[];
        const next = fetched.length === 0 ? [null, 0, 0, 0] : fetched; // two ways to say: nothing
        held.delete(token);
        odd.delete(token);
        const [json, id, limitedMs, dueMs] = next as [object | null, string, number, number];
        if (json !== null && json !== undefined) {
          held.set(
            token,
            (worker as unknown as { createJob(j: object, i: string): Job }).createJob(json, id),
          );
        }
        const fields = json === null ? null : withoutTimesOf(json, queue);
        return [fields, id, limitedMs, dueMs > 0 ? 'a time' : dueMs];
      } catch (thrown) {
        return (thrown as Error).message.replace(/own-\d+/, '');
      }
    });
    return Promise.all(answers);
  };
}

function withoutTimesOf(json: object | undefined, { qualifiedName }: Queue): unknown {
  const text = JSON.stringify(json ?? {}, (name, value: unknown) =>
    TIMES.has(name) ? 'a time' : value,
  );
  return JSON.parse(text.replaceAll(qualifiedName, 'queue'));
}

function loseLock(tokens: readonly string[], toSomebody: boolean): Step {
  return async ({ held, odd, queue }, redis) => {
    for (const token of tokens) {
      odd.add(token);
      const lock = queue.toKey(`${held.get(token)?.id}:lock`);
      if (toSomebody) await redis.set(lock, 'somebody', 'PX', LOCK_MS);
      else await redis.del(lock);
    }
  };
}

/** What BullMQ's stalled check does first: whoever is still in this set at the next one has stalled. */
const suspectAll: Step = async ({ queue }, redis) => {
  const active = await redis.lrange(queue.toKey('active'), 0, -1);
  if (active.length > 0) await redis.sadd(queue.toKey('stalled'), ...active);
};

function removeActive(tokens: readonly string[]): Step {
  return async ({ held, odd, queue }, redis) => {
    for (const token of tokens) {
      odd.add(token);
      await redis.lrem(queue.toKey('active'), 0, String(held.get(token)?.id));
    }
  };
}

function addChild(tokens: readonly string[], at: number): Step {
  return async ({ held, odd, queue }) => {
    for (const token of tokens) {
      odd.add(token);
      const parent = { id: held.get(token)?.id as string, queue: queue.qualifiedName };
      await queue.add('child', { at }, { parent }).catch(() => undefined);
    }
  };
}

function restrict(dice: Dice): Step {
  const what = dice.below(4);
  return async (side) => {
    side.restricted = what > 0;
    const { queue } = side;
    if (what === 1) await queue.pause();
    else if (what > 1) await queue.setGlobalConcurrency(2);
    else await Promise.all([queue.resume(), queue.removeGlobalConcurrency()]);
  };
}

describe('finishing and fetching many jobs in one call', () => {
  let redis: Redis;
  beforeAll(() => {
    redis = new Redis(redisUrl());
  });
  afterAll(() => redis.quit());

  test('is written against the BullMQ that is installed', () => {
    expect(installedBullMQ().changed).toEqual([]);
  });

  /** Does the steps on both sides, and compares after each. `next` sees which tokens are held. */
  async function walk(
    way: Way,
    name: string | undefined,
    next: (at: number, tokens: readonly string[]) => Step | undefined,
  ): Promise<void> {
    const prefixes = [`stock-${randomUUID()}`, `toril-${randomUUID()}`] as const;
    const stock = openSide(redis, prefixes[0], 'as BullMQ', name);
    const toril = openSide(redis, prefixes[1], way, name);
    try {
      for (const { queue, worker } of [stock, toril]) {
        await queue.waitUntilReady();
        await worker.waitUntilReady();
        await queue.getVersion(); // behind what a queue writes when it is opened
      }
      for (let at = 0; ; at++) {
        const step = next(at, [...stock.held.keys()]);
        if (step === undefined) return;
        const expected = await step(stock, redis);
        expect(await step(toril, redis)).toEqual(expected);
        expect(await dump(redis, prefixes[1])).toEqual(await dump(redis, prefixes[0]));
      }
    } finally {
      await stock.close();
      await toril.close();
    }
  }

  const walks = Array.from({ length: WALKS }, (_, seed) => seed);
  test.each([
    ...walks.map((seed) => ['alone', seed] as const),
    ...walks.map((seed) => ['with their commits', seed] as const),
  ])('leaves what BullMQ leaves, jobs completed %s, on walk %i', async (way, seed) => {
    const dice = new Dice(seed, 'finishing');
    const name = dice.chance(0.5) ? undefined : 'somebody';
    await walk(way, name, (at, tokens) => (at < STEPS ? stepFrom(dice, at, tokens) : undefined));
  });

  test.each([
    [1, 1],
    [7, 4],
    [20, 8],
  ])(
    'fetches of %i that wait %i for 8 slots: other workers may be free, too',
    async (waiting, fetched) => {
      const prefix = `toril-${randomUUID()}`;
      const side = openSide(redis, prefix, 'alone', undefined);
      try {
        await side.queue.addBulk(Array(waiting).fill({ name: 'n', data: {} }));
        const backend = backendOf(side.worker);
        side.nextTokens = () => ['b', 'c', 'd', 'e', 'f', 'g', 'h'];
        await backend.moveToActive('a');
        const events = await redis.xrange(side.queue.toKey('events'), '-', '+');
        expect(events.filter(([, [, event]]) => event === 'active')).toHaveLength(fetched);
      } finally {
        await side.close();
      }
    },
  );

  test('keeps to a limit on how many jobs are active in the whole queue', async () => {
    const add: Step = ({ queue }) => queue.addBulk(Array(9).fill({ name: 'n', data: {} }));
    const limit: Step = ({ queue }) => queue.setGlobalConcurrency(2);
    await walk(
      'alone',
      undefined,
      (at, tokens) =>
        [add, fetchSome(0, 4), limit, completeAll(tokens.slice(0, 1), true)].map(
          (step): Step =>
            async (side, on) =>
              void (await step(side, on)),
        )[at],
    );
  });
});

describe('a job completed together with its commit', () => {
  let redis: Redis;
  let side: Side;
  let first: Job;
  beforeAll(() => {
    redis = new Redis(redisUrl());
  });
  afterAll(() => redis.quit());
  beforeEach(async () => {
    side = openSide(redis, `toril-${randomUUID()}`, 'with their commits', undefined);
    await side.worker.waitUntilReady();
    await side.queue.addBulk([1, 2].map((n) => ({ name: 'n', data: { n } })));
    first = (await side.worker.getNextJob('slot', { block: false })) as Job;
  });
  afterEach(() => side.close());

  const idOf = (next: unknown): unknown => (next as unknown[] | undefined)?.[1];
  const finish = async (fetchNext: boolean): Promise<unknown> =>
    idOf(await first.moveToCompleted(resultOf(first), 'slot', fetchNext));
  const next = async (slot: string): Promise<unknown> =>
    idOf(await backendOf(side.worker).moveToActive(slot));

  test('is completed before BullMQ says so, and knows its outcome', async () => {
    expect(await commitFor(side, first, 'slot', true)).toBeDefined();
    expect(await side.queue.getJobCounts('completed', 'active')).toEqual({
      completed: 1,
      active: 1,
    });
    expect(await redis.hget(side.queue.toKey('1'), 'toril')).toBe('a{"was":{"n":1}}');
    expect(await finish(true)).toBe('2');
  });

  test('hands the job fetched in its place to its slot, whatever the slot asks for', async () => {
    await commitFor(side, first, 'slot', true);
    expect(await next('another')).not.toBe('2');
    expect(await next('slot')).toBe('2');
  });

  test('fetches nothing while BullMQ wants no further job, and what it wants when it does again', async () => {
    await commitFor(side, first, 'slot', false);
    expect(await side.queue.getJobCounts('completed', 'wait')).toEqual({ completed: 1, wait: 1 });
    expect(await finish(true)).toBe('2');
  });

  test('fetches nothing for a worker that takes no further job', async () => {
    side.takesJobs = false;
    await commitFor(side, first, 'slot', true);
    expect(await side.queue.getJobCounts('completed', 'wait')).toEqual({ completed: 1, wait: 1 });
  });

  test('is known to be completed if the answer to that was lost, and the acknowledgement comes again', async () => {
    await side.queue.add('n', { n: 3 });
    const commit = await commitFor(side, first, 'slot', true);
    const { finisher } = backendOf(side.worker).slots;
    expect(finisher?.takeCompleted('slot')?.answer).toMatchObject({ 1: '2' }); // lost
    expect(await side.lanes?.acknowledge(commit as Acknowledgement)).toEqual({ accepted: true });
    expect(await finish(true)).toBe('3');
    expect(await side.queue.getJobCounts('completed', 'active')).toEqual({
      completed: 1,
      active: 2,
    });
  });

  test('is not completed if the commit is refused, or if its lock is lost', async () => {
    const { slots } = backendOf(side.worker);
    const asking = (): Completable | undefined => slots.completable('1', 'slot', undefined);
    await vi.waitFor(() => expect(asking()).toBeDefined());
    const completable = [asking() as Completable];
    const taken = await side.lanes?.take(taking({ arrivals: ['1'] }));
    const { token = 0, dataSet, entries = [] } = taken ?? {};
    const watermark = entries[0]?.sequence as number;
    const commit = committing({ dataSet: dataSet?.id ?? '', token, watermark, completable });
    expect(await side.lanes?.acknowledge({ ...commit, base: 17 })).toEqual({ accepted: false });
    await redis.set(side.queue.toKey('1:lock'), 'somebody');
    expect(await side.lanes?.acknowledge({ ...commit, base: 0 })).toMatchObject({ accepted: true });
    expect(await side.queue.getJobCounts('completed', 'active')).toEqual({
      completed: 0,
      active: 1,
    });
    expect(await redis.hget(side.queue.toKey('1'), 'toril')).toBe('a');
  });
});
