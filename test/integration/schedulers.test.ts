/**
 * The last job of a scheduler, of which BullMQ thinks that it is the next one: it has been delivered, and waits for its turn or
 * for its next attempt, when the scheduler is removed or set up anew. Nobody works, until the test says so.
 *
 * @module-tag imitation
 */
import { type Job, Queue as BullQueue, Worker as BullWorker } from 'bullmq';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type Line, log } from '../support/updates.ts';
import { enqueueLog, entries, type Stage, stage } from '../support/workers.ts';

const HOUR_MS = 3_600_000;
const ID = 'once';

type Options = NonNullable<Parameters<Stage['queue']['upsertJobScheduler']>[2]>['opts'];

const template = (here: Stage, n: number, opts: Options = {}): { name: string } => ({
  ...{ name: log.name, data: { key: here.key(), n }, opts },
});

/** Its only job, delivered. */
async function delivered(here: Stage, opts: Options = {}): Promise<Job> {
  const worker = new BullWorker(here.name, null, { connection: { url: here.redisUrl } });
  onTestFinished(() => worker.close());
  await here.queue.upsertJobScheduler(ID, { every: HOUR_MS, limit: 1 }, template(here, 0, opts));
  return (await worker.getNextJob('lock')) as Job;
}

const WAITS = {
  'is snoozed': async (here: Stage): Promise<Job> => {
    const job = await delivered(here);
    await here.queue.backend.snooze(job.id as string, [], HOUR_MS, 'lock');
    return job;
  },
  'is snoozed and has a priority': async (here: Stage): Promise<Job> => {
    const job = await delivered(here, { priority: 2 });
    await here.queue.backend.snooze(job.id as string, [], HOUR_MS, 'lock');
    return job;
  },
  'has come back amid others': async (here: Stage): Promise<Job> => {
    const job = await delivered(here);
    await enqueueLog(here, entries(here.key('others'), 1));
    await here.queue.backend.snooze(job.id as string, [], HOUR_MS, 'lock');
    await here.queue.backend.snoozed.each('promote', 'wait', { most: 1 });
    await enqueueLog(here, entries(here.key('others'), 1));
    return job;
  },
  'has come back and has a priority': async (here: Stage): Promise<Job> => {
    const job = await delivered(here, { priority: 2 });
    await here.queue.backend.snooze(job.id as string, [], HOUR_MS, 'lock');
    await here.queue.backend.snoozed.each('promote', 'prioritized', { most: 1 });
    return job;
  },
  'waits for its next attempt': async (here: Stage): Promise<Job> => {
    const job = await delivered(here, { attempts: 2, backoff: 100 });
    await job.moveToFailed(new Error('not today'), 'lock', false);
    return job;
  },
};
const waits = Object.entries(WAITS);

/** All lists in which it could be, with their order. */
const placesOf = async ({ redis, redisKey }: Stage, jobId: string): Promise<unknown[]> =>
  Promise.all([
    redis.lrange(redisKey('wait'), 0, -1),
    redis.zscore(redisKey('delayed'), jobId),
    redis.zscore(redisKey('prioritized'), jobId),
    redis.hgetall(redisKey(jobId)),
  ]);

const applied = async ({ cells, key }: Stage): Promise<number[]> =>
  ((await cells.get<Line[]>(key())) ?? []).map(([n]) => n);

async function appliesIt(here: Stage, job: Job): Promise<void> {
  await here.queue.backend.deliverNext(job.id as string);
  await here.worker();
  await here.finished([job]);
  expect(await applied(here)).toEqual([0]);
}

describe.each(waits)('a last job that %s', (_, make) => {
  it('stays when its scheduler is removed, and is applied', async () => {
    const here = stage();
    const job = await make(here);
    const before = await placesOf(here, job.id as string);
    expect(await here.queue.removeJobScheduler(ID)).toBe(true);
    expect(await placesOf(here, job.id as string)).toEqual(before);
    expect(await here.queue.getJobSchedulersCount()).toBe(0);
    await appliesIt(here, job);
  });

  it.each([
    ['as it was', { every: HOUR_MS }],
    ['with another interval', { every: HOUR_MS / 2, startDate: Date.now() + HOUR_MS }],
    ['with a pattern', { pattern: '0 0 1 1 *' }],
  ])('stays when its scheduler is set up %s, with its next one beside it', async (_as, repeat) => {
    const here = stage();
    const job = await make(here);
    const before = await placesOf(here, job.id as string);
    const next = await here.queue.upsertJobScheduler(ID, repeat, template(here, 1));
    expect(next?.id).not.toBe(job.id);
    expect(await placesOf(here, job.id as string)).toEqual(before);
    expect(await next?.getState()).toBe('delayed');
    await appliesIt(here, job);
    expect(await next?.getState()).toBe('delayed');
  });
});

describe('a scheduler’s next job', () => {
  it('that was not delivered yet goes with its scheduler, and is replaced with it', async () => {
    const here = stage();
    const later = { every: HOUR_MS, startDate: Date.now() + HOUR_MS };
    const first = await here.queue.upsertJobScheduler(ID, later, template(here, 0));
    const second = await here.queue.upsertJobScheduler(ID, later, template(here, 1));
    expect(second?.id).toBe(first?.id);
    expect((await here.queue.getDelayed()).map(({ data }) => data)).toMatchObject([{ n: 1 }]);
    await here.queue.removeJobScheduler(ID);
    expect(await here.queue.count()).toBe(0);
    expect(await here.queue.removeJobScheduler(ID)).toBe(false);
  });

  it('goes with it though there is something else under its name', async () => {
    const here = stage();
    const job = await here.queue.upsertJobScheduler(
      ID,
      { every: HOUR_MS, startDate: Date.now() + HOUR_MS },
      template(here, 0),
    );
    await here.redis.del(here.redisKey(job?.id as string));
    await here.redis.set(here.redisKey(job?.id as string), 'not a job');
    expect(await here.queue.removeJobScheduler(ID)).toBe(true);
    expect(await here.queue.count()).toBe(0);
  });
});

describe('a plain client', () => {
  it('that removes a scheduler deletes its last job though that is snoozed', async () => {
    const here = stage();
    const job = await WAITS['is snoozed'](here);
    const plain = new BullQueue(here.name, { connection: { url: here.redisUrl } });
    onTestFinished(() => plain.close());
    await plain.removeJobScheduler(ID);
    expect(await here.queue.getJob(job.id as string)).toBeUndefined();
    await here.worker();
    await here.finished(await enqueueLog(here, [{ key: here.key(), n: 1 }]));
    expect(await applied(here)).toEqual([1]);
  });
});
