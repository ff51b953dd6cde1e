/** To BullMQ's calls, a job that waits for its turn is a waiting one, wherever it lies meanwhile. */
import { type Job, Queue as BullQueue, Worker as BullWorker } from 'bullmq';
import { describe, expect, it, onTestFinished } from 'vitest';
import { log } from '../support/updates.ts';
import { enqueueLog, entries, stage, type Stage } from '../support/workers.ts';

const HOUR_MS = 3_600_000;

interface Scene {
  readonly here: Stage;
  /** 0 waits; 1 to 5 are snoozed. */
  readonly jobs: readonly Job[];
  /** Number 6: it has a priority, and is snoozed. */
  readonly prioritized: Job;
  /** 7 and 8: delayed by their user. */
  readonly delayed: readonly Job[];
}

/** Nobody works: whatever is snoozed stays so. */
async function scene(): Promise<Scene> {
  const here = stage();
  const key = here.key();
  const prioritized = await here.queue.enqueue(
    log,
    { key: here.key('other'), n: 6 },
    { priority: 3 },
  );
  await snoozeNext(here);
  const jobs = await enqueueLog(here, entries(key, 6));
  await snoozeAllButFirst(here, 6);
  const later = [7, 8].map((n) => ({ update: log, data: { key, n }, options: { delay: HOUR_MS } }));
  return { here, jobs, prioritized, delayed: await here.queue.enqueueBulk(later) };
}

/** They are delivered, and give their slots back: each is back 100 ms after the one before it. The first one is delivered next. */
async function snoozeAllButFirst(here: Stage, count: number): Promise<void> {
  const { backend } = here.queue;
  await asWorker(here, async (worker) => {
    const tokens = Array.from({ length: count }, (_, n) => `lock ${n}`);
    const delivered = await Promise.all(tokens.map((token) => worker.getNextJob(token)));
    const snoozing = delivered.map(async (job, n) =>
      n === 0
        ? backend.giveBack(job?.id as string, 'lock 0')
        : backend.snooze(job?.id as string, [], 30_000 + n * 100, `lock ${n}`),
    );
    await Promise.all(snoozing);
  });
}

/** The job that BullMQ delivers next gives its slot back at once. */
async function snoozeNext(here: Stage, ms = 30_000): Promise<string> {
  return asWorker(here, async (worker) => {
    const job = (await worker.getNextJob('lock')) as Job;
    await here.queue.backend.snooze(job.id as string, [], ms, 'lock', job.attemptsMade);
    return job.id as string;
  });
}

async function asWorker<T>(here: Stage, act: (worker: BullWorker) => Promise<T>): Promise<T> {
  const worker = new BullWorker(here.name, null, { connection: { url: here.redisUrl } });
  try {
    return await act(worker);
  } finally {
    await worker.close();
  }
}

/** A stock client. */
function plainQueue(here: Stage): BullQueue {
  const plain = new BullQueue(here.name, { connection: { url: here.redisUrl } });
  onTestFinished(() => plain.close());
  return plain;
}

const numbers = (jobs: readonly Job[]): unknown[] => jobs.map(({ data }) => data.n);
const idsOf = (jobs: readonly Job[]): unknown[] => jobs.map(({ id }) => id);

describe('counts', () => {
  it('tell jobs that wait for their turn from those that were delayed', async () => {
    const { here } = await scene();
    const { queue } = here;
    expect(await queue.getJobCounts()).toMatchObject({ waiting: 6, prioritized: 1, delayed: 2 });
    expect(await queue.getJobCounts('wait', 'delayed')).toEqual({ wait: 6, delayed: 2 });
    expect(await queue.getJobCountByTypes('waiting', 'prioritized')).toBe(7);
    expect(await queue.getWaitingCount()).toBe(6);
    expect(await queue.getPrioritizedCount()).toBe(1);
    expect(await queue.getDelayedCount()).toBe(2);
    expect(await queue.count()).toBe(9);
    expect(await queue.getSnoozedCount()).toBe(6);
    expect(await queue.getCountsPerPriority([0, 1, 3])).toEqual({ 0: 6, 1: 0, 3: 1 });
    const metrics = await queue.exportPrometheusMetrics();
    expect(metrics).toContain('state="waiting"} 6');
    expect(metrics).toContain('state="delayed"} 2');
  });

  it('of delayed jobs that are due before a time leave the others out, too', async () => {
    const { here } = await scene();
    expect(await here.queue.getDelayedCount(Date.now() + HOUR_MS / 2)).toBe(0);
    expect(await here.queue.getDelayedCount(Date.now() + 2 * HOUR_MS)).toBe(2);
  });

  it('forget whoever is back, whoever brought it back', async () => {
    const { here, jobs } = await scene();
    const plain = plainQueue(here);
    await (await plain.getJob(jobs[1]?.id as string))?.promote();
    await (await plain.getJob(jobs[2]?.id as string))?.remove();
    expect(await here.queue.getJobCounts()).toMatchObject({ waiting: 5, delayed: 2 });
    await plain.promoteJobs();
    expect(await here.queue.getSnoozedCount()).toBe(0);
    expect(await here.redis.exists(here.ownKey('snoozed:wait'))).toBe(0);
  });

  it('take a job that waits for its backoff for delayed, though it was snoozed before', async () => {
    const here = stage();
    const options = { attempts: 3, backoff: HOUR_MS };
    const [job] = await enqueueLog(here, [{ key: here.key(), n: 0 }], options);
    await snoozeNext(here, 1);
    expect(await job?.getState()).toBe('waiting');
    await asWorker(here, async (worker) => {
      const delivered = (await worker.getNextJob('lock')) as Job;
      await delivered.moveToFailed(new Error('not today'), 'lock', false);
    });
    expect(await job?.getState()).toBe('delayed');
    expect(await here.queue.getJobCounts()).toMatchObject({ waiting: 0, delayed: 1 });
    await here.queue.promoteJobs();
    await snoozeNext(here);
    expect(await job?.getState()).toBe('waiting');
  });

  it('are right while thousands are snoozed, and clear away what is left of them', async () => {
    const here = stage();
    const jobs = await enqueueLog(here, entries(here.key(), 2_600));
    await snoozeAllButFirst(here, 2_600);
    await here.queue.enqueue(log, { key: here.key(), n: -1 }, { delay: HOUR_MS });
    expect(await here.queue.getJobCounts()).toMatchObject({ waiting: 2_600, delayed: 1 });
    expect(numbers(await here.queue.getWaiting(2_590))).toEqual(numbers(jobs).slice(2_590));
    expect(numbers(await here.queue.getDelayed())).toEqual([-1]);
    expect(await here.queue.promoteJobs({ count: 5 })).toBeUndefined();
    expect(await here.queue.getJobCounts()).toMatchObject({ waiting: 2_601, delayed: 0 });
    await here.queue.drain();
    expect(await here.queue.getJobCounts()).toMatchObject({ waiting: 0, delayed: 0 });
    expect(await here.redis.exists(here.ownKey('snoozed:wait'), here.ownKey('aside'))).toBe(0);
    expect(await here.redis.zcard(here.ownKey(`lane:${here.key()}`))).toBe(0);
  });
});

describe('lists', () => {
  it('have snoozed jobs among the waiting ones, behind those that are delivered next', async () => {
    const { here, jobs, prioritized, delayed } = await scene();
    const { queue } = here;
    expect(numbers(await queue.getWaiting())).toEqual([0, 1, 2, 3, 4, 5]);
    expect(idsOf(await queue.getPrioritized())).toEqual([prioritized.id]);
    expect(idsOf(await queue.getDelayed())).toEqual(idsOf(delayed));
    expect(numbers(await queue.getJobs(['waiting'], 0, -1, false))).toEqual([5, 4, 3, 2, 1, 0]);
    expect(numbers(await queue.getJobs(['delayed', 'waiting'], 0, 2, true))).toEqual([
      7, 8, 0, 1, 2,
    ]);
    expect(idsOf(await queue.getJobs())).toHaveLength(9);
    expect(await queue.getRanges(['wait'], 0, -1, true)).toEqual(idsOf(jobs));
    expect(await queue.getRanges(['wait', 'delayed'], 0, 0)).toEqual([jobs[5]?.id, delayed[1]?.id]);
  });

  it.each([
    [0, 1, [0, 1]],
    [0, 0, [0]],
    [1, 3, [1, 2, 3]],
    [4, 9, [4, 5]],
    [6, 9, []],
    [-2, -1, [4, 5]],
    [2, -2, [2, 3, 4]],
  ])('come in pages: from %i to %i', async (first, last, page) => {
    const { here } = await scene();
    expect(numbers(await here.queue.getWaiting(first, last))).toEqual(page);
    const mirrored = numbers(await here.queue.getJobs(['waiting'], first, last, false));
    expect(mirrored).toEqual(page.map((n) => 5 - n));
  });

  it.each([
    [0, 0, [7]],
    [1, 5, [8]],
    [2, 5, []],
    [-1, -1, [8]],
  ])('of delayed jobs as well: from %i to %i', async (first, last, page) => {
    const { here } = await scene();
    expect(numbers(await here.queue.getDelayed(first, last))).toEqual(page);
  });
});

describe('a snoozed job', () => {
  it('is waiting, to itself and to the queue', async () => {
    const { here, jobs, prioritized, delayed } = await scene();
    const [first, second] = jobs as [Job, Job];
    for (const job of [first, second]) {
      expect(await job.getState()).toBe('waiting');
      expect(await here.queue.getJobState(job.id as string)).toBe('waiting');
      expect(await job.isWaiting()).toBe(true);
      expect(await job.isDelayed()).toBe(false);
    }
    expect(await prioritized.getState()).toBe('prioritized');
    expect(await prioritized.isDelayed()).toBe(false);
    expect(await delayed[0]?.getState()).toBe('delayed');
    expect(await delayed[0]?.isDelayed()).toBe(true);
    expect(await delayed[0]?.isWaiting()).toBe(false);
  });

  it('cannot be promoted, nor its delay changed, as BullMQ refuses it for a waiting one', async () => {
    const { jobs, delayed } = await scene();
    await expect(jobs[1]?.promote()).rejects.toThrow('is not in the delayed state');
    await expect(jobs[1]?.changeDelay(5)).rejects.toThrow('is not in the delayed state');
    await delayed[0]?.changeDelay(2 * HOUR_MS);
    await delayed[1]?.promote();
    expect(await delayed[0]?.getState()).toBe('delayed');
    expect(await delayed[1]?.getState()).toBe('waiting');
  });

  it('can get another priority, and waits with it', async () => {
    const { here, jobs, prioritized } = await scene();
    await jobs[1]?.changePriority({ priority: 5 });
    await prioritized.changePriority({ priority: 0 });
    expect(await jobs[1]?.getState()).toBe('prioritized');
    expect(await prioritized.getState()).toBe('waiting');
    expect(await here.queue.getCountsPerPriority([0, 3, 5])).toEqual({ 0: 6, 3: 0, 5: 1 });
    await here.worker();
    await here.finished(jobs);
  });

  it('stays where it is when what is delayed is promoted', async () => {
    const { here } = await scene();
    await here.queue.promoteJobs();
    expect(await here.queue.getJobCounts()).toMatchObject({ waiting: 8, delayed: 0 });
    expect(await here.redis.zcard(here.redisKey('delayed'))).toBe(6);
    expect(await here.queue.getSnoozedCount()).toBe(6);
  });
});

describe('drain', () => {
  it('removes all that waits, and keeps what was delayed', async () => {
    const { here, delayed } = await scene();
    await here.queue.drain();
    expect(await here.queue.getJobCounts()).toMatchObject({
      waiting: 0,
      prioritized: 0,
      delayed: 2,
    });
    expect(idsOf(await here.queue.getDelayed())).toEqual(idsOf(delayed));
    expect(await here.redis.exists(here.ownKey(`lane:${here.key()}`))).toBe(0);
  });

  it('removes both, if it is told to', async () => {
    const { here } = await scene();
    await here.queue.drain(true);
    expect(await here.queue.count()).toBe(0);
    expect(await here.redis.keys(`*${here.name}:[0-9]*`)).toEqual([]);
  });

  it("spares a scheduler's next job, as BullMQ does, though it is snoozed", async () => {
    const here = stage();
    const template = { name: 'log', data: { key: here.key(), n: 0 } };
    await here.queue.upsertJobScheduler('each-hour', { every: HOUR_MS }, template);
    const jobId = await snoozeNext(here);
    // As if it were still the scheduler's next one, not the one before.
    await here.redis.zadd(here.redisKey('repeat'), jobId.split(':').at(-1) as string, 'each-hour');
    await here.queue.drain();
    await here.queue.clean(0, 10, 'wait');
    expect(await here.queue.getJobState(jobId)).toBe('waiting');
    expect(await here.queue.getSnoozedCount()).toBe(1);
  });
});

describe('clean', () => {
  it('of the waiting jobs removes snoozed ones, of the delayed jobs none', async () => {
    const { here, delayed } = await scene();
    const { queue } = here;
    expect(new Set(await queue.clean(0, 100, 'delayed'))).toEqual(new Set(idsOf(delayed)));
    expect(await queue.getJobCounts()).toMatchObject({ waiting: 6, prioritized: 1, delayed: 0 });
    expect(await queue.clean(0, 100, 'prioritized')).toHaveLength(1);
    expect(await queue.clean(0, 100, 'wait')).toHaveLength(6);
    expect(await queue.count()).toBe(0);
    expect(await here.redis.keys(`*${here.name}:[0-9]*`)).toEqual([]);
  });

  it('removes no more than it is told to', async () => {
    const { here } = await scene();
    expect(await here.queue.clean(0, 1, 'delayed')).toHaveLength(1);
    expect(await here.queue.clean(0, 2, 'waiting')).toHaveLength(2);
    expect(await here.queue.getJobCounts()).toMatchObject({ waiting: 4, delayed: 1 });
  });

  it('spares those that are younger, by their own age', async () => {
    const { here, jobs, delayed } = await scene();
    for (const job of [jobs[2], jobs[3], delayed[0]]) {
      await here.redis.hset(here.redisKey(job?.id as string), 'timestamp', Date.now() - HOUR_MS);
    }
    // Its delivery ended in snoozing: it has waited since it was added.
    await here.redis.hset(here.redisKey(jobs[2]?.id as string), 'processedOn', Date.now());
    // It was tried meanwhile.
    const tried = { processedOn: Date.now(), atm: 1 };
    await here.redis.hset(here.redisKey(jobs[3]?.id as string), tried);
    expect(await here.queue.clean(HOUR_MS / 2, 100, 'wait')).toEqual([jobs[2]?.id]);
    expect(await here.queue.clean(HOUR_MS / 2, 100, 'delayed')).toEqual([delayed[0]?.id]);
    expect(await here.queue.getJobCounts()).toMatchObject({ waiting: 5, delayed: 1 });
  });

  it('leaves everything as it was if it cannot be carried out', async () => {
    const { here, jobs } = await scene();
    const [jobId] = await here.redis.zrange(here.ownKey('snoozed:wait'), '0', '0');
    await here.redis.del(here.redisKey(jobId as string));
    await here.redis.set(here.redisKey(jobId as string), 'not a job');
    await expect(here.queue.clean(0, 100, 'wait')).rejects.toThrow('WRONGTYPE');
    expect(await here.redis.zcard(here.redisKey('delayed'))).toBe(8);
    expect(await here.queue.getSnoozedCount()).toBe(6);
    expect(await here.queue.getWaitingCount()).toBe(jobs.length);
  });
});
