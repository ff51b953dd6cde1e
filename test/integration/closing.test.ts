/** Closing: what is being applied is finished, everything else is given back, and nothing stays open. */
import type { Job } from 'bullmq';
import { describe, expect, it } from 'vitest';
import { defineUpdate } from '../../src/index.ts';
import { lockName } from '../../src/memcached/item-names.ts';
import { gate } from '../support/gate.ts';
import { hasItem } from '../support/items.ts';
import { eventually } from '../support/memcached.ts';
import { startProcess } from '../support/processes.ts';
import { startMemcached } from '../support/servers.ts';
import type { Line } from '../support/updates.ts';
import {
  enqueueLog,
  entries,
  expectExact,
  quickly,
  type Stage,
  stage,
} from '../support/workers.ts';

const KEYS = 4;
const JOBS_PER_KEY = 100;

async function load(here: Stage): Promise<Job[]> {
  const keys = Array.from({ length: KEYS }, (_, n) => here.key(n));
  const all = keys.flatMap((key) => entries(key, JOBS_PER_KEY, { takesMs: 3 }));
  return enqueueLog(
    here,
    all.toSorted((a, b) => a.n - b.n),
    { attempts: 1 },
  );
}

async function expectAllExact(here: Stage, jobs: readonly Job[]): Promise<void> {
  const finished = await here.finished(jobs);
  expect(new Set(finished.map((job) => job.attemptsMade))).toEqual(new Set([1]));
  for (let n = 0; n < KEYS; n++) {
    const own = finished.filter(({ data }) => data.key === here.key(n));
    expect(await expectExact(here, here.key(n), own)).toEqual(own.map((_, i) => i));
  }
}

const underWay = (here: Stage): Promise<void> =>
  eventually('some are done', async () => (await here.queue.getCompletedCount()) > 30);

async function locksHeld(here: Stage): Promise<number> {
  const held = await Promise.all(
    Array.from({ length: KEYS }, (_, n) => hasItem(lockName(here.key(n)))),
  );
  return held.filter(Boolean).length;
}

describe('closing a worker under load', () => {
  it('gives its jobs back without an attempt, releases its leases, and lets another go on at once', async () => {
    const here = stage();
    const jobs = await load(here);
    // Longer than the test: whatever is left behind would be waited for.
    const patient = {
      concurrency: 16,
      leaseMs: 60_000,
      lockDuration: 60_000,
      stalledInterval: 60_000,
    };
    const first = await here.worker(patient);
    await underWay(here);
    const startedMs = performance.now();
    await first.close();
    expect(performance.now() - startedMs).toBeLessThan(1_500);
    expect(await locksHeld(here)).toBe(0);
    expect(await here.queue.getActiveCount()).toBe(0);
    expect(await here.queue.getFailedCount()).toBe(0);
    const second = await here.worker(patient);
    await expectAllExact(here, jobs);
    expect(second.counts.leaseTakenOver).toBeUndefined();
  });

  it('again and again is exact', async () => {
    const here = stage();
    const jobs = await load(here);
    for (let i = 0; i < 6; i++) {
      const worker = here.startWorker({ concurrency: 16, leaseMs: 60_000 });
      await eventually('it has begun, or nothing is left', async () => {
        const left = await here.queue.getJobCountByTypes('waiting', 'active');
        return (worker.counts.committed ?? 0) > 0 || left === 0;
      });
      await worker.close();
    }
    await here.worker();
    await expectAllExact(here, jobs);
  });

  it('while it has not begun yet is no fault', async () => {
    const here = stage();
    const worker = here.startWorker();
    const errors: Error[] = [];
    worker.on('error', (error) => void errors.push(error));
    await worker.close();
    await worker.close();
    expect(errors).toEqual([]);
  });

  it('by force does not wait, and loses nothing either', async () => {
    const here = stage();
    const jobs = await load(here);
    const worker = await here.worker({ concurrency: 16 });
    await underWay(here);
    await worker.close(true);
    await here.worker();
    await expectAllExact(here, jobs);
  });
});

describe('closing while an update is being applied', () => {
  it('finishes that one, commits it with what came before it, and begins no other', async () => {
    const begun: number[] = [];
    const { opened, open } = gate();
    const { opened: reached, open: reach } = gate();
    const count = defineUpdate({
      name: 'count',
      key: (data: { key: string; n: number }) => data.key,
      initial: (): number[] => [],
      apply: async (numbers: number[], { n }: { n: number }) => {
        begun.push(n);
        if (n === 2) {
          reach();
          await opened;
        }
        return [...numbers, n];
      },
    });
    const here = stage({ updates: [count] });
    const key = here.key();
    const jobs = await here.queue.enqueueBulk(
      Array.from({ length: 12 }, (_, n) => ({ update: count, data: { key, n } })),
    );
    // Longer than the test: no limit but the closing may end the batch.
    const worker = await here.worker({ concurrency: 50, batchMs: 60_000, closeMs: 20_000 });
    await reached;
    const closed = worker.close();
    open();
    const startedMs = performance.now();
    await closed;
    expect(performance.now() - startedMs).toBeLessThan(1_000);
    expect(begun).toEqual([0, 1, 2]);
    expect(await here.cells.get(key)).toEqual([0, 1, 2]);
    expect(await here.queue.getJobCounts('active', 'completed')).toEqual({
      active: 0,
      completed: 3,
    });
    await here.worker();
    await here.finished(jobs);
    expect(await here.cells.get(key)).toEqual(jobs.map((_, n) => n));
    expect(begun).toHaveLength(12);
  });

  it('does not put later deaths down to a job that was begun alone, and given back', async () => {
    const { opened, open } = gate();
    let starts = 0;
    const slow = defineUpdate({
      name: 'slow',
      key: (key: string) => key,
      initial: () => 0,
      apply: async (n: number) => {
        starts++;
        if (starts <= 4) await opened;
        return n + 1;
      },
    });
    const here = stage({ updates: [slow] });
    const job = await here.queue.add('slow', here.key(), { attempts: 1 });
    await here.redis.hset(here.redisKey(job.id as string), 'stc', 1);
    for (let deploys = 1; deploys <= 4; deploys++) {
      const worker = here.startWorker({ closeMs: 50, stallsMax: 2 });
      await eventually('it has begun', () => starts === deploys);
      await worker.close();
      // Whoever has it next may die of something else.
      await here.redis.hincrby(here.redisKey(job.id as string), 'stc', 1);
    }
    open();
    await here.worker({ stallsMax: 2 });
    const [finished] = await here.finished([job]);
    expect(finished?.failedReason).toBeUndefined();
    expect(await here.cells.get(here.key())).toBe(1);
  });
});

describe('closing while memcached', () => {
  it.each(['is frozen', 'is down'] as const)(
    '%s ends in time, and gives the jobs back',
    async (how) => {
      const memcached = await startMemcached();
      const here = stage({ memcached: quickly(memcached.address) });
      const jobs = await load(here);
      const worker = await here.worker({ concurrency: 16, closeMs: 1_000 });
      await underWay(here);
      if (how === 'is frozen') memcached.freeze();
      else await memcached.kill();
      const startedMs = performance.now();
      await worker.close();
      expect(performance.now() - startedMs).toBeLessThan(2_500);
      expect(await here.queue.getActiveCount()).toBe(0);
      if (how === 'is frozen') memcached.thaw();
      else await memcached.start();
      await here.worker();
      await expectAllExact(here, jobs);
      await here.close();
      await memcached.stop();
    },
  );
});

describe('closing while an update does not settle', () => {
  const never = gate();
  const late = gate();
  const hang = defineUpdate({
    name: 'hang',
    key: (data: { key: string; once: string }) => data.key,
    initial: (): Line[] => [],
    apply: async (lines: Line[], data: { key: string; once: string }, { sequence, token }) => {
      if (hung.has(data.once)) return [...lines, [0, sequence, token]] as Line[];
      hung.add(data.once);
      await never.opened;
      setImmediate(late.open); // once what is made of it has been sent, if anything is
      return [...lines, [9, sequence, token]] as Line[];
    },
    result: (lines) => (lines?.length ?? 0) - 1,
  });
  const hung = new Set<string>();

  it('ends when closeMs is over; the job goes back, and what comes of it later does not count', async () => {
    const here = stage({ updates: [hang] });
    const key = here.key();
    const job = await here.queue.enqueue(hang, { key, once: here.name });
    const worker = await here.worker({ closeMs: 300 });
    await eventually('it hangs', () => hung.has(here.name));
    const startedMs = performance.now();
    await worker.close();
    const tookMs = performance.now() - startedMs;
    expect(tookMs).toBeGreaterThan(250);
    expect(tookMs).toBeLessThan(1_500);
    expect(await job.getState()).toBe('waiting');
    expect(await hasItem(lockName(key))).toBe(false);
    await here.worker();
    const [finished] = await here.finished([job]);
    expect(finished).toMatchObject({ attemptsMade: 1, returnvalue: 0 });
    never.open();
    await late.opened;
    expect((await here.cells.get<Line[]>(key))?.map(([n]) => n)).toEqual([0]);
  });
});

describe('a worker process that closes', () => {
  it('ends by itself: nothing keeps it alive', async () => {
    const here = stage();
    const child = await startProcess(here, { concurrency: 4 });
    await here.finished(await enqueueLog(here, entries(here.key(), 10)));
    const startedMs = performance.now();
    await child.close();
    expect(performance.now() - startedMs).toBeLessThan(1_500);
  });

  it('ends by itself also if an update never settles', async () => {
    const here = stage();
    const child = await startProcess(here, { concurrency: 4, closeMs: 200 });
    await enqueueLog(here, [{ key: here.key(), n: 0, hangs: true }]);
    await eventually('it has the lease', () => hasItem(lockName(here.key())));
    const startedMs = performance.now();
    await child.close();
    expect(performance.now() - startedMs).toBeLessThan(1_500);
  });
});
