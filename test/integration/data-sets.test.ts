/**
 * Whose cell it is: two Redis data sets on one memcached, and a Redis that is emptied or replaced while
 * workers run. A key stops with a code; no commit of another data set is ever taken for a predecessor's.
 */
import type { Job } from 'bullmq';
import { beforeAll, afterAll, describe, expect, it } from 'vitest';
import type { Worker } from '../../src/index.ts';
import { eventually } from '../support/memcached.ts';
import { hasItem } from '../support/items.ts';
import { type PrivateServer, startRedis } from '../support/servers.ts';
import { trust } from '../support/trust.ts';
import type { Line } from '../support/updates.ts';
import {
  enqueueLog,
  entries,
  expectExact,
  nextEvent,
  type Stage,
  stage,
} from '../support/workers.ts';

let redis: PrivateServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

const urlOf = (db: number): string => `redis://${redis.host}:${redis.port}/${db}`;

/** Two environments that know nothing of each other, with a queue of the same name. */
function twoStages(): [Stage, Stage] {
  const one = stage({ redis: urlOf(0) });
  return [one, stage({ redis: urlOf(1), name: one.name })];
}

async function commits(here: Stage, key: string, ...numbers: readonly number[]): Promise<Job[]> {
  const done: Job[] = [];
  for (const n of numbers)
    done.push(...(await here.finished(await enqueueLog(here, [{ key, n }]))));
  return done;
}

const numbersIn = async ({ cells }: Stage, key: string): Promise<number[]> =>
  ((await cells.get<Line[]>(key)) ?? []).map(([n]) => n);

/** Enqueues a job, and says why its key stops. */
async function heldWith(worker: Worker, here: Stage, key: string): Promise<string> {
  const held = nextEvent(worker, 'laneHeld');
  const [job] = await enqueueLog(here, [{ key, n: 99 }]);
  const { code, jobId } = await held;
  expect(jobId).toBeUndefined();
  expect(await job?.getState()).not.toBe('completed');
  return code;
}

describe('two Redis data sets on one memcached', () => {
  it('are told apart: the second one to use a key stops there, the first one goes on', async () => {
    const [prod, staging] = twoStages();
    const key = prod.key();
    await prod.worker();
    const worker = await staging.worker();
    await commits(staging, staging.key('own'), 0);
    const done = await commits(prod, key, 0, 1);
    expect(await heldWith(worker, staging, key)).toBe('CELL_OF_ANOTHER_REDIS');
    done.push(...(await commits(prod, key, 2)));
    expect(await expectExact(prod, key, done)).toEqual([0, 1, 2]);
    expect((await staging.queue.lane(key).report()).token).toBe(0);
    await commits(staging, staging.key('own'), 1); // other keys are as before
  });

  it('are told apart also by the one that comes later, which may have replaced the other', async () => {
    const [prod, staging] = twoStages();
    const key = prod.key();
    await prod.worker();
    const done = await commits(prod, key, 0);
    expect(await heldWith(await staging.worker(), staging, key)).toBe('REDIS_WENT_BACK');
    done.push(...(await commits(prod, key, 1)));
    expect(await expectExact(prod, key, done)).toEqual([0, 1]);
  });

  it('are told apart also when an operator has handed the key over', async () => {
    const [prod, staging] = twoStages();
    const key = prod.key();
    const [first, second] = [await prod.worker(), await staging.worker()];
    await commits(staging, staging.key('own'), 0);
    await commits(prod, key, 0);
    expect(await heldWith(second, staging, key)).toBe('CELL_OF_ANOTHER_REDIS');
    expect(await trust(staging, key, 'cell')).toMatchObject({ kind: 'cell-trusted' });
    const lane = staging.queue.lane(key);
    await eventually('its job is applied', async () => (await lane.report()).length === 0);
    expect(await heldWith(first, prod, key)).toBe('CELL_OF_ANOTHER_REDIS');
    // Whoever has a copy of its own may take the key back.
    expect(await trust(prod, key, 'copy')).toMatchObject({ kind: 'copy-trusted' });
    const again = await commits(prod, key, 5);
    expect(again[0]?.returnvalue).toBe(2); // behind 0 and the job that waited
    expect(await numbersIn(prod, key)).toEqual([0, 99, 5]);
  });
});

describe('a Redis that is emptied under a running worker', () => {
  it('is noticed: a key with a cell stops, a key without one begins anew, and both are told', async () => {
    const here = stage({ redis: urlOf(2) });
    const worker = await here.worker();
    const key = here.key();
    await commits(here, key, 0, 1);
    await here.redis.flushdb();
    const replaced = nextEvent(worker, 'redisReplaced');
    expect(await heldWith(worker, here, key)).toBe('REDIS_WENT_BACK');
    const { from, to } = await replaced;
    expect(from).not.toBe(to);
    expect(await numbersIn(here, key)).toEqual([0, 1]);
    await commits(here, here.key('other'), 0);
  });

  it('goes on from the cell once an operator says so, and then as ever', async () => {
    const here = stage({ redis: urlOf(3) });
    const worker = await here.worker();
    const key = here.key();
    await commits(here, key, 0, 1);
    await here.redis.flushdb();
    expect(await heldWith(worker, here, key)).toBe('REDIS_WENT_BACK');
    expect(await trust(here, key, 'cell')).toMatchObject({ kind: 'cell-trusted' });
    await commits(here, key, 2);
    expect(await numbersIn(here, key)).toEqual([0, 1, 99, 2]);
  });

  it('is taken for the same by a worker that has seen nothing of it', async () => {
    const here = stage({ redis: urlOf(4) });
    const first = await here.worker();
    const key = here.key();
    await commits(here, key, 0);
    await first.close();
    await here.redis.flushdb();
    expect(await heldWith(await here.worker(), here, key)).toBe('REDIS_WENT_BACK');
  });
});

describe('a Redis that is replaced by another one under a running worker', () => {
  it('is noticed, though the other one has a copy, too', async () => {
    const here = stage({ redis: urlOf(5) });
    const other = stage({ redis: urlOf(6), name: here.name });
    const [key, elsewhere] = [here.key('here'), here.key('elsewhere')];
    const worker = await here.worker();
    await commits(here, key, 0);
    const another = await other.worker();
    await commits(other, elsewhere, 0);
    await another.close();
    await here.redis.swapdb(5, 6);
    expect(await heldWith(worker, here, key)).toBe('REDIS_WENT_BACK');
    await commits(here, elsewhere, 1); // that one's own
    expect(await numbersIn(here, elsewhere)).toEqual([0, 1]);
    await here.redis.swapdb(5, 6);
    await here.redis.flushdb();
  });
});

describe('a queue that was obliterated', () => {
  it('does not take the cells of before for its own', async () => {
    const here = stage({ redis: urlOf(7) });
    const worker = await here.worker();
    const key = here.key();
    await commits(here, key, ...entries(key, 3).map(({ n }) => n));
    await worker.close();
    await here.queue.obliterate({ force: true });
    expect(await heldWith(await here.worker(), here, key)).toBe('REDIS_WENT_BACK');
    expect(await hasItem(key)).toBe(true);
  });
});
