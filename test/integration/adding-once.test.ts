/**
 * Whatever happens to a call that adds jobs, each is added once and is in its lane, or the caller hears that it is
 * not: answers that are lost, calls that come twice or late, scripts that Redis has forgotten, a Redis that refuses.
 */
import { type Job, Queue as BullQueue } from 'bullmq';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Queue, type QueueOptions } from '../../src/index.ts';
import { CuttingProxy } from '../support/cutting-proxy.ts';
import { eventually } from '../support/memcached.ts';
import { type PrivateServer, startRedis } from '../support/servers.ts';
import { log } from '../support/updates.ts';
import { enqueueLog, entries, expectExact, type Stage, stage } from '../support/workers.ts';

/** A producer at another port, as quick to come back as can be. */
function producer(here: Stage, port: number, options: Partial<QueueOptions> = {}): Queue {
  const queue = new Queue(here.name, {
    connection: { host: '127.0.0.1', port, retryStrategy: () => 1 },
    updates: [log],
    ...options,
  });
  queue.on('error', () => undefined);
  onTestFinished(() => queue.close());
  return queue;
}

async function laneOf({ queue }: Stage, key: string): Promise<string[]> {
  return (await queue.lane(key).report()).jobs.map(({ jobId }) => jobId);
}

const portOf = ({ redisUrl }: Stage): number => Number(new URL(redisUrl).port);
const idsOf = (jobs: readonly Job[]): (string | undefined)[] => jobs.map(({ id }) => id);

/** A Redis of the test's own. */
async function ownRedis(): Promise<PrivateServer> {
  const server = await startRedis();
  onTestFinished(() => server.stop());
  return server;
}

describe('a connection that breaks', () => {
  const ways: Readonly<Record<string, (queue: Queue, key: string) => Promise<Job[]>>> = {
    'one job': async (queue, key) => [await queue.enqueue(log, { key, n: 0 })],
    'a bulk, with an id and a delay': (queue, key) =>
      queue.addBulk([
        { name: 'log', data: { key, n: 0 } },
        { name: 'log', data: { key, n: 1 }, opts: { jobId: `own ${key}` } },
        { name: 'log', data: { key, n: 2 }, opts: { delay: 100_000 } },
        { name: 'log', data: { key, n: 3 }, opts: { priority: 2 } },
      ]),
  };

  describe.each(Object.keys(ways))('while it adds %s', (way) => {
    it.each(['request', 'reply'] as const)('at any byte of the %s', async (what) => {
      const here = stage();
      const proxy = await CuttingProxy.open(portOf(here));
      const queue = producer(here, proxy.port);
      const add = ways[way] as (queue: Queue, key: string) => Promise<Job[]>;
      // A bulk's request is long: one byte in eleven is enough.
      const step = what === 'request' && way !== 'one job' ? 11 : 1;
      let [bytes, rounds] = [0, 0];
      for (; ; bytes += step) {
        rounds += 1;
        await queue.enqueue(log, { key: here.key('warm'), n: 0 }); // its script is loaded
        const cuts = proxy.cuts;
        proxy.cutBehind(what, bytes);
        const key = here.key(bytes);
        const jobs = await add(queue, key);
        expect(await laneOf(here, key), `cut behind ${bytes} bytes`).toEqual(
          idsOf(jobs.filter(({ opts }) => opts.delay === undefined)),
        );
        if (proxy.cuts === cuts) break; // it is longer than the message
      }
      expect(bytes).toBeGreaterThan(10);
      const { delayed, waiting, prioritized } = await here.queue.getJobCounts();
      const jobsOfWay = way === 'one job' ? 1 : 4;
      expect(Number(delayed) + Number(waiting) + Number(prioritized)).toBe(
        rounds * (jobsOfWay + 1),
      );
    });
  });

  it('and a call that arrives only after it was sent again, and after later ones', async () => {
    const here = stage();
    const proxy = await CuttingProxy.open(portOf(here));
    const queue = producer(here, proxy.port);
    const key = here.key();
    const jobs = [await queue.enqueue(log, { key, n: 0 })];
    proxy.holdNextRequest();
    jobs.push(await queue.enqueue(log, { key, n: 1 }));
    await proxy.deliverHeld();
    proxy.holdNextRequest();
    jobs.push(await queue.enqueue(log, { key, n: 2 }));
    for (let n = 3; n < 6; n++) jobs.push(await queue.enqueue(log, { key, n }));
    await proxy.deliverHeld();
    expect(await laneOf(here, key)).toEqual(idsOf(jobs));
    await here.worker();
    expect(await expectExact(here, key, await here.finished(jobs))).toEqual([0, 1, 2, 3, 4, 5]);
  });

  it('though the job has been completed and removed when the call is sent again', async () => {
    const here = stage();
    const proxy = await CuttingProxy.open(portOf(here));
    const connection = { host: '127.0.0.1', port: proxy.port, retryStrategy: () => 300 };
    const queue = producer(here, proxy.port, { connection });
    const key = here.key();
    await queue.enqueue(log, { key, n: 0 });
    await here.worker();
    proxy.cutBehind('reply', 0);
    const adding = queue.enqueue(log, { key, n: 1 }, { jobId: 'once', removeOnComplete: true });
    await eventually('both are applied', async () => {
      const log = (await here.cells.get<unknown[]>(key)) ?? [];
      return log.length === 2 && (await here.queue.getJob('once')) === undefined;
    });
    expect((await adding).id).toBe('once');
    expect(await here.queue.getJob('once')).toBeUndefined();
    expect(await laneOf(here, key)).toEqual([]);
  });
});

describe('a Redis that has forgotten its scripts', () => {
  const ways: Readonly<Record<string, (here: Stage, n: number) => Promise<unknown>>> = {
    add: (here, n) => here.queue.add('log', { key: here.key(), n }),
    enqueue: (here, n) => here.queue.enqueue(log, { key: here.key(), n }),
    'enqueue with a priority': (here, n) =>
      here.queue.enqueue(log, { key: here.key(), n }, { priority: 5 }),
    'enqueue with an id': (here, n) =>
      here.queue.enqueue(log, { key: here.key(), n }, { jobId: `own ${n}` }),
    'enqueue at the other end': (here, n) =>
      here.queue.enqueue(log, { key: here.key(), n }, { lifo: true }),
    'enqueue deduplicated': (here, n) =>
      here.queue.enqueue(log, { key: here.key(), n }, { deduplication: { id: `of ${n}` } }),
    enqueueBulk: (here, n) => enqueueLog(here, [{ key: here.key(), n }]),
    addBulk: (here, n) => here.queue.addBulk([{ name: 'log', data: { key: here.key(), n } }]),
  };

  it('adds in every way, in order', async () => {
    const redis = await ownRedis();
    const here = stage({ redis: `redis://${redis.host}:${redis.port}` });
    const plain = new BullQueue('another', { connection: { url: here.redisUrl } });
    onTestFinished(() => plain.close());
    let n = 0;
    for (const add of Object.values(ways)) {
      await here.redis.script('FLUSH');
      await plain.add('anything', {}); // loads BullMQ's own scripts again
      await add(here, n++);
    }
    const jobs = await here.queue.getJobs(['waiting', 'prioritized']);
    expect(jobs).toHaveLength(n);
    await here.worker();
    expect(await expectExact(here, here.key(), await here.finished(jobs))).toEqual(
      Array.from({ length: n }, (_, at) => at),
    );
  });

  it('keeps the order of calls that nobody waited for', async () => {
    const redis = await ownRedis();
    const here = stage({ redis: `redis://${redis.host}:${redis.port}` });
    const key = here.key();
    const first = await here.queue.enqueue(log, { key, n: 0 });
    const adding: Promise<Job>[] = [];
    for (let n = 1; n <= 200; n++) {
      adding.push(here.queue.enqueue(log, { key, n }));
      if (n % 40 === 0) void here.redis.script('FLUSH');
    }
    const jobs = [first, ...(await Promise.all(adding))];
    await here.worker();
    const order = await expectExact(here, key, await here.finished(jobs));
    expect(order).toEqual(Array.from({ length: 201 }, (_, at) => at));
  });
});

describe('a Redis that refuses', () => {
  it.each([
    ['because it is full', { maxmemory: '1mb' }, { maxmemory: '0' }],
    ['for want of replicas', { 'min-replicas-to-write': '1' }, { 'min-replicas-to-write': '0' }],
  ])('%s adds nothing, and everything afterwards', async (_, refusing, accepting) => {
    const redis = await ownRedis();
    const here = stage({ redis: `redis://${redis.host}:${redis.port}` });
    const key = here.key();
    const set = (config: object): Promise<unknown> =>
      Promise.all(
        Object.entries(config).map(([name, value]) => here.redis.config('SET', name, value)),
      );
    await here.queue.waitUntilReady();
    await here.redis.config('SET', 'maxmemory-policy', 'noeviction');
    await set(refusing);
    const before = await here.redis.dbsize();
    const refused = await Promise.allSettled([
      here.queue.enqueue(log, { key, n: 0 }),
      enqueueLog(here, entries(key, 3)),
      here.queue.enqueue(log, { key, n: 0 }, { jobId: 'own', delay: 1_000 }),
    ]);
    for (const { status, ...why } of refused) {
      expect(status).toBe('rejected');
      expect(why).toMatchObject({ reason: { code: 'REDIS_FAILED', cause: expect.anything() } });
    }
    expect(await here.redis.dbsize()).toBe(before);
    await set(accepting);
    const jobs = [await here.queue.enqueue(log, { key, n: 0 })];
    expect(await laneOf(here, key)).toEqual(idsOf(jobs));
  });

  it('is silent: the caller hears in time that it is not known, and nothing is added later', async () => {
    const redis = await ownRedis();
    const here = stage({ redis: `redis://${redis.host}:${redis.port}`, queue: { enqueueMs: 300 } });
    const key = here.key();
    await here.queue.enqueue(log, { key, n: 0 });
    redis.freeze();
    const answer = here.queue.enqueue(log, { key, n: 1 });
    await expect(answer).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    redis.thaw();
    const later = await here.queue.enqueue(log, { key, n: 2 });
    expect((await laneOf(here, key)).slice(1)).toEqual([later.id]);
  });

  it('cannot be reached: the caller hears in time that nothing was added', async () => {
    const redis = await ownRedis();
    await redis.kill();
    const queue = new Queue('nowhere', {
      connection: { host: redis.host, port: redis.port },
      updates: [log],
      enqueueMs: 200,
    });
    queue.on('error', () => undefined);
    onTestFinished(async () => {
      await redis.start();
      await queue.close();
    });
    await expect(queue.enqueue(log, { key: 'a', n: 0 })).rejects.toMatchObject({
      code: 'REDIS_FAILED',
    });
  });
});
