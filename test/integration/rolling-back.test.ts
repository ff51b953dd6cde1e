/**
 * A Redis that has gone back (a failover without its last writes, an old dump, a flush): never settled
 * silently. The lane stops with REDIS_WENT_BACK until somebody says which of the two is true.
 */
import type { Job } from 'bullmq';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Worker } from '../../src/index.ts';
import { RedisLanes } from '../../src/jobs/redis/redis-lanes.ts';
import { removeItem } from '../support/items.ts';
import { eventually } from '../support/memcached.ts';
import type { Line } from '../support/updates.ts';
import {
  enqueueLog,
  entries,
  expectExact,
  nextEvent,
  type Stage,
  stage,
} from '../support/workers.ts';

/** Copies some of Redis' keys, as a dump would. Returns what brings them back. */
async function dump({ redis }: Stage, keys: readonly string[]): Promise<() => Promise<void>> {
  const dumped = await Promise.all(keys.map((key) => redis.dumpBuffer(key)));
  return async () => {
    for (const [at, key] of keys.entries()) {
      const bytes = dumped[at];
      await redis.del(key);
      if (bytes) await redis.restore(key, 0, bytes);
    }
  };
}

/** So many jobs, one after the other, each with a commit of its own. */
async function commits(here: Stage, from: number, count: number): Promise<Job[]> {
  const done: Job[] = [];
  for (let n = from; n < from + count; n++) {
    done.push(...(await here.finished(await enqueueLog(here, [{ key: here.key(), n }]))));
  }
  return done;
}

async function expectHeld(worker: Worker, act: () => Promise<unknown>): Promise<void> {
  const held = nextEvent(worker, 'laneHeld');
  await act();
  expect(await held).toMatchObject({ code: 'REDIS_WENT_BACK', jobId: undefined });
}

const numbers = async ({ cells }: Stage, key: string): Promise<number[]> =>
  ((await cells.get<Line[]>(key)) ?? []).map(([n]) => n);

describe('a copy from before the last commits', () => {
  it('holds its lane, and changes nothing', async () => {
    const here = stage();
    const key = here.key();
    const worker = await here.worker();
    await commits(here, 0, 2);
    const restore = await dump(here, [here.ownKey(`copy:${key}`)]);
    await commits(here, 2, 3);
    await restore();
    const before = await here.cells.read(key);
    let job: Job | undefined;
    await expectHeld(worker, async () => {
      [job] = await enqueueLog(here, [{ key, n: 5 }]);
    });
    expect(await here.cells.read(key)).toEqual(before);
    expect(['delayed', 'active', 'waiting']).toContain(await job?.getState());
    expect(await numbers(here, key)).toEqual([0, 1, 2, 3, 4]);
  });

  it('holds its lane also if the copy is gone altogether', async () => {
    const here = stage();
    const key = here.key();
    const worker = await here.worker();
    await commits(here, 0, 3);
    await here.redis.del(here.ownKey(`copy:${key}`), here.ownKey('sequence'));
    await expectHeld(worker, () => enqueueLog(here, [{ key, n: 3 }]));
    expect(await numbers(here, key)).toEqual([0, 1, 2]);
  });

  it('holds its lane also if the only commit of the key is forgotten', async () => {
    const here = stage();
    const key = here.key();
    const worker = await here.worker();
    await commits(here, 0, 1);
    await worker.close();
    await here.queue.obliterate({ force: true });
    const next = here.startWorker();
    await expectHeld(next, () => enqueueLog(here, [{ key, n: 1 }]));
    expect(await numbers(here, key)).toEqual([0]);
    expect(next.counts.commitRecovered).toBeUndefined();
  });

  it('does not stop other keys', async () => {
    const here = stage();
    const worker = await here.worker();
    await commits(here, 0, 3);
    await here.redis.del(here.ownKey(`copy:${here.key()}`));
    await expectHeld(worker, () => enqueueLog(here, [{ key: here.key(), n: 3 }]));
    const other = here.key('other');
    const jobs = await enqueueLog(here, entries(other, 3));
    expect(await expectExact(here, other, await here.finished(jobs))).toEqual([0, 1, 2]);
  });

  it('costs the waiting jobs no attempt, and lets them go on once the cell is deleted', async () => {
    const here = stage();
    const key = here.key();
    const worker = await here.worker();
    await commits(here, 0, 2);
    const restore = await dump(here, [here.ownKey(`copy:${key}`)]);
    await commits(here, 2, 3);
    await restore();
    let jobs: Job[] = [];
    await expectHeld(worker, async () => {
      jobs = await enqueueLog(here, [{ key, n: 5 }], { attempts: 1 });
    });
    // Whoever trusts Redis takes the cell away; `toril lane KEY --trust copy` does it under the lease.
    await removeItem(key);
    const [finished] = await here.finished(jobs);
    expect(finished).toMatchObject({ attemptsMade: 1, returnvalue: 2 });
    expect(await numbers(here, key)).toEqual([0, 1, 5]);
  });
});

/** A worker commits until so many numbers are in the cell, and dies; its acknowledgement is never heard of. */
async function commitUnheard(here: Stage, numbersMin: number): Promise<void> {
  const { acknowledge } = RedisLanes.prototype;
  const putBack = (): void => {
    RedisLanes.prototype.acknowledge = acknowledge;
  };
  RedisLanes.prototype.acknowledge = function () {
    return new Promise(() => {});
  };
  onTestFinished(putBack);
  const dying = await here.worker({ closeMs: 0 });
  await eventually(
    'it has committed',
    async () => (await numbers(here, here.key())).length >= numbersMin,
  );
  await dying.close(true);
  putBack();
}

describe('a Redis that has lost one acknowledgement and nothing else', () => {
  it('takes the commit from the cell, with the outcomes of its jobs', async () => {
    const here = stage();
    const key = here.key();
    const worker = await here.worker();
    await commits(here, 0, 2);
    await worker.close();
    const jobs = await enqueueLog(
      here,
      entries(key, 3).map((entry) => ({ ...entry, n: entry.n + 2 })),
    );
    const own = [`copy:${key}`, `lane:${key}`, 'sequence'].map(here.ownKey);
    const restore = await dump(here, [
      ...own,
      ...jobs.map(({ id }) => here.redisKey(id as string)),
    ]);
    await commitUnheard(here, 5);
    await restore();
    const next = await here.worker();
    const finished = await here.finished(jobs);
    expect(finished.map((job) => job.returnvalue)).toEqual([2, 3, 4]);
    expect(next.counts.commitRecovered).toBe(1);
    expect(await numbers(here, key)).toEqual([0, 1, 2, 3, 4]);
  });

  it('takes it also if it does not know that the jobs had entered their lane, and applies them once', async () => {
    const here = stage();
    const key = here.key();
    const worker = await here.worker();
    await commits(here, 0, 2);
    await worker.close();
    // Delayed jobs enter their lane when they are delivered.
    const jobs = await enqueueLog(
      here,
      entries(key, 3).map((entry) => ({ ...entry, n: entry.n + 2 })),
      { delay: 1 },
    );
    const own = [`copy:${key}`, `lane:${key}`].map(here.ownKey);
    const restore = await dump(here, [
      ...own,
      ...jobs.map(({ id }) => here.redisKey(id as string)),
    ]);
    await commitUnheard(here, 3); // or more: it takes what is delivered by then
    await restore();
    const next = await here.worker();
    await here.finished(jobs);
    expect((await numbers(here, key)).toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4]);
    expect(next.counts.jobsForgotten).toBeUndefined();
  });
});

describe('sequences and tokens', () => {
  it('do not come again after Redis has lost its counter', async () => {
    const here = stage();
    const key = here.key();
    await here.worker();
    const first = await commits(here, 0, 3);
    const before = await here.cells.read(key);
    await here.redis.del(here.ownKey('sequence'));
    const second = await commits(here, 3, 3);
    expect(await expectExact(here, key, [...first, ...second])).toEqual([0, 1, 2, 3, 4, 5]);
    const after = await here.cells.read(key);
    expect(after?.token).toBeGreaterThan(before?.token as number);
    expect(after?.watermark).toBeGreaterThan(before?.watermark as number);
  });
});

describe('the same without the guard', () => {
  it('forgets what the lost commits said, silently', async () => {
    const here = stage();
    const key = here.key();
    const worker = await here.worker();
    await commits(here, 0, 2);
    const restore = await dump(here, [here.ownKey(`copy:${key}`)]);
    await commits(here, 2, 3);
    await restore();
    // A `take` that does not show the cell for what it is: as if its base were older than the copy.
    const take = RedisLanes.prototype.take;
    RedisLanes.prototype.take = async function (this: RedisLanes, request) {
      const taken = await take.call(this, { ...request, cell: undefined });
      if (request.cell === undefined || request.cell.token <= taken.copy.token) return taken;
      Object.assign(request.cell, { base: 1, token: 1 });
      return taken;
    };
    onTestFinished(() => {
      RedisLanes.prototype.take = take;
    });
    await here.finished(await enqueueLog(here, [{ key, n: 5 }]));
    expect(await numbers(here, key)).toEqual([0, 1, 5]);
    expect(worker.counts.laneHeld).toBeUndefined();
  });
});
