/** Jobs that are changed, or taken away, between their adding and their update. */
import { type Job, Queue as BullQueue } from 'bullmq';
import { describe, expect, it, onTestFinished } from 'vitest';
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

describe('jobs that change', () => {
  it('go to the lane that their new data names', async () => {
    const here = stage();
    const [a, b] = [here.key('a'), here.key('b')];
    const jobs = await enqueueLog(here, entries(a, 3));
    await jobs[1]?.updateData({ key: b, n: 7 });
    await here.worker();
    const finished = await here.finished(jobs);
    expect(await numbers(here, a)).toEqual([0, 2]);
    expect(await numbers(here, b)).toEqual([7]);
    expect(finished.map((job) => job.returnvalue)).toEqual([0, 0, 1]);
    expect(await laneKeys(here)).toEqual([]);
  });

  it('are replaced by the last of their kind while one of them is applied', async () => {
    const here = stage();
    const key = here.key();
    await here.worker();
    const deduplication = { id: 'latest', keepLastIfActive: true };
    const first = await here.queue.enqueue(log, { key, n: 0, takesMs: 200 }, { deduplication });
    await eventually('it is applied', async () => (await first.getState()) === 'active');
    for (const n of [1, 2, 3]) await here.queue.enqueue(log, { key, n }, { deduplication });
    await eventually('the last one, too', async () => (await numbers(here, key)).length === 2);
    expect(await numbers(here, key)).toEqual([0, 3]);
    expect(await laneKeys(here)).toEqual([]);
  });
});

describe('jobs that are taken away', () => {
  it('leave their lane: remove()', async () => {
    const here = stage();
    const key = here.key();
    const jobs = await enqueueLog(here, entries(key, 5));
    await jobs[0]?.remove();
    await here.queue.remove(jobs[3]?.id as string);
    expect(await inLane(here, key)).toEqual([jobs[1], jobs[2], jobs[4]].map((job) => job?.id));
    const rest = jobs.filter((_, n) => n !== 0 && n !== 3);
    await here.worker();
    expect(await expectExact(here, key, await here.finished(rest))).toEqual([1, 2, 4]);
  });

  it('are passed by if a queue without Toril removed them', async () => {
    const here = stage();
    const key = here.key();
    const jobs = await enqueueLog(here, entries(key, 3));
    const plain = new BullQueue(here.name, { connection: { url: here.redisUrl } });
    onTestFinished(() => plain.close());
    await plain.remove(jobs[0]?.id as string);
    await plain.remove(jobs[2]?.id as string);
    await here.worker();
    expect(await expectExact(here, key, await here.finished([jobs[1] as Job]))).toEqual([1]);
    expect(await laneKeys(here)).toEqual([]);
  });

  it('leave no lanes behind: drain()', async () => {
    const here = stage();
    await enqueueLog(here, [...entries(here.key('a'), 5), ...entries(here.key('b'), 5)]);
    await enqueueLog(here, entries(here.key('c'), 1), { priority: 3 });
    await here.queue.drain();
    expect(await laneKeys(here)).toEqual([]);
  });

  it('leave no lanes behind: clean()', async () => {
    const here = stage();
    await enqueueLog(here, entries(here.key('a'), 5));
    await here.queue.clean(0, 100, 'wait');
    expect(await laneKeys(here)).toEqual([]);
  });

  it('leave nothing of Toril behind: obliterate()', async () => {
    const here = stage();
    const worker = await here.worker();
    const jobs = await enqueueLog(here, entries(here.key('a'), 5));
    await here.finished(jobs);
    // BullMQ's worker notes its checks for stalled jobs in the queue again and again.
    await worker.close();
    await enqueueLog(here, entries(here.key('b'), 5), { delay: 100_000 });
    await here.queue.obliterate({ force: true });
    expect(await redisKeys(here.redis, here.name)).toEqual([]);
    // The list of servers stays, since the cells do; and for two minutes what was added last.
    const left = await ownKeys(here.redis, here.name);
    expect(left.filter((name) => !name.startsWith('producer:'))).toEqual(['memcached']);
    const producers = left.filter((name) => name.startsWith('producer:')).map(here.ownKey);
    for (const key of producers) expect(await here.redis.pttl(key)).toBeGreaterThan(0);
  });
});
