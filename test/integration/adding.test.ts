/** Every way of adding jobs that BullMQ has keeps its meaning; what is added is applied once, in order. */
import { setTimeout as sleep } from 'node:timers/promises';
import { FlowProducer, type Job, Queue as BullQueue } from 'bullmq';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ownPrefixOf } from '../../src/redis/own-keys.ts';
import { Queue } from '../../src/index.ts';
import { eventually } from '../support/memcached.ts';
import { ownKeys, redisKeys } from '../support/redis.ts';
import { type Line, log } from '../support/updates.ts';
import { enqueueLog, entries, expectExact, type Stage, stage } from '../support/workers.ts';

const numbers = async ({ cells }: Stage, key: string): Promise<number[]> =>
  ((await cells.get<Line[]>(key)) ?? []).map(([n]) => n);

async function laneKeys({ redis, name }: Stage): Promise<string[]> {
  return ownKeys(redis, name, 'lane:*');
}

async function inLane({ queue }: Stage, key: string): Promise<string[]> {
  return (await queue.lane(key).report()).jobs.map(({ jobId }) => jobId);
}

const idsOf = (jobs: readonly Job[]): (string | undefined)[] => jobs.map(({ id }) => id);

describe('jobs enter their lane when they are added', () => {
  it('one by one and in bulk', async () => {
    const here = stage();
    const key = here.key();
    const jobs = [
      await here.queue.enqueue(log, { key, n: 0 }),
      ...(await enqueueLog(
        here,
        [1, 2].map((n) => ({ key, n })),
      )),
      await here.queue.add('log', { key, n: 3 }),
      ...(await here.queue.addBulk([4, 5].map((n) => ({ name: 'log', data: { key, n } })))),
    ];
    expect(await inLane(here, key)).toEqual(idsOf(jobs));
    await here.worker();
    const finished = await here.finished(jobs);
    expect(await expectExact(here, key, finished)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(await laneKeys(here)).toEqual([]);
  });

  it('in one large bulk of many keys', async () => {
    const here = stage();
    const keys = Array.from({ length: 30 }, (_, k) => here.key(k));
    const jobs = await enqueueLog(
      here,
      Array.from({ length: 1_800 }, (_, n) => ({ key: keys[n % 30] as string, n })),
    );
    for (const [k, key] of keys.entries()) {
      const { length, jobs: head } = await here.queue.lane(key).report();
      expect(length).toBe(60);
      expect(head[1]?.jobId).toBe(jobs[k + 30]?.id);
    }
  });

  it('with ids of their own, mixed with others', async () => {
    const here = stage();
    const key = here.key();
    const ids = [undefined, 'mine', undefined, undefined, 'yours', undefined];
    const jobs = await here.queue.addBulk(
      ids.map((jobId, n) => ({
        name: 'log',
        data: { key, n },
        opts: jobId === undefined ? {} : { jobId },
      })),
    );
    expect(await inLane(here, key)).toEqual(idsOf(jobs));
    await here.worker();
    expect(await expectExact(here, key, await here.finished(jobs))).toEqual([0, 1, 2, 3, 4, 5]);
  });

  it('once, if the id was added before, whatever has become of that job', async () => {
    const here = stage();
    const key = here.key();
    const options = { jobId: 'only-once' };
    const first = await here.queue.enqueue(log, { key, n: 0 }, options);
    await here.queue.enqueue(log, { key, n: 1 }, options);
    await here.queue.enqueue(log, { key: here.key('other'), n: 2 }, options);
    await enqueueLog(here, [{ key, n: 3 }], options);
    expect(await inLane(here, key)).toEqual(['only-once']);
    expect(await laneKeys(here)).toHaveLength(1);
    await here.worker();
    await here.finished([first]);
    await here.queue.enqueue(log, { key, n: 4 }, options);
    const [later] = await here.finished([await here.queue.enqueue(log, { key, n: 5 })]);
    expect(await numbers(here, key)).toEqual([0, 5]);
    expect(later?.returnvalue).toBe(1);
    expect(await laneKeys(here)).toEqual([]);
  });

  it('at its end, also with an id whose former job left its entry there', async () => {
    const here = stage();
    const key = here.key();
    const add = (id: number, n: number, to = key): Promise<Job> =>
      here.queue.enqueue(log, { key: to, n }, { jobId: `j${id}` });
    for (const id of [1, 2, 3, 4]) await add(id, id);
    const plain = new BullQueue(here.name, { connection: { url: here.redisUrl } });
    onTestFinished(() => plain.close());
    await plain.remove('j1');
    await plain.remove('j3');
    const [other, again] = [await add(3, 30, here.key('other')), await add(1, 10)];
    const jobs = [await here.queue.getJob('j2'), await here.queue.getJob('j4'), again];
    await here.worker();
    const finished = await here.finished(jobs as Job[]);
    expect(await expectExact(here, key, finished)).toEqual([2, 4, 10]);
    await here.finished([other]);
    expect(await numbers(here, here.key('other'))).toEqual([30]);
    expect(await laneKeys(here)).toEqual([]);
  });

  it('if they are children of a job that exists', async () => {
    const here = stage();
    const key = here.key();
    const [parent] = await enqueueLog(here, [{ key: here.key('parent'), n: 0 }]);
    const options = { parent: { id: parent?.id as string, queue: `bull:${here.name}` } };
    const child = await here.queue.enqueue(log, { key, n: 1 }, options);
    const next = await here.queue.enqueue(log, { key, n: 2 });
    expect(await inLane(here, key)).toEqual(idsOf([child, next]));
  });

  it('not if they are deduplicated', async () => {
    const here = stage();
    const key = here.key();
    const deduplication = { id: 'one-of-them' };
    const jobs = [
      await here.queue.enqueue(log, { key, n: 0 }, { deduplication }),
      await here.queue.enqueue(log, { key, n: 1 }, { deduplication }),
      await here.queue.enqueue(log, { key, n: 2 }, { deduplication, jobId: 'named' }),
      ...(await enqueueLog(
        here,
        [3, 4].map((n) => ({ key, n })),
        { deduplication },
      )),
      await here.queue.enqueue(log, { key, n: 5 }),
    ];
    expect(new Set(idsOf(jobs)).size).toBe(2);
    expect(await inLane(here, key)).toEqual([jobs[0]?.id, jobs[5]?.id]);
    await here.worker();
    await here.finished(jobs);
    expect(await numbers(here, key)).toEqual([0, 5]);
  });

  it('in the order of adding, whatever order BullMQ delivers them in', async () => {
    const here = stage();
    const key = here.key();
    const jobs = await here.queue.addBulk(
      [{ priority: 9 }, { lifo: true }, {}, { priority: 1 }, { lifo: true }, { priority: 5 }].map(
        (opts, n) => ({ name: 'log', data: { key, n }, opts }),
      ),
    );
    await here.worker();
    expect(await expectExact(here, key, await here.finished(jobs))).toEqual([0, 1, 2, 3, 4, 5]);
  });

  it('in the order of the calls, though nobody waited for any of them', async () => {
    const here = stage();
    const key = here.key();
    const adding = [0, 10, 20].flatMap((n) => [
      here.queue.enqueue(log, { key, n }),
      enqueueLog(here, [
        { key, n: n + 1 },
        { key, n: n + 2 },
      ]),
      here.queue.add('log', { key, n: n + 3 }, { jobId: `named ${n}` }),
    ]);
    const jobs = (await Promise.all(adding)).flat();
    expect(jobs.map(({ data }) => (data as { n: number }).n)).toEqual([
      0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23,
    ]);
    expect(await inLane(here, key)).toEqual(idsOf(jobs));
  });

  it('though the queue is closed in the same moment', async () => {
    const here = stage();
    const key = here.key();
    const closing = new Queue(here.name, { connection: { url: here.redisUrl }, updates: [log] });
    await closing.waitUntilReady();
    const adding = [closing.enqueue(log, { key, n: 0 }), closing.enqueue(log, { key, n: 1 })];
    await closing.close();
    expect(await inLane(here, key)).toEqual(idsOf(await Promise.all(adding)));
  });

  it('not at all if the bulk is refused', async () => {
    const here = stage();
    const key = here.key();
    const bulk = here.queue.addBulk([
      { name: 'log', data: { key, n: 0 } },
      { name: 'nobody', data: { key, n: 1 } },
    ]);
    await expect(bulk).rejects.toMatchObject({ code: 'UNKNOWN_UPDATE' });
    expect(await laneKeys(here)).toEqual([]);
    expect(await here.queue.getWaitingCount()).toBe(0);
  });

  it('none of a bulk, if the parent of one of them is missing', async () => {
    const here = stage();
    const key = here.key();
    const parent = { id: 'nobody', queue: `bull:${here.name}` };
    const bulk = here.queue.addBulk([
      { name: 'log', data: { key, n: 0 } },
      { name: 'log', data: { key: here.key('other'), n: 9 }, opts: { parent } },
      { name: 'log', data: { key, n: 1 } },
    ]);
    await expect(bulk).rejects.toMatchObject({ code: 'PARENT_MISSING' });
    expect(await here.queue.getWaitingCount()).toBe(0);
    expect(await laneKeys(here)).toEqual([]);
    const last = await here.queue.enqueue(log, { key, n: 2 });
    await here.worker();
    await here.finished([last]);
    expect(await numbers(here, key)).toEqual([2]);
  });

  it('whoever else is refused in the same moment', async () => {
    const here = stage();
    const key = here.key();
    const parent = { id: 'nobody', queue: `bull:${here.name}` };
    const [first, refused, invalid, last] = await Promise.allSettled([
      here.queue.enqueue(log, { key, n: 0 }),
      here.queue.enqueue(log, { key, n: 1 }, { parent }),
      here.queue.add('nobody', { key, n: 2 }),
      here.queue.enqueue(log, { key, n: 3 }),
    ]);
    expect(refused).toMatchObject({ reason: { code: 'PARENT_MISSING' } });
    expect(invalid).toMatchObject({ reason: { code: 'UNKNOWN_UPDATE' } });
    const ids = [first, last].map((added) => added.status === 'fulfilled' && added.value.id);
    expect(await inLane(here, key)).toEqual(ids);
  });
});

describe('jobs are refused', () => {
  it.each(['meta', 'wait', 'de:mail:7', 'repeat:daily:1767225600000', '7', 'a:b'])(
    'with the id %s, before anything is written',
    async (jobId) => {
      const here = stage();
      const add = { update: log, data: { key: here.key(), n: 0 } };
      const bulk = [add, { ...add, options: { jobId } }];
      await expect(here.queue.enqueueBulk(bulk)).rejects.toMatchObject({ code: 'INVALID_JOB_ID' });
      const one = here.queue.enqueue(log, add.data, { jobId });
      await expect(one).rejects.toMatchObject({ code: 'INVALID_JOB_ID' });
      const written = await redisKeys(here.redis, here.name);
      expect(written.filter((name) => name !== 'meta')).toEqual([]); // the queue's settings
      expect(await laneKeys(here)).toEqual([]);
    },
  );

  it('if their parent is no job, or their scheduler is called like one', async () => {
    const here = stage();
    const data = { key: here.key(), n: 0 };
    const parent = { id: 'meta', queue: `bull:${here.name}` };
    const refused = { code: 'INVALID_JOB_ID' };
    await expect(here.queue.enqueue(log, data, { parent })).rejects.toMatchObject(refused);
    const scheduler = here.queue.upsertJobScheduler(
      'a:1767225600000',
      { every: 1_000 },
      { name: 'log', data },
    );
    await expect(scheduler).rejects.toMatchObject(refused);
  });

  it('if their update is not in the list, or another one of its name is', async () => {
    const here = stage();
    const add = { update: { ...log, name: 'forgotten' }, data: { key: here.key(), n: 0 } };
    const unknown = { code: 'UNKNOWN_UPDATE' };
    await expect(here.queue.enqueue(add.update, add.data)).rejects.toMatchObject(unknown);
    await expect(here.queue.enqueueBulk([add])).rejects.toMatchObject(unknown);
    const other = here.queue.enqueue({ ...log }, add.data);
    await expect(other).rejects.toMatchObject({ code: 'DUPLICATE_UPDATE' });
    expect(await here.queue.getWaitingCount()).toBe(0);
  });
});

describe('jobs enter their lane when they are first delivered', () => {
  it('if they are delayed', async () => {
    const here = stage();
    const key = here.key();
    const late = await here.queue.enqueue(log, { key, n: 0 }, { delay: 3_600_000 });
    expect(await laneKeys(here)).toEqual([]);
    await here.worker();
    await here.finished(await enqueueLog(here, [{ key, n: 1 }]));
    expect(await numbers(here, key)).toEqual([1]);
    await late.promote();
    await here.finished([late]);
    expect(await numbers(here, key)).toEqual([1, 0]);
  });

  it('if a scheduler makes them', async () => {
    const here = stage();
    const key = here.key();
    await here.worker();
    await here.queue.upsertJobScheduler(
      'often',
      { every: 50, limit: 4 },
      { name: 'log', data: { key, n: 7 } },
    );
    await eventually(
      'it has made some',
      async () => (await numbers(here, key)).length >= 4,
      10_000,
    );
    await here.queue.removeJobScheduler('often');
    expect(await numbers(here, key)).toEqual([7, 7, 7, 7]);
    expect(await laneKeys(here)).toEqual([]);
  });

  it('but a scheduler is checked when it is set up, as any other way of adding', async () => {
    const here = stage();
    const set = (name: string, data: unknown): Promise<unknown> =>
      here.queue.upsertJobScheduler('often', { every: 50 }, { name, data });
    await expect(set('nobody', {})).rejects.toMatchObject({ code: 'UNKNOWN_UPDATE' });
    await expect(set('log', { key: '' })).rejects.toMatchObject({ code: 'INVALID_KEY' });
    expect(await here.queue.getJobSchedulersCount()).toBe(0);
  });

  it('if they come from producers without Toril', async () => {
    const here = stage();
    const key = here.key();
    const plain = new BullQueue(here.name, { connection: { url: here.redisUrl } });
    onTestFinished(() => plain.close());
    const jobs = await plain.addBulk(entries(key, 50).map((data) => ({ name: 'log', data })));
    expect(await laneKeys(here)).toEqual([]);
    for (let i = 0; i < 2; i++) await here.worker({ concurrency: 4 });
    const finished = await here.finished(jobs);
    expect((await expectExact(here, key, finished)).length).toBe(50);
    expect(await laneKeys(here)).toEqual([]);
  });

  it('if they are part of a flow: children first, then their parent', async () => {
    const here = stage();
    const key = here.key();
    const flows = new FlowProducer({ connection: { url: here.redisUrl } });
    onTestFinished(() => flows.close());
    const job = (n: number): { name: string; queueName: string; data: object } => ({
      name: 'log',
      queueName: here.name,
      data: { key, n },
    });
    const flow = await flows.add({
      ...job(0),
      children: [job(1), { ...job(2), children: [job(3)] }],
    });
    await here.worker({ concurrency: 4 });
    const all = [flow.job, ...(flow.children ?? []).map((child) => child.job)];
    await here.finished(all);
    const order = await numbers(here, key);
    expect(order.toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3]);
    expect(order.at(-1)).toBe(0);
    expect(order.indexOf(3)).toBeLessThan(order.indexOf(2));
    expect(new Set(Object.values(await flow.job.getChildrenValues()))).toEqual(
      new Set([order.indexOf(1), order.indexOf(2)]),
    );
  });
});

describe('a queue with an odd name and a prefix of its own', () => {
  it('keeps its lanes to itself', async () => {
    const prefix = '{odd}[*]?';
    const [one, two] = [stage({ queue: { prefix } }), stage({ queue: { prefix } })];
    const key = one.key();
    const jobs = await enqueueLog(one, entries(key, 3));
    await enqueueLog(two, entries(two.key(), 3));
    await two.queue.drain();
    expect(await inLane(one, key)).toEqual(idsOf(jobs));
    expect(await inLane(two, two.key())).toEqual([]);
    await one.worker({ prefix });
    while ((await one.queue.getCompletedCount()) < 3) await sleep(10);
    expect(await numbers(one, key)).toEqual([0, 1, 2]);
    expect(await one.redis.exists(`${ownPrefixOf(`${prefix}:${one.name}:`)}copy:${key}`)).toBe(1);
    await one.queue.obliterate({ force: true });
    expect(await one.redis.exists(`${ownPrefixOf(`${prefix}:${one.name}:`)}copy:${key}`)).toBe(0);
  });
});

describe('a queue without a list of updates', () => {
  it('learns them as they are enqueued, and passes other jobs on', async () => {
    const here = stage();
    const open = new Queue(here.name, { connection: { url: here.redisUrl } });
    onTestFinished(() => open.close());
    const key = here.key();
    const early = await open.add('log', { key, n: 0 });
    expect(await laneKeys(here)).toEqual([]);
    const late = await open.enqueue(log, { key, n: 1 });
    expect(await inLane(here, key)).toEqual([late.id]);
    await here.worker();
    expect(new Set(await expectExact(here, key, await here.finished([early, late])))).toEqual(
      new Set([0, 1]),
    );
  });
});
