/** Ids of which BullMQ has nothing more than the id: their hashes were evicted, or deleted by hand. */
import { type Job, Queue as BullQueue } from 'bullmq';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { Worker } from '../../src/index.ts';
import { eventually } from '../support/memcached.ts';
import { redisKeys } from '../support/redis.ts';
import { log, logOr } from '../support/updates.ts';
import {
  enqueueLog,
  entries,
  expectExact,
  nextEvent,
  stage,
  type Stage,
} from '../support/workers.ts';

const HOUR_MS = 3_600_000;

/** All that a worker says is missing, until its test ends. */
function missing(worker: Worker): Set<string> {
  const told = new Set<string>();
  worker.on('jobsMissing', ({ jobIds }) => jobIds.forEach((jobId) => told.add(jobId)));
  return told;
}

async function forget(here: Stage, job: Job | undefined): Promise<string> {
  await here.redis.del(here.redisKey(job?.id as string));
  return job?.id as string;
}

/** In the end, nothing in any list, no hash and no lane knows the id: until then, it may still be found stalled. */
function expectNothingOf(here: Stage, jobId: string): Promise<void> {
  return vi.waitFor(() => lookForIt(here, jobId), { timeout: 10_000 });
}

async function lookForIt(here: Stage, jobId: string): Promise<void> {
  const lists = ['wait', 'active'].map((list) => here.redis.lpos(here.redisKey(list), jobId));
  const sets = ['delayed', 'prioritized', 'completed', 'failed'].map((set) =>
    here.redis.zscore(here.redisKey(set), jobId),
  );
  const lane = here.redis.zscore(here.ownKey(`lane:${here.key()}`), jobId);
  const stalled = here.redis.sismember(here.redisKey('stalled'), jobId);
  expect(await Promise.all([...lists, ...sets, lane])).toEqual(Array(7).fill(null));
  expect(await stalled).toBe(0);
  expect(await redisKeys(here.redis, here.name, `${jobId}`)).toEqual([]);
  expect(await redisKeys(here.redis, here.name, `${jobId}:lock`)).toEqual([]);
}

describe('a job whose hash is gone', () => {
  it.each([
    ['the first of its lane', 0],
    ['one in the midst of its lane', 2],
    ['the last of its lane', 4],
  ])('is dropped and named: %s', async (_, which) => {
    const here = stage();
    const jobs = await enqueueLog(here, entries(here.key(), 5));
    const jobId = await forget(here, jobs[which]);
    const worker = here.startWorker();
    const told = missing(worker);
    const finished = await here.finished(jobs.filter((_, n) => n !== which));
    await expectExact(here, here.key(), finished);
    await eventually('nothing is active', async () => (await here.queue.getActiveCount()) === 0);
    await eventually('it was told', () => told.has(jobId));
    await expectNothingOf(here, jobId);
  });

  it('is dropped though it was delayed, has a priority, or is the only one', async () => {
    const here = stage();
    const options = [{ delay: 1 }, { priority: 2 }, {}];
    for (const one of options) {
      const job = await here.queue.enqueue(log, { key: here.key(), n: 0 }, one);
      const jobId = await forget(here, job);
      const worker = here.startWorker();
      const told = missing(worker);
      await eventually('it was told', () => told.has(jobId));
      await eventually('nothing waits', async () => (await here.queue.count()) === 0);
      const lane = here.ownKey(`lane:${here.key()}`);
      await eventually('the lane is empty', async () => !(await here.redis.exists(lane)), 12_000);
      await worker.close();
      await expectNothingOf(here, jobId);
    }
  });

  it('is dropped though it was snoozed', async () => {
    const here = stage();
    const jobs = await enqueueLog(here, entries(here.key(), 3));
    const snoozed = await here.queue.backend.snoozeAhead(here.key());
    const away = { perRankMs: 1, atLeastMs: 1, atMostMs: 10 };
    await here.queue.backend.scheduleSnoozed(here.key(), snoozed, away);
    const jobId = await forget(here, jobs[1]);
    const worker = here.startWorker();
    const told = missing(worker);
    await expectExact(here, here.key(), await here.finished([jobs[0] as Job, jobs[2] as Job]));
    await eventually('it was told', () => told.has(jobId));
    await eventually('nothing waits', async () => (await here.queue.count()) === 0);
    await expectNothingOf(here, jobId);
  });

  it('is dropped though it vanished while it was being worked on', async () => {
    const here = stage();
    const worker = await here.worker();
    const told = missing(worker);
    const [job] = await enqueueLog(here, [{ key: here.key(), n: 0, takesMs: 300 }]);
    const inHand = async (): Promise<boolean> =>
      (await here.redis.exists(here.ownKey('inHand'))) > 0;
    await eventually('a batch has it in hand', inHand);
    const jobId = await forget(here, job);
    await eventually('it was told', () => told.has(jobId), 10_000);
    await eventually('nothing is active', async () => (await here.queue.getActiveCount()) === 0);
    await expectNothingOf(here, jobId);
    const later = await enqueueLog(here, [{ key: here.key(), n: 1 }]);
    expect((await here.finished(later))[0]?.returnvalue).toBe(1);
  });

  it("is in nobody's way if something else has its place, nor are its neighbours", async () => {
    const here = stage();
    const jobs = await enqueueLog(here, [
      ...entries(here.key(), 3),
      ...entries(here.key('other'), 3),
    ]);
    const name = here.redisKey(await forget(here, jobs[1]));
    await here.redis.set(name, 'not a hash');
    const worker = here.startWorker();
    const told = missing(worker);
    const finished = await here.finished(jobs.filter((_, n) => n !== 1));
    expect(finished.map((job) => job.stalledCounter)).toEqual([0, 0, 0, 0, 0]);
    await eventually('it was told', () => told.has(jobs[1]?.id as string));
    await eventually('nothing is active', async () => (await here.queue.getActiveCount()) === 0);
    expect(await here.redis.get(name)).toBe('not a hash');
  });

  it('fails with a code if more is left of it than its name, so that somebody can see it', async () => {
    const here = stage();
    const jobs = await enqueueLog(here, entries(here.key(), 2));
    await here.redis.hdel(here.redisKey(jobs[0]?.id as string), 'name');
    const worker = here.startWorker();
    const failed = new Promise<Error>((resolve) => {
      worker.once('failed', (_, error) => resolve(error));
    });
    await here.finished(jobs);
    expect(await failed).toMatchObject({ code: 'JOB_DAMAGED' });
    expect(await jobs[0]?.getState()).toBe('failed');
    expect(await jobs[1]?.getState()).toBe('completed');
  });
});

describe('the job that a lane waits for', () => {
  /** Five jobs wait for one that has failed and waits for its backoff. */
  async function standing(): Promise<{ here: Stage; worker: Worker; head: Job; others: Job[] }> {
    const here = stage();
    const worker = await here.worker({ concurrency: 4 });
    const options = { attempts: 2, backoff: HOUR_MS };
    const [head] = await enqueueLog(here, [{ key: here.key(), n: -1, failures: 1 }], options);
    const others = await enqueueLog(here, entries(here.key(), 5));
    await eventually('all wait', async () => (await here.queue.getSnoozedCount()) === 5);
    return { here, worker, head: head as Job, others };
  }

  function plainQueue(here: Stage): BullQueue {
    const plain = new BullQueue(here.name, { connection: { url: here.redisUrl } });
    onTestFinished(() => plain.close());
    return plain;
  }

  it.each<[string, (here: Stage, jobId: string) => Promise<unknown>]>([
    ['removes', async (here, jobId) => (await plainQueue(here).getJob(jobId))?.remove()],
    ['deletes', (here, jobId) => here.redis.del(here.redisKey(jobId))],
  ])('is missed within seconds when a plain client %s it', async (_, act) => {
    const { here, worker, head, others } = await standing();
    const told = nextEvent(worker, 'jobsMissing');
    await act(here, head.id as string);
    const finished = await here.finished(others, 8_000);
    expect(await expectExact(here, here.key(), finished)).toEqual([0, 1, 2, 3, 4]);
    expect(await told).toEqual({ key: here.key(), jobIds: [head.id] });
  });

  it('is missed by another worker, too, when the one that met it is gone', async () => {
    const { here, worker, head, others } = await standing();
    await worker.close();
    await (await plainQueue(here).getJob(head.id as string))?.remove();
    await here.worker();
    const finished = await here.finished(others, 8_000);
    expect(await expectExact(here, here.key(), finished)).toEqual([0, 1, 2, 3, 4]);
  });

  it('is missed when it was held, and a plain client has cleaned the failed ones', async () => {
    const here = stage();
    const worker = await here.worker({ concurrency: 2 });
    const key = here.key();
    const head = await here.queue.enqueue(logOr.hold, { key, n: -1, failures: 9 });
    const later = await here.queue.enqueue(logOr.hold, { key, n: 0 });
    await eventually('it is held', async () => (worker.counts.laneHeld ?? 0) > 0);
    await eventually('BullMQ has failed it', () => head.isFailed());
    await plainQueue(here).clean(0, 10, 'failed');
    expect(await expectExact(here, key, await here.finished([later], 8_000))).toEqual([0]);
    await expectNothingOf(here, head.id as string);
  });

  it('goes with all that are snoozed when a plain client cleans the delayed ones, and all are named', async () => {
    const { here, worker, head, others } = await standing();
    const told = missing(worker);
    await plainQueue(here).clean(0, 100, 'delayed');
    await eventually('all are named', () => told.size === 6, 8_000);
    expect(told).toEqual(new Set([head, ...others].map(({ id }) => id)));
    const later = await enqueueLog(here, [{ key: here.key(), n: 9 }]);
    expect(await expectExact(here, here.key(), await here.finished(later, 8_000))).toEqual([9]);
  });

  it('is missed though all others are drained with it, and the next ones are done at once', async () => {
    const { here, head } = await standing();
    const plain = plainQueue(here);
    await plain.drain(true);
    const later = await enqueueLog(here, [{ key: here.key(), n: 9 }]);
    await expectExact(here, here.key(), await here.finished(later, 8_000));
    await expectNothingOf(here, head.id as string);
  });
});
