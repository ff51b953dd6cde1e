/** Jobs that give their worker slots back: they lose nothing by it, not even time. */
import { type Job, Worker as BullWorker } from 'bullmq';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { TorilBackend } from '../../src/jobs/bullmq/bull-backend.ts';
import type { Taken } from '../../src/jobs/lanes.ts';
import type { Away } from '../../src/jobs/bullmq/snoozing-ahead.ts';
import { eventually } from '../support/memcached.ts';
import { log } from '../support/updates.ts';
import { enqueueLog, entries, expectExact, stage, type Stage } from '../support/workers.ts';

/** When those that are snoozed ahead come back. */
const away = (ms: number, atMostMs: number): Away => ({ perRankMs: ms, atLeastMs: ms, atMostMs });

/** Returns how many were snoozed. */
async function snoozeAhead({ queue }: Stage, lane: string, times: Away): Promise<number> {
  const snoozed = await queue.backend.snoozeAhead(lane);
  await queue.backend.scheduleSnoozed(lane, snoozed, times);
  return snoozed.jobs;
}

async function expectUncharged(here: Stage, key: string, jobs: readonly Job[]): Promise<Job[]> {
  const finished = await here.finished(jobs);
  expect(await expectExact(here, key, finished)).toEqual(jobs.map((_, n) => n));
  expect(new Set(finished.map((job) => job.attemptsMade))).toEqual(new Set([1]));
  return finished;
}

describe('jobs of a slow key', () => {
  it('are delayed until about their turn, and hold no worker slots', async () => {
    const here = stage();
    await here.worker({ concurrency: 4, closeMs: 100 });
    await enqueueLog(here, entries(here.key(), 100, { takesMs: 200 }));
    await eventually(
      'almost all are snoozed',
      async () => (await here.queue.getSnoozedCount()) > 90,
    );
    await eventually('few are active', async () => (await here.queue.getActiveCount()) <= 2);
  });

  it('do not take the slots that those before them give back', { tags: 'imitation' }, async () => {
    const here = stage();
    const worker = await here.worker({ concurrency: 20, autorun: false, closeMs: 100 });
    // More than are snoozed ahead in one call.
    const jobs = await enqueueLog(here, entries(here.key(), 2_000, { takesMs: 200 }));
    void worker.run();
    await eventually('all are snoozed', async () => (await here.queue.getSnoozedCount()) > 1_990);
    expect(worker.counts.jobSnoozed).toBeLessThanOrEqual(20);
    const last = async () => here.queue.getJob(jobs.at(-1)?.id as string);
    await eventually('people are told of all', async () => ((await last())?.delay ?? 0) > 0);
  });

  it('are not snoozed ahead any further once enough others are to be delivered first', {
    tags: 'imitation',
  }, async () => {
    const here = stage();
    const two = [...entries(here.key('other'), 200), ...entries(here.key('slow'), 3_000)];
    await enqueueLog(here, two);
    const { jobs: snoozed } = await here.queue.backend.snoozeAhead(here.key('slow'));
    expect(snoozed).toBeGreaterThanOrEqual(300);
    expect(snoozed).toBeLessThan(1_000);
  });

  it('that are snoozed ahead look as BullMQ leaves them, once people have been told', {
    tags: 'imitation',
  }, async () => {
    const here = stage();
    const { backend } = here.queue;
    // More than one call snoozes or tells of.
    const jobs = await enqueueLog(here, entries(here.key(), 1_200));
    const own = await here.queue.enqueue(log, { key: here.key(), n: -1 }, { delay: 77_000 });
    const toldOf = async (): Promise<(string | undefined)[]> => {
      const events = await here.redis.xrange(here.redisKey('events'), '-', '+');
      return events
        .map(([, fields]) => fields)
        .filter((fields) => fields[1] === 'delayed' && !fields.includes(own.id as string))
        .map((fields) => fields[fields.indexOf('jobId') + 1]);
    };
    const snoozed = await backend.snoozeAhead(here.key());
    expect(snoozed.jobs).toBe(1_199);
    expect(await toldOf()).toEqual([]);
    await backend.deliverNext(jobs[7]?.id as string);
    await backend.scheduleSnoozed(here.key(), snoozed, away(60_000, 60_000));
    await backend.scheduleSnoozed(here.key(), snoozed, away(60_000, 60_000)); // nobody twice
    const still = jobs.filter((_, n) => n !== 0 && n !== 7);
    expect(await toldOf()).toEqual(still.map(({ id }) => id));
    for (const { id } of [still[0], still.at(-1), own] as Job[]) {
      const { delay } = (await here.queue.getJob(id as string)) as Job;
      expect(delay).toBeGreaterThan(29_000);
      expect(delay).toBeLessThanOrEqual(id === own.id ? 77_000 : 60_000);
    }
    expect((await here.queue.getJob(jobs[7]?.id as string))?.delay).toBe(0);
  });

  it('are done no later for it: whoever is decided is delivered at once', {
    tags: 'imitation',
  }, async () => {
    const here = stage();
    const key = here.key();
    await here.worker({ concurrency: 4 });
    const startedMs = performance.now();
    await expectUncharged(here, key, await enqueueLog(here, entries(key, 60, { takesMs: 30 })));
    expect(performance.now() - startedMs).toBeLessThan(60 * 30 * 1.5 + 500);
  });

  it('with several workers and in every order of delivery are applied in order', async () => {
    const here = stage();
    const key = here.key();
    for (let i = 0; i < 3; i++) await here.worker({ concurrency: 4, patienceMs: 5 });
    const jobs = await here.queue.addBulk(
      entries(key, 90, { takesMs: 10 }).map((data) => ({
        name: 'log',
        data,
        opts: [{}, { priority: 1 + (data.n % 7) }, { lifo: true }][data.n % 3] as object,
      })),
    );
    await expectUncharged(here, key, jobs);
  });

  it('get on though the worker that snoozed them has died', async () => {
    const here = stage();
    const key = here.key();
    const first = await here.worker({ concurrency: 4, closeMs: 0 });
    const jobs = await enqueueLog(here, entries(key, 40, { takesMs: 50 }));
    await eventually('most are snoozed', async () => (await here.queue.getSnoozedCount()) > 20);
    await first.close(true);
    await here.worker({ concurrency: 4 });
    await expectUncharged(here, key, jobs);
  });

  it('can be removed and obliterated while they are snoozed', async () => {
    const here = stage();
    const key = here.key();
    const worker = await here.worker({ concurrency: 2 });
    const jobs = await enqueueLog(here, entries(key, 70, { takesMs: 60 }));
    await eventually('most are snoozed', async () => (await here.queue.getSnoozedCount()) > 6);
    // Not one of the first 64, which a batch has in hand: nothing is known yet of the key's pace.
    await jobs[68]?.remove();
    const others = jobs.filter((_, n) => n !== 68);
    const applied = await expectExact(here, key, await here.finished(others));
    expect(applied).toEqual(others.map(({ data }) => data.n as number));
    await enqueueLog(here, entries(key, 12, { takesMs: 60 }));
    await worker.close();
    await here.queue.obliterate({ force: true });
    expect(await here.queue.getJobCounts()).toMatchObject({ delayed: 0, waiting: 0 });
  });

  it('are snoozed before they are delivered; the first one and those of others keep their places', {
    tags: 'imitation',
  }, async () => {
    const here = stage();
    const jobs = await enqueueLog(
      here,
      Array.from({ length: 12 }, (_, n) => ({ key: here.key(n % 3 === 0 ? 'other' : 'slow'), n })),
    );
    await snoozeAhead(here, here.key('slow'), away(50, 1_000));
    const numbers = (some: readonly Job[]): number[] => some.map(({ data }) => data.n as number);
    // Those that are delivered next, then those that are snoozed, by the time at which they are back.
    expect(numbers(await here.queue.getWaiting())).toEqual([0, 1, 3, 6, 9, 2, 4, 5, 7, 8, 10, 11]);
    expect(await here.redis.zcard(here.redisKey('delayed'))).toBe(7);
    await here.worker();
    expect(await here.finished(jobs)).toHaveLength(12);
  });
});

describe('a job that has failed before', () => {
  /** It is the second of its lane, and snoozed for a minute. */
  async function snoozed(
    snooze: (here: Stage, key: string, job: Job) => Promise<void>,
  ): Promise<void> {
    const here = stage();
    const key = here.key();
    const jobs = await enqueueLog(here, entries(key, 3), { attempts: 3 });
    await here.redis.hset(here.redisKey(jobs[1]?.id as string), 'atm', 1);
    await snooze(here, key, jobs[1] as Job);
    await here.worker();
    const finished = await here.finished(jobs, 10_000);
    expect(await expectExact(here, key, finished)).toEqual([0, 1, 2]);
    expect(finished.map((job) => job.attemptsMade)).toEqual([1, 2, 1]);
  }

  it('and was snoozed ahead is delivered when its turn has come', { tags: 'imitation' }, () =>
    snoozed(async (here, key) => {
      expect(await snoozeAhead(here, key, away(60_000, 60_000))).toBe(2);
    }),
  );

  it('and gave its slot back is delivered when its turn has come', () =>
    snoozed(async (here, _, { id }) => {
      const worker = new BullWorker(here.name, null, { connection: { url: here.redisUrl } });
      // The first two; the first one goes back to where it was.
      const first = await worker.getNextJob('somebody');
      const second = await worker.getNextJob('somebody');
      expect(second?.id).toBe(id);
      await here.queue.backend.snooze(id as string, [], 60_000, 'somebody', 1);
      await here.queue.backend.moveJobFromActiveToWait(first?.id as string, 'somebody');
      await worker.close();
    }));

  it('but waits for its backoff keeps its lane until then', async () => {
    const here = stage();
    const key = here.key();
    await here.worker();
    const [job] = await enqueueLog(here, [{ key, n: 0, failures: 1 }], {
      attempts: 2,
      backoff: 1_500,
    });
    await eventually('it has failed', async () => (await here.queue.getDelayedCount()) > 0);
    const [later] = await enqueueLog(here, [{ key, n: 1 }]);
    const finished = await here.finished([job as Job, later as Job]);
    const waitedMs = (finished[0]?.finishedOn ?? 0) - (finished[0]?.timestamp ?? 0);
    expect(waitedMs).toBeGreaterThanOrEqual(1_500);
    expect(await expectExact(here, key, finished)).toEqual([0, 1]);
  });
});

describe('a job that BullMQ delivers while another process holds its key', () => {
  it('comes back in time, whoever has applied it meanwhile', async () => {
    const here = stage();
    const key = here.key();
    for (let i = 0; i < 2; i++) await here.worker({ concurrency: 1, patienceMs: 1 });
    const jobs = await enqueueLog(here, entries(key, 30, { takesMs: 20 }));
    const late = await here.queue.enqueue(log, { key, n: 30 }, { delay: 100 });
    await expectUncharged(here, key, [...jobs, late]);
  });
});

describe('a snoozed job that is decided', () => {
  /** As if whoever decided it, or snoozed it, died right behind that: nobody promotes it later. */
  function diesBeforePromoting(): void {
    const promote = vi.spyOn(TorilBackend.prototype, 'promote');
    promote.mockImplementation(() => new Promise(() => {}));
    onTestFinished(() => promote.mockRestore());
  }

  it('is delivered at once though whoever decided it has died', { tags: 'imitation' }, async () => {
    diesBeforePromoting();
    const here = stage();
    const jobs = await enqueueLog(here, entries(here.key(), 20));
    await snoozeAhead(here, here.key(), away(60_000, 120_000));
    expect(await here.queue.getSnoozedCount()).toBe(19);
    await here.worker();
    expect(await here.finished(jobs, 5_000)).toHaveLength(20);
  });

  it('is delivered at once though it was decided in the moment before it was snoozed', async () => {
    diesBeforePromoting();
    const here = stage();
    const worker = await here.worker({ autorun: false });
    const [job] = await enqueueLog(here, entries(here.key(), 1));
    await worker.getNextJob('lock');
    await here.redis.hset(here.redisKey(job?.id as string), 'toril', 'a');
    await worker.backend.snooze(job?.id as string, [], 60_000, 'lock');
    expect(await job?.getState()).toBe('waiting');
  });

  it.each([
    ['an ordinary one', {}, false],
    ['one with a priority', { priority: 3 }, false],
    ['one of a paused queue', {}, true],
  ])(
    'is left as by the promotion of BullMQ: %s',
    { tags: 'imitation' },
    async (_, options, paused) => {
      const promotions = [
        (here: Stage, job: Job) => here.queue.backend.promote(job.id as string),
        (here: Stage, _job: Job, taken: Taken) =>
          here.queue.inRedis.lanes.acknowledge({
            key: here.key(),
            dataSet: taken.dataSet.id,
            base: 0,
            token: taken.token,
            watermark: taken.entries[0]?.sequence as number,
            decided: 1,
            value: { json: '1' },
            expireMs: 0,
            decisions: new Map(),
            paceMs: 1,
          }),
      ];
      const pictures = promotions.map(async (promote) => {
        const here = stage();
        if (paused) await here.queue.pause();
        const opts = { ...options, delay: 60_000 };
        const job = await here.queue.add('log', { key: here.key(), n: 0 }, opts);
        const arrivals = [job.id as string];
        const taking = { key: here.key(), cell: undefined, arrivals, jobsMax: 9, dataMax: 999 };
        const taken = await here.queue.inRedis.lanes.take(taking);
        await here.redis.del(here.redisKey('marker'));
        await promote(here, job, taken);
        return Promise.all([
          here.redis.lrange(here.redisKey('wait'), '0', '-1'),
          here.redis.zrange(here.redisKey('prioritized'), '0', '-1', 'WITHSCORES'),
          here.redis.zrange(here.redisKey('delayed'), '0', '-1'),
          here.redis.zrange(here.redisKey('marker'), '0', '-1', 'WITHSCORES'),
          here.redis.hget(here.redisKey(arrivals[0] as string), 'delay'),
          here.redis
            .xrevrange(here.redisKey('events'), '+', '-', 'COUNT', '1')
            .then(([e]) => e?.[1]),
        ]);
      });
      const [theirs, ours] = await Promise.all(pictures);
      expect(ours).toEqual(theirs);
      expect(theirs?.[2]).toEqual([]);
    },
  );
});
