/** BullMQ's options of jobs and its calls on them, where the jobs are updates. */
import { type Job, Queue as BullQueue, QueueEvents } from 'bullmq';
import { describe, expect, it, onTestFinished } from 'vitest';
import { eventually } from '../support/memcached.ts';
import { redisKeys } from '../support/redis.ts';
import { log } from '../support/updates.ts';
import {
  enqueueLog,
  entries,
  expectExact,
  nextEvent,
  stage,
  type Stage,
} from '../support/workers.ts';

const HOUR_MS = 3_600_000;

function plainQueue(here: Stage): BullQueue {
  const plain = new BullQueue(here.name, { connection: { url: here.redisUrl } });
  onTestFinished(() => plain.close());
  return plain;
}

describe('the options of a job', () => {
  it('say when it is delivered, not when it is applied: priority and lifo do not change the order of a key', async () => {
    const here = stage();
    const options = [{}, { priority: 9 }, { lifo: true }, { priority: 1 }, {}];
    const jobs = [];
    for (const [n, one] of options.entries()) {
      jobs.push(await here.queue.enqueue(log, { key: here.key(), n }, one));
    }
    await here.worker({ concurrency: 1 });
    const finished = await here.finished(jobs);
    expect(await expectExact(here, here.key(), finished)).toEqual([0, 1, 2, 3, 4]);
  });

  it.each([
    ['a number of them', { removeOnComplete: 2 }],
    ['those of the last hour, two at most', { removeOnComplete: { age: 3_600, count: 2 } }],
  ])('keep of the completed jobs %s', async (_, options) => {
    const here = stage();
    await here.worker({ concurrency: 1 });
    await enqueueLog(here, entries(here.key(), 6), options);
    await eventually('all are applied', async () => {
      return ((await here.cells.get<unknown[]>(here.key())) ?? []).length === 6;
    });
    await eventually('two are left', async () => {
      return (await redisKeys(here.redis, here.name, '[0-9]*')).length === 2;
    });
  });

  it('keep of the failed jobs a number, and their lane goes on', async () => {
    const here = stage();
    await here.worker({ concurrency: 1 });
    const failing = entries(here.key(), 4, { failures: 9 });
    await enqueueLog(here, failing, { removeOnFail: 1 });
    const last = await enqueueLog(here, [{ key: here.key(), n: 4 }]);
    await here.finished(last);
    await eventually('one is left', async () => (await here.queue.getFailedCount()) === 1);
    expect(await here.redis.exists(here.ownKey(`lane:${here.key()}`))).toBe(0);
  });

  it('may ask for a backoff of the worker’s own making', async () => {
    const here = stage();
    const asked: number[] = [];
    const backoffStrategy = (attempts: number): number => asked.push(attempts);
    await here.worker({ settings: { backoffStrategy } });
    const options = { attempts: 3, backoff: { type: 'mine' } };
    const [job] = await enqueueLog(here, [{ key: here.key(), n: 0, failures: 2 }], options);
    expect((await here.finished([job as Job]))[0]?.attemptsMade).toBe(3);
    expect(asked).toEqual([1, 2]);
  });

  it('refuse data that are too large before anything is added', async () => {
    const here = stage();
    const adding = here.queue.enqueue(log, { key: here.key(), n: 0 }, { sizeLimit: 5 });
    await expect(adding).rejects.toThrow('exceeds the limit');
    expect(await here.queue.count()).toBe(0);
    expect(await here.redis.exists(here.ownKey(`lane:${here.key()}`))).toBe(0);
  });

  it('deduplicate: a job of the same id is not added, and enters no lane', async () => {
    const here = stage();
    const options = { deduplication: { id: 'same' } };
    const first = await here.queue.enqueue(log, { key: here.key(), n: 0 }, options);
    const second = await here.queue.enqueue(log, { key: here.key(), n: 1 }, options);
    expect(second.id).toBe(first.id);
    expect((await here.queue.lane(here.key()).report()).length).toBe(1);
    expect(await here.queue.getDeduplicationJobId('same')).toBe(first.id);
    await here.worker();
    await here.finished([first]);
    const third = await here.queue.enqueue(log, { key: here.key(), n: 2 }, options);
    expect(await expectExact(here, here.key(), await here.finished([first, third]))).toEqual([
      0, 2,
    ]);
  });

  it('deduplicate by the last one (debounce): the one before it is replaced, and its lane goes on', async () => {
    const here = stage();
    const options = {
      delay: 50,
      deduplication: { id: 'same', ttl: 1_000, extend: true, replace: true },
    };
    await here.queue.enqueue(log, { key: here.key(), n: 0 }, options);
    const last = await here.queue.enqueue(log, { key: here.key(), n: 1 }, options);
    await here.worker();
    expect(await expectExact(here, here.key(), await here.finished([last]))).toEqual([1]);
  });
});

describe('a job', () => {
  it('that is waited for gives its update’s result', async () => {
    const here = stage();
    const events = new QueueEvents(here.name, { connection: { url: here.redisUrl } });
    onTestFinished(() => events.close());
    await events.waitUntilReady();
    await here.worker({ concurrency: 2 });
    const jobs = await enqueueLog(here, entries(here.key(), 5, { takesMs: 5 }));
    expect(await Promise.all(jobs.map((job) => job.waitUntilFinished(events, 5_000)))).toEqual([
      0, 1, 2, 3, 4,
    ]);
    const [failing] = await enqueueLog(here, [{ key: here.key(), n: 9, failures: 9 }]);
    await expect(failing?.waitUntilFinished(events, 5_000)).rejects.toThrow('attempt 1');
  });

  it('is applied with the data that it has when its turn comes', async () => {
    const here = stage();
    const [job] = await enqueueLog(here, [{ key: here.key(), n: 0 }]);
    await job?.updateData({ key: here.key(), n: 7 });
    await here.worker();
    expect(await expectExact(here, here.key(), await here.finished([job as Job]))).toEqual([7]);
  });

  it('can be given progress and logs from outside', async () => {
    const here = stage();
    const [job] = (await enqueueLog(here, [{ key: here.key(), n: 0 }])) as [Job];
    await job.updateProgress(30);
    await job.log('one');
    await here.queue.addJobLog(job.id as string, 'two', 1);
    await here.worker();
    const [finished] = await here.finished([job]);
    expect(finished?.progress).toBe(30);
    expect(await here.queue.getJobLogs(job.id as string)).toEqual({ logs: ['two'], count: 1 });
    await job.clearLogs();
    expect((await here.queue.getJobLogs(job.id as string)).count).toBe(0);
  });

  it('that completed returns its result again when it is retried, alone or with others', async () => {
    const here = stage();
    await here.worker();
    const jobs = await enqueueLog(here, entries(here.key(), 3));
    await here.finished(jobs);
    await jobs[0]?.retry('completed');
    await here.finished([jobs[0] as Job]);
    await here.queue.retryJobs({ state: 'completed' });
    const finished = await here.finished(jobs);
    expect(await expectExact(here, here.key(), finished)).toEqual([0, 1, 2]);
  });

  it('that failed is a new beginning when it is retried with others', async () => {
    const here = stage();
    await here.worker();
    const jobs = await enqueueLog(here, entries(here.key(), 3, { failures: 1 }));
    await here.finished(jobs);
    expect(await here.queue.getFailedCount()).toBe(3);
    await here.queue.retryJobs({ state: 'failed' });
    await eventually('all are applied', async () => (await here.queue.getCompletedCount()) === 3);
    await expectExact(here, here.key(), await here.finished(jobs));
    expect(await here.cells.get(here.key())).toHaveLength(3);
  });

  it('that is moved by hand is not applied, and told', async () => {
    const here = stage();
    const worker = await here.worker({ autorun: false });
    const [job] = await enqueueLog(here, [{ key: here.key(), n: 0 }]);
    const fetched = (await worker.getNextJob('lock')) as Job;
    await fetched.moveToCompleted('by hand', 'lock', false);
    const told = nextEvent(worker, 'jobsNotApplied');
    void worker.run();
    expect((await told).jobIds).toEqual([job?.id]);
  });

  it('that is delayed can be promoted, and enters its lane then', async () => {
    const here = stage();
    await here.worker();
    const late = await here.queue.enqueue(log, { key: here.key(), n: 0 }, { delay: HOUR_MS });
    const [next] = await enqueueLog(here, [{ key: here.key(), n: 1 }]);
    await here.finished([next as Job]);
    await late.promote();
    const finished = await here.finished([late, next as Job]);
    expect(await expectExact(here, here.key(), finished)).toEqual([1, 0]);
  });
});

describe('a plain client', () => {
  it('may obliterate the queue; jobs that bear the same ids afterwards are new ones, in their order', async () => {
    const here = stage();
    const worker = await here.worker({ concurrency: 2 });
    await here.finished(await enqueueLog(here, entries(here.key(), 2)));
    await worker.pause();
    await enqueueLog(here, entries(here.key(), 4, { takesMs: 1 }));
    await enqueueLog(here, entries(here.key('other'), 3));
    await plainQueue(here).obliterate({ force: true });
    await plainQueue(here).resume();
    await worker.resume();
    const jobs = await enqueueLog(
      here,
      entries(here.key(), 6).map(({ key, n }) => ({ key, n: 10 + n })),
    );
    const finished = await here.finished(jobs, 20_000);
    const lines = (await here.cells.get<[number][]>(here.key())) ?? [];
    expect(lines.map(([n]) => n)).toEqual([0, 1, 10, 11, 12, 13, 14, 15]);
    expect(finished.map((job) => job.returnvalue)).toEqual([2, 3, 4, 5, 6, 7]);
  });

  it('may drain the queue: what waited is gone, and what comes next is done at once', async () => {
    const here = stage();
    const worker = await here.worker({ concurrency: 2 });
    await enqueueLog(here, entries(here.key(), 30, { takesMs: 50 }));
    await eventually('some are snoozed', async () => (await here.queue.getSnoozedCount()) > 5);
    await plainQueue(here).drain(true);
    const [next] = await enqueueLog(here, [{ key: here.key(), n: 99 }]);
    const finished = await here.finished([next as Job], 5_000);
    const lines = (await here.cells.get<[number][]>(here.key())) ?? [];
    expect(lines.at(-1)?.[0]).toBe(99);
    expect(finished[0]?.returnvalue).toBe(lines.length - 1);
    expect(lines.length).toBeLessThan(15);
    await worker.close();
  });

  it('may remove orphaned jobs, promote all that is delayed, and retry: nothing of Toril’s is lost', async () => {
    const here = stage();
    const plain = plainQueue(here);
    await here.worker({ concurrency: 2 });
    const jobs = await enqueueLog(here, entries(here.key(), 20, { takesMs: 10 }));
    for (let n = 0; n < 10; n++) {
      await plain.promoteJobs();
      await plain.removeOrphanedJobs();
      await plain.retryJobs({ state: 'completed' });
    }
    await eventually('all are applied', async () => {
      return ((await here.cells.get<unknown[]>(here.key())) ?? []).length === 20;
    });
    await eventually('nothing waits', async () => (await here.queue.count()) === 0);
    const finished = await here.finished(jobs);
    expect(await expectExact(here, here.key(), finished)).toEqual(jobs.map((_, n) => n));
  });
});
