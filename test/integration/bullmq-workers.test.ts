/** BullMQ's options, calls and events of workers, where the jobs are updates. */
import { type Job, QueueEvents } from 'bullmq';
import { describe, expect, it, onTestFinished } from 'vitest';
import { defineUpdate, noProcessor, Worker } from '../../src/index.ts';
import { isKnownBullMQ } from '../../src/jobs/bullmq/state/known-bullmq.ts';
import { eventually } from '../support/memcached.ts';
import { log } from '../support/updates.ts';
import { enqueueLog, entries, expectExact, stage, type Stage } from '../support/workers.ts';

/** The names of the events that BullMQ's stream has of a job, in order. */
async function eventsOf(here: Stage, jobId: string): Promise<string[]> {
  const events = await here.redis.xrange(here.redisKey('events'), '-', '+');
  return events
    .map(([, fields]) => Object.fromEntries(pairs(fields)))
    .filter((event) => event['jobId'] === jobId)
    .map((event) => event['event'] as string);
}

function pairs(fields: readonly string[]): [string, string][] {
  return fields.flatMap((name, at) =>
    at % 2 === 0 ? [[name, fields[at + 1] as string] as [string, string]] : [],
  );
}

describe('the options of a worker', () => {
  it('refuse to count deliveries as attempts', () => {
    const here = stage();
    const options = { ...here.workerOptions(), maxStartedAttempts: 3 };
    expect(() => new Worker(here.name, options)).toThrow('maxStartedAttempts counts deliveries');
  });

  it('take a processor that does nothing, and no other', async () => {
    const here = stage();
    const job = await enqueueLog(here, entries(here.key(), 1));
    const bound = noProcessor.bind({});
    const worker = new Worker(here.name, bound, here.workerOptions());
    onTestFinished(() => worker.close());
    await expectExact(here, here.key(), await here.finished(job));
    const processor = async ({ data }: Job): Promise<unknown> => data;
    const asFrameworksDo = (): Worker => new Worker(here.name, processor, here.workerOptions());
    expect(asFrameworksDo).toThrow('never calls a processor ("processor")');
  });

  it('collect metrics of updates as of any jobs', async () => {
    const here = stage();
    await here.worker({ metrics: { maxDataPoints: 10 } });
    await here.finished(await enqueueLog(here, entries(here.key(), 5)));
    await here.finished(await enqueueLog(here, [{ key: here.key(), n: 5, failures: 9 }]));
    expect((await here.queue.getMetrics('completed')).meta.count).toBe(5);
    expect((await here.queue.getMetrics('failed')).meta.count).toBe(1);
  });

  it.each([
    ['no renewal of locks', { skipLockRenewal: true, lockDuration: 300, stalledInterval: 100 }],
    ['no look for stalled jobs', { skipStalledCheck: true }],
    ['a name', { name: 'one' }],
    ['short waits', { drainDelay: 1, runRetryDelay: 10 }],
  ])('may be unusual, and jobs are exact all the same: %s', async (_, options) => {
    const here = stage();
    await here.worker({ concurrency: 4, ...options });
    const jobs = await enqueueLog(here, entries(here.key(), 12, { takesMs: 60 }));
    const finished = await here.finished(jobs);
    expect(await expectExact(here, here.key(), finished)).toEqual(jobs.map((_job, n) => n));
    expect(new Set(finished.map((job) => job.attemptsMade))).toEqual(new Set([1]));
  });

  it('tell it when the fast path is off, and why', { tags: 'imitation' }, async () => {
    const here = stage();
    const limiter = { max: 100, duration: 1_000 };
    const worker = here.startWorker({ limiter, metrics: { maxDataPoints: 1 } });
    const told = new Promise((resolve) => worker.once('fastPathOff', resolve));
    await here.finished(await enqueueLog(here, entries(here.key(), 2)));
    expect(await told).toMatchObject({
      ...{ reasons: ['limiter', 'metrics'], bullmq: expect.stringMatching(/^\d+\.\d+\.\d+$/) },
      costs: expect.stringContaining('one by one'),
    });
    const off = here.startWorker({ fastPath: 'off' });
    const toldOff = new Promise((resolve) => off.once('fastPathOff', resolve));
    await here.finished(await enqueueLog(here, entries(here.key(), 2)));
    expect(await toldOff).toMatchObject({ reasons: ['option'] });
    await off.close();
    await worker.close();
    const plain = await here.worker();
    await here.finished(await enqueueLog(here, entries(here.key(), 2)));
    expect(plain.counts.fastPathOff).toBeUndefined();
  });
});

describe('a worker', () => {
  it('that does not run by itself begins when it is told to', async () => {
    const here = stage();
    const worker = await here.worker({ autorun: false });
    const jobs = await enqueueLog(here, entries(here.key(), 2));
    expect(worker.isRunning()).toBe(false);
    expect(await here.queue.getWaitingCount()).toBe(2);
    void worker.run();
    await here.finished(jobs);
    expect(worker.isRunning()).toBe(true);
  });

  it('works on more jobs at once when it is told to', async () => {
    const here = stage();
    const worker = await here.worker({ concurrency: 1 });
    worker.concurrency = 8;
    const data = Array.from({ length: 8 }, (_, n) => ({ key: here.key(n), n, takesMs: 300 }));
    const jobs = await enqueueLog(here, data);
    await eventually('all are active', async () => (await here.queue.getActiveCount()) === 8);
    await here.finished(jobs);
  });

  it('applies nothing while it is paused, and shows so', async () => {
    const here = stage();
    const worker = await here.worker();
    await worker.pause();
    expect(worker.isPaused()).toBe(true);
    const jobs = await enqueueLog(here, entries(here.key(), 3));
    expect(await here.cells.get(here.key())).toBeUndefined();
    await worker.resume();
    await expectExact(here, here.key(), await here.finished(jobs));
  });

  it('is among the queue’s workers', async () => {
    const here = stage();
    await here.worker();
    await eventually('it is named', async () => (await here.queue.getWorkersCount()) === 1);
  });
});

describe('limits', () => {
  /** One that notes when it is called, and how many are at once. */
  function watched(takesMs: number): {
    here: Stage;
    calledMs: number[];
    most: () => number;
    add: (keys: number[]) => Promise<Job[]>;
  } {
    const calledMs: number[] = [];
    let running = 0;
    let most = 0;
    const update = defineUpdate({
      name: 'watched',
      key: ({ key }: { key: string }) => key,
      initial: () => 0,
      apply: async (value: number) => {
        calledMs.push(performance.now());
        running += 1;
        most = Math.max(most, running);
        await new Promise((resolve) => setTimeout(resolve, takesMs));
        running -= 1;
        return value + 1;
      },
    });
    const here = stage({ updates: [update] });
    const add = async (keys: number[]): Promise<Job[]> => {
      const bulk = keys.map((key) => ({ update, data: { key: here.key(key) } }));
      return (await here.queue.enqueueBulk(bulk)) as unknown as Job[];
    };
    return { here, calledMs, most: () => most, add };
  }

  it('of the whole queue hold for updates: so many at once', async () => {
    const { here, most, add } = watched(40);
    await here.queue.setGlobalConcurrency(2);
    for (let n = 0; n < 2; n++) await here.worker({ concurrency: 10 });
    await here.finished(await add([0, 1, 2, 3, 4, 5, 6, 7, 0, 0]));
    expect(most()).toBeGreaterThan(0);
    expect(most()).toBeLessThanOrEqual(2);
  });

  it.each(['setGlobalRateLimit', 'limiter'] as const)(
    'of the rate hold for updates, also of one key: %s',
    async (which) => {
      const { here, calledMs, add } = watched(1);
      const limit = { max: 4, duration: 400 };
      if (which === 'setGlobalRateLimit') {
        await here.queue.setGlobalRateLimit(limit.max, limit.duration);
      }
      await here.worker({ concurrency: 10, ...(which === 'limiter' && { limiter: limit }) });
      await here.finished(await add(Array(12).fill(0)));
      const tookMs = (calledMs.at(-1) as number) - (calledMs[0] as number);
      // Twelve in three windows; a worker that waits for its turn must not use them up (with an unknown BullMQ, it does).
      expect(tookMs).toBeGreaterThanOrEqual(700);
      if (isKnownBullMQ()) expect(tookMs).toBeLessThan(2_400);
    },
  );
});

describe('events', () => {
  it('of an ordinary job are BullMQ’s own', async () => {
    const here = stage();
    await here.worker();
    const [job] = await enqueueLog(here, entries(here.key(), 1));
    await here.finished([job as Job]);
    expect(await eventsOf(here, job?.id as string)).toEqual([
      'added',
      'waiting',
      'active',
      'completed',
    ]);
  });

  it('say of a job that was snoozed that it was delayed, and waits again', async () => {
    const here = stage();
    await here.worker({ concurrency: 2, patienceMs: 5 });
    const jobs = await enqueueLog(here, entries(here.key(), 6, { takesMs: 60 }));
    await here.finished(jobs);
    const last = await eventsOf(here, jobs.at(-1)?.id as string);
    expect(last.slice(0, 2)).toEqual(['added', 'waiting']);
    expect(last.at(-1)).toBe('completed');
    expect(last.filter((name) => name === 'completed')).toHaveLength(1);
    const delayed = last.filter((name) => name === 'delayed').length;
    expect(delayed).toBeGreaterThan(0);
    // Whoever comes back waits once more.
    expect(last.filter((name) => name === 'waiting')).toHaveLength(delayed + 1);
  });

  it('come to whoever listens to the queue', async () => {
    const here = stage();
    const events = new QueueEvents(here.name, { connection: { url: here.redisUrl } });
    onTestFinished(() => events.close());
    await events.waitUntilReady();
    const seen: string[] = [];
    events.on('completed', ({ jobId, returnvalue }) => seen.push(`${jobId} gave ${returnvalue}`));
    events.on('failed', ({ jobId, failedReason }) => seen.push(`${jobId}: ${failedReason}`));
    await here.worker();
    const good = await here.queue.enqueue(log, { key: here.key(), n: 0 });
    const bad = await here.queue.enqueue(log, { key: here.key(), n: 1, failures: 9 });
    await here.finished([good, bad]);
    await eventually('both were told', () => seen.length === 2);
    expect(seen).toEqual([`${good.id} gave 0`, `${bad.id}: attempt 1 of job 1`]);
  });
});
