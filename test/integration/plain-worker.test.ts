/** A plain BullMQ worker on a queue of Toril's: whatever it completes is in no value, and nobody may be told otherwise. */
import { type Job, Worker as BullWorker, type WorkerOptions } from 'bullmq';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { TorilError, Worker } from '../../src/index.ts';
import { eventually } from '../support/memcached.ts';
import { type Line, log, logOr } from '../support/updates.ts';
import { enqueueLog, entries, expectExact, stage, type Stage } from '../support/workers.ts';

interface Told {
  readonly notApplied: Set<string>;
  readonly missing: Set<string>;
  readonly errors: TorilError[];
}

function listen(worker: Worker): Told {
  const told: Told = { notApplied: new Set(), missing: new Set(), errors: [] };
  worker.on('jobsNotApplied', ({ jobIds }) => jobIds.forEach((id) => told.notApplied.add(id)));
  worker.on('jobsMissing', ({ jobIds }) => jobIds.forEach((id) => told.missing.add(id)));
  worker.on('error', (error) => told.errors.push(error as TorilError));
  return told;
}

/** It works on all that there is, and goes. */
async function plainWorker(
  here: Stage,
  process: () => Promise<void> = async () => undefined,
  options: Partial<WorkerOptions> = {},
): Promise<void> {
  const connection = { url: here.redisUrl };
  const worker = new BullWorker(here.name, process, { connection, ...options });
  await eventually('it has done all', async () => (await here.queue.count()) === 0);
  await worker.close();
}

const idsOf = (jobs: readonly Job[]): Set<string> => new Set(jobs.map(({ id }) => id as string));

describe('jobs that a plain worker completed', () => {
  it('are named, though their lane holds nothing else and no other job ever comes', async () => {
    const here = stage();
    const jobs = await enqueueLog(here, entries(here.key(), 5));
    await plainWorker(here);
    const told = listen(here.startWorker());
    await eventually('all are named', () => told.notApplied.size === 5);
    expect(told.notApplied).toEqual(idsOf(jobs));
    expect(told.errors[0]?.code).toBe('JOB_NOT_APPLIED');
    expect(told.errors[0]?.message).toContain(jobs[4]?.id);
    expect(await here.cells.get(here.key())).toBeUndefined();
    const lane = here.ownKey(`lane:${here.key()}`);
    await eventually('the lane is empty', async () => !(await here.redis.exists(lane)));
  });

  it('are named when others of their lane are applied, and the others stay exact', async () => {
    const here = stage();
    const jobs = await enqueueLog(here, entries(here.key(), 4));
    await plainWorker(here);
    const later = await enqueueLog(here, entries(here.key(), 4));
    const told = listen(here.startWorker());
    await expectExact(here, here.key(), await here.finished(later));
    await eventually('all are named', () => told.notApplied.size === 4);
    expect(told.notApplied).toEqual(idsOf(jobs));
  });

  it('and removed at once are named as missing', async () => {
    const here = stage();
    const jobs = await enqueueLog(here, entries(here.key(), 3), { removeOnComplete: true });
    await plainWorker(here);
    const told = listen(here.startWorker());
    await eventually('all are named', () => told.missing.size === 3);
    expect(told.missing).toEqual(idsOf(jobs));
  });

  it('beside a worker of Toril are named, and no others', async () => {
    const here = stage();
    const told = listen(await here.worker({ concurrency: 2 }));
    const jobs = await enqueueLog(here, entries(here.key(), 100, { takesMs: 2 }));
    const plain = new BullWorker(here.name, async () => undefined, {
      connection: { url: here.redisUrl },
    });
    onTestFinished(() => plain.close());
    await here.finished(jobs);
    await plain.close();
    await here.finished(await enqueueLog(here, [{ key: here.key(), n: -1 }]));
    // One that Toril applied while the plain worker had it is in the value, whatever its result is now.
    const lines = (await here.cells.get<Line[]>(here.key())) ?? [];
    const applied = new Set(lines.map(([n]) => n));
    const notApplied = idsOf(jobs.filter(({ data }) => !applied.has(data.n)));
    expect(lines).toHaveLength(applied.size);
    expect(notApplied.size).toBeGreaterThan(0);
    await eventually('all are named', () => told.notApplied.size >= notApplied.size);
    expect(told.notApplied).toEqual(notApplied);
  });

  it('can be applied after all, by retrying them', async () => {
    const here = stage();
    const [job] = await enqueueLog(here, entries(here.key(), 1));
    await plainWorker(here);
    const told = listen(here.startWorker());
    await eventually('it is named', () => told.notApplied.size === 1);
    await job?.retry('completed');
    await eventually('it is applied', async () => (await job?.getState()) === 'completed');
    await expectExact(here, here.key(), await here.finished([job as Job]));
    expect(await here.cells.get(here.key())).toHaveLength(1);
  });

  it('that were in no lane yet are found among the newest completed ones', async () => {
    const here = stage();
    const worker = here.startWorker();
    const told = listen(worker);
    await worker.waitUntilReady();
    await worker.pause();
    const job = await here.queue.enqueue(log, { key: here.key(), n: 0 }, { delay: 1 });
    await plainWorker(here);
    const { since } = await here.queue.inRedis.upkeep.unapplied('0');
    expect(Number(since)).toBeGreaterThan(0);
    expect((await here.queue.inRedis.upkeep.unapplied('0')).jobIds).toEqual([job.id]);
    expect(told.notApplied.size).toBe(0);
  });
});

describe('jobs that a plain worker failed', () => {
  it('are failed ones: their lanes go on, and an operator may retry them', async () => {
    const here = stage();
    const jobs = await enqueueLog(here, entries(here.key(), 2));
    await plainWorker(here, () => Promise.reject(new Error('what is this?')));
    const told = listen(await here.worker());
    const later = await enqueueLog(here, [{ key: here.key(), n: 2 }]);
    await here.finished(later);
    await jobs[0]?.retry('failed');
    await eventually('it is applied', async () => (await jobs[0]?.getState()) === 'completed');
    const finished = await here.finished([jobs[0] as Job, ...later]);
    expect(await expectExact(here, here.key(), finished)).toEqual([2, 0]);
    expect(told.notApplied.size).toBe(0);
  });

  it('hold their lane, if their update says so', async () => {
    const here = stage();
    const key = here.key();
    const job = await here.queue.enqueue(logOr.hold, { key, n: 0 });
    await plainWorker(here, () => Promise.reject(new Error('what is this?')));
    await here.worker();
    const later = await here.queue.enqueue(logOr.hold, { key, n: 1 });
    await eventually('it is held', async () => {
      return (await here.queue.lane(key).report()).heldBy === job.id;
    });
    await here.queue.lane(key).retry();
    const finished = await here.finished([job, later]);
    expect(await expectExact(here, key, finished)).toEqual([0, 1]);
  });
});
