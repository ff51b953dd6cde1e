/** BullMQ's limits limit updates: its own calls and options, noticed while workers run, and not used up by snoozing. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Job, Queue as BullQueue, Worker as BullWorker } from 'bullmq';
import { describe, expect, it, onTestFinished } from 'vitest';
import { defineUpdate, type Worker } from '../../src/index.ts';
import { torilBackend, type TorilBackend } from '../../src/jobs/bullmq/bull-backend.ts';
import { isKnownBullMQ } from '../../src/jobs/bullmq/state/known-bullmq.ts';
import { eventually } from '../support/memcached.ts';
import { redisClient } from '../support/redis.ts';
import { redisUrl } from '../support/servers.ts';
import { type Entry } from '../support/updates.ts';
import { enqueueLog, entries, expectExact, type Stage, stage } from '../support/workers.ts';

const MAX = 10;
const WINDOW_MS = 400;
/** Redis tells the time in whole milliseconds. */
const TICK_MS = 2;
const limiter = { max: MAX, duration: WINDOW_MS };

const countApplied = (workers: readonly Worker[]): (() => number) => {
  let applied = 0;
  for (const worker of workers) worker.on('committed', ({ jobs }) => void (applied += jobs));
  return () => applied;
};

/**
 * By Redis' clock, in which the windows are counted: what is delivered within n whole windows was counted in n + 1
 * at most. How busy this machine is makes no difference.
 */
function expectLimited(jobs: readonly Job[]): void {
  const atMs = jobs.map(({ processedOn }) => processedOn as number).toSorted((a, b) => a - b);
  for (const windows of [1, 2]) {
    const apart = atMs.slice((windows + 1) * MAX).map((ms, n) => ms - (atMs[n] as number));
    expect(Math.min(...apart)).toBeGreaterThanOrEqual(windows * WINDOW_MS - TICK_MS);
  }
}

describe('40 jobs, 10 per window', () => {
  const some = (keys: number, takesMs: number) => (here: Stage) =>
    Array.from({ length: 40 }, (_, n): Entry => ({ key: here.key(n % keys), n, takesMs }));
  const hot = (here: Stage): Entry[] =>
    Array.from({ length: 40 }, (_, n) => ({ key: here.key(n % 8 === 0 ? n : 'hot'), n }));
  const ways = ['setGlobalRateLimit', 'limiter', 'both'] as const;
  const loads = {
    'of one key': some(1, 0),
    'of five keys': some(5, 0),
    'of slow keys': some(2, 15),
    'of a hot key and others': hot,
  };
  it.each(
    ways.flatMap((way) => Object.entries(loads).map(([name, load]) => [way, name, load] as const)),
  )('by %s take as long as they should, %s', async (way, _, load) => {
    const here = stage();
    if (way !== 'limiter') await here.queue.setGlobalRateLimit(MAX, WINDOW_MS);
    const options = { concurrency: 4, ...(way !== 'setGlobalRateLimit' && { limiter }) };
    for (let n = 0; n < 2; n++) await here.worker(options);
    const startMs = performance.now();
    const finished = await here.finished(await enqueueLog(here, load(here)));
    // Deliveries that ended in snoozing once used up the limit, which took 4 to 8 times as long. With an unknown BullMQ they do.
    if (isKnownBullMQ()) {
      expect(performance.now() - startMs).toBeLessThan(3 * WINDOW_MS * 2.5 + 1_500);
    }
    expectLimited(finished);
    for (const key of new Set(finished.map(({ data }) => (data as Entry).key))) {
      await expectExact(
        here,
        key,
        finished.filter((job) => (job.data as Entry).key === key),
      );
    }
  });
});

describe('a limit that is set while jobs are applied', () => {
  const load = (here: Stage): Entry[] => entries(here.key(), 400, { takesMs: 2 });

  it('is kept from then on, until it is lifted', async () => {
    const here = stage();
    const workers = [await here.worker({ concurrency: 4 })];
    const applied = countApplied(workers);
    const jobs = await enqueueLog(here, load(here));
    await eventually('some are applied', () => applied() > 10);
    await here.queue.setGlobalRateLimit(1, 2_000);
    let before = -1;
    await eventually('no batch is under way any more', async () => {
      const now = applied();
      const isSame = now === before;
      before = now;
      await sleep(300);
      return isSame;
    });
    expect(applied()).toBeLessThan(350);
    await here.queue.removeGlobalRateLimit();
    await here.redis.del(here.redisKey('limiter'));
    await here.queue.enqueueBulk([]); // nothing: workers look by themselves
    await here.finished(jobs);
  });
});

describe('setGlobalConcurrency(1)', () => {
  it('does not have the others of its lane applied by the one that is delivered', async () => {
    const here = stage();
    await here.queue.setGlobalConcurrency(1);
    const jobs = await enqueueLog(here, entries(here.key(), 20));
    const applied = countApplied([await here.worker({ concurrency: 4 })]);
    await eventually('one is applied', () => applied() > 0);
    const seen = applied();
    const delivered = await here.queue.getJobs(['completed', 'active']);
    expect(seen).toBeLessThanOrEqual(delivered.length); // all 20 were in the lane when it was taken
    await here.finished(jobs);
  });

  it('has one update at a time, of all keys in turn', async () => {
    let running = 0;
    let most = 0;
    const counted = defineUpdate({
      name: 'counted',
      key: ({ key }: Entry) => key,
      initial: () => 0,
      async apply(value: number) {
        most = Math.max(most, ++running);
        await sleep(5);
        running -= 1;
        return value + 1;
      },
    });
    const here = stage({ updates: [counted] });
    await here.queue.setGlobalConcurrency(1);
    for (let n = 0; n < 2; n++) await here.worker({ concurrency: 4 });
    const jobs = await here.queue.enqueueBulk(
      Array.from({ length: 24 }, (_, n) => ({
        update: counted,
        data: { key: here.key(n % 2), n },
      })),
    );
    await here.finished(jobs, 20_000);
    expect(most).toBe(1);
    expect(await here.cells.get(here.key(0))).toBe(12);
    expect(await here.cells.get(here.key(1))).toBe(12);
  });
});

describe('the count of a rate limit', { tags: 'imitation' }, () => {
  async function openWorker() {
    const name = `limits-${randomUUID()}`;
    const connection = { url: redisUrl(), maxRetriesPerRequest: null };
    const queue = new BullQueue(name, { connection });
    const worker = new BullWorker<unknown, unknown, string, TorilBackend>(
      name,
      () => Promise.resolve(),
      {
        ...{ connection, autorun: false, skipStalledCheck: true },
        limiter: { max: 9, duration: 60_000 },
      },
      torilBackend(),
    );
    onTestFinished(async () => {
      await worker.close();
      await queue.close();
    });
    await worker.waitUntilReady();
    const redis = redisClient();
    const fetch = async (token: string): Promise<string> => {
      await queue.add('n', {});
      return (await worker.getNextJob(token, { block: false }))?.id as string;
    };
    const count = async (): Promise<number> => Number(await redis.get(queue.toKey('limiter')));
    return { queue, worker, backend: worker.backend, redis, fetch, count };
  }

  it('is given back by what is snoozed and by what goes back, not by what was begun', async () => {
    const { worker, backend, fetch, count } = await openWorker();
    const [a, b, c] = [await fetch('a'), await fetch('b'), await fetch('c')];
    expect(await count()).toBe(3);
    await backend.snooze(a, [], 60_000, 'a');
    expect(await count()).toBe(2);
    await backend.giveBack(b, 'b');
    expect(await count()).toBe(1);
    await (await worker.getNextJob('b', { block: false }))?.moveToCompleted(1, 'b', false);
    expect(await count()).toBe(2);
    await backend.moveJobFromActiveToWait(c, 'c'); // as a processor does that limits by hand
    expect(await count()).toBe(2);
  });

  it('is not given back twice, nor by somebody who has lost the job', async () => {
    const { backend, fetch, count } = await openWorker();
    const [a] = [await fetch('a'), await fetch('b')];
    await backend.snooze(a, [], 60_000, 'another').catch(() => undefined);
    expect(await count()).toBe(2);
    await backend.snooze(a, [], 60_000, 'a');
    await backend.snooze(a, [], 60_000, 'a').catch(() => undefined);
    expect(await count()).toBe(1);
  });

  it('is that of the window in which the delivery was counted', async () => {
    const { queue, backend, redis, fetch, count } = await openWorker();
    const old = await fetch('old');
    await redis.del(queue.toKey('limiter')); // its window is over
    await sleep(10);
    await fetch('new');
    await backend.snooze(old, [], 60_000, 'old');
    expect(await count()).toBe(1);
  });

  it('stays, if somebody has limited the rate by hand', async () => {
    const { queue, backend, fetch, count } = await openWorker();
    const a = await fetch('a');
    await queue.rateLimit(60_000);
    await backend.snooze(a, [], 60_000, 'a');
    expect(await count()).toBe(Number.MAX_SAFE_INTEGER);
  });
});
