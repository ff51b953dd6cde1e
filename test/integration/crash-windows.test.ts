/**
 * Killed in the gap between two steps of a job's way: the next worker finds out what has happened,
 * and every job is in the value exactly once, with its own result and without an attempt charged.
 */
import { describe, expect, it, onTestFinished } from 'vitest';
import type { WorkerEventName } from '../../src/index.ts';
import { RedisLanes } from '../../src/jobs/redis/redis-lanes.ts';
import { eventually } from '../support/memcached.ts';
import { startProcess } from '../support/processes.ts';
import { type Line, move } from '../support/updates.ts';
import type { Step } from '../support/worker-process.ts';
import { enqueueLog, entries, expectExact, stage } from '../support/workers.ts';

const JOBS = 40;

const GAPS: readonly Step[] = [
  'acquired',
  'taken',
  'folded',
  'committed',
  'acknowledged',
  'completing',
  'completed',
];

/** What the survivor meets. */
const SIGNS: { readonly [At in Step]?: readonly WorkerEventName[] } = {
  acquired: ['leaseTakenOver'],
  taken: ['leaseTakenOver'],
  folded: ['leaseTakenOver'],
  committed: ['commitRecovered'],
};

describe('a worker that dies', () => {
  it.each(GAPS)('(%s) loses, doubles and charges nothing', async (at) => {
    const here = stage();
    const key = here.key();
    // Several commits: some jobs were applied before the fault, some are in it, some wait.
    const jobs = await enqueueLog(here, entries(key, JOBS), { attempts: 1 });
    const dying = await startProcess(here, {
      concurrency: 8,
      batchJobsMax: 10,
      batchesPerLease: 1,
      fault: { at, nth: 2, signal: 'SIGKILL' },
    });
    expect(await dying.exited()).toBe('SIGKILL');
    const survivor = await here.worker({ concurrency: 8 });
    const finished = await here.finished(jobs);
    expect(finished.map((job) => job.failedReason)).toEqual(finished.map(() => undefined));
    expect(finished.map((job) => job.attemptsMade)).toEqual(finished.map(() => 1));
    const order = await expectExact(here, key, finished);
    expect(order).toEqual(entries(key, JOBS).map(({ n }) => n));
    expect(Object.keys(survivor.counts)).toEqual(expect.arrayContaining([...(SIGNS[at] ?? [])]));
  });
});

describe('a worker that dies with a transaction', () => {
  /** BullMQ delivers nothing again while the test runs. */
  const HOUR = { lockDuration: 3_600_000, stalledInterval: 3_600_000 };

  it('before it is decided leaves it to whoever works on one of its keys next', async () => {
    const here = stage({ updates: [move] });
    const [a, b, c] = [here.key('a'), here.key('b'), here.key('c')];
    const job = await here.queue.enqueue(move, { keys: [a, b], n: 0 });
    const fault = { at: 'taken', nth: 1, signal: 'SIGKILL' } as const;
    const dying = await startProcess(here, { ...HOUR, updates: ['move'], fault });
    expect(await dying.exited()).toBe('SIGKILL');
    await here.worker(HOUR);
    const next = await here.queue.enqueue(move, { keys: [b, c], n: 1 });
    await here.finished([next]);
    const values = [a, b, c].map(async (key) => (await here.cells.read(key))?.value);
    expect(await Promise.all(values)).toEqual([[0], [0, 1], [1]]);
    expect(await job.getState()).toBe('active'); // of this, BullMQ hears when it delivers the job again
  });

  it('that is decided leaves its cells to the others’ look at such commits', async () => {
    const here = stage({ updates: [move] });
    const [a, b] = [here.key('a'), here.key('b')];
    const job = await here.queue.enqueue(move, { keys: [a, b], n: 0 });
    const fault = { at: 'folded', nth: 1, signal: 'SIGKILL' } as const;
    const dying = await startProcess(here, { ...HOUR, updates: ['move'], fault });
    expect(await dying.exited()).toBe('SIGKILL');
    expect((await here.queue.snapshot([a])).get(a)?.value).toEqual([0]);
    expect(await here.cells.read(a)).toBeUndefined();
    await here.worker(HOUR);
    for (const key of [a, b])
      await eventually(
        'its cell is written',
        async () => (await here.cells.read(key)) !== undefined,
      );
    expect((await here.cells.read(b))?.value).toEqual([0]);
    expect(await job.getState()).toBe('active');
  });
});

describe('a worker that dies before BullMQ hears that a job has failed for good', () => {
  it('leaves a job that fails again at once, as it did, without being applied', async () => {
    const here = stage();
    const key = here.key();
    const jobs = await enqueueLog(
      here,
      [0, 1, 0].map((failures, n) => ({ key, n, failures })),
      { attempts: 1 },
    );
    const dying = await startProcess(here, { fault: { at: 'failing', nth: 1, signal: 'SIGKILL' } });
    expect(await dying.exited()).toBe('SIGKILL');
    // Had it a say once more, it would succeed: it fails by its attempt, and this would be its second.
    await here.redis.hset(here.redisKey(jobs[1]?.id as string), 'atm', 1);
    await here.worker();
    const finished = await here.finished(jobs);
    expect(finished[1]?.failedReason).toBe('attempt 1 of job 1');
    expect(await expectExact(here, key, finished)).toEqual([0, 2]);
  });
});

describe('the same without the rule which cell to believe', () => {
  it('doubles what was committed and not acknowledged', async () => {
    const here = stage();
    const key = here.key();
    const jobs = await enqueueLog(here, entries(key, 10));
    const dying = await startProcess(here, {
      fault: { at: 'committed', nth: 1, signal: 'SIGKILL' },
    });
    expect(await dying.exited()).toBe('SIGKILL');
    const { take, acknowledge } = RedisLanes.prototype;
    onTestFinished(() => void Object.assign(RedisLanes.prototype, { take, acknowledge }));
    // Whatever cell is found is taken for the acknowledged one.
    RedisLanes.prototype.take = async function (this: RedisLanes, request) {
      const taken = await take.call(this, request);
      const token = request.cell?.token ?? taken.copy.token;
      return { ...taken, copy: { ...taken.copy, token } };
    };
    RedisLanes.prototype.acknowledge = async function (this: RedisLanes, commit) {
      await this.overwriteCopy(commit);
      return { accepted: true };
    };
    await here.worker();
    const finished = await here.finished(jobs);
    await expect(expectExact(here, key, finished)).rejects.toThrow(/^expected/);
    expect(await here.cells.get<Line[]>(key)).toHaveLength(20);
  });
});
