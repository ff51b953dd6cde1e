/** Cells that end: deleted by an update, expired, and what is left of them. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { type AnyUpdate, DELETE_CELL, defineUpdate } from '../../src/index.ts';
import { removeItem } from '../support/items.ts';
import { ownKeys } from '../support/redis.ts';
import { type Stage, stage } from '../support/workers.ts';

interface Data {
  readonly key: string;
  readonly by?: number;
  readonly fails?: boolean;
}
const key = (data: Data): string => data.key;
const initial = (): number => 100;

const add = defineUpdate({
  name: 'add',
  key,
  initial,
  apply: (value: number, { by = 1, fails = false }: Data) => {
    if (fails) throw new Error('no');
    return value + by;
  },
  result: (value) => value,
});
const remove = defineUpdate({
  name: 'remove',
  key,
  initial,
  apply: (_value: number, _data: Data) => DELETE_CELL,
});
const addFor = (expireSeconds: number): AnyUpdate => ({
  ...add,
  name: `add-for-${expireSeconds}`,
  expireSeconds,
});
const [briefly, awhile] = [addFor(2), addFor(5)];
const updates = [add, remove, briefly, awhile];

async function run(here: Stage, update: AnyUpdate, data: Data): Promise<unknown> {
  const [job] = await here.finished([await here.queue.enqueue(update, data)]);
  return job?.returnvalue;
}

describe('a cell that an update deletes', () => {
  it('is gone for readers, and begins from its initial value again', async () => {
    const here = stage({ updates });
    const key = here.key();
    await here.worker();
    expect(await run(here, add, { key })).toBe(101);
    await run(here, remove, { key });
    expect(await here.cells.get(key)).toBeUndefined();
    expect(await here.cells.getMany([key])).toEqual(new Map());
    expect(await run(here, add, { key, by: 5 })).toBe(105);
  });

  it('is deleted within a batch, too', async () => {
    const here = stage({ updates });
    const key = here.key();
    const jobs = await here.queue.enqueueBulk([
      { update: add, data: { key } },
      { update: remove, data: { key } },
      { update: add, data: { key } },
      { update: add, data: { key } },
      { update: remove, data: { key } },
    ]);
    await here.worker();
    const finished = await here.finished(jobs);
    expect(finished.map((job) => job.returnvalue)).toEqual([101, null, 101, 102, null]);
    expect(await here.cells.get(key)).toBeUndefined();
  });

  it('stays deleted if memcached loses its tombstone, or brings back what was there', async () => {
    const here = stage({ updates });
    const key = here.key();
    await here.worker();
    await run(here, add, { key });
    await run(here, remove, { key });
    await removeItem(key);
    expect(await run(here, add, { key })).toBe(101);
  });

  it('leaves nothing that does not go away by itself', async () => {
    const here = stage({ updates });
    const key = here.key();
    const worker = await here.worker();
    await run(here, add, { key });
    expect(await here.redis.pttl(here.ownKey(`copy:${key}`))).toBe(-1);
    await run(here, remove, { key });
    const ttlMs = await here.redis.pttl(here.ownKey(`copy:${key}`));
    expect(ttlMs).toBeGreaterThan(60_000);
    expect(ttlMs).toBeLessThanOrEqual(180_000);
    expect(await ownKeys(here.redis, here.name, 'lane:*')).toEqual([]);
    // As if the time were over: both the tombstone and the copy are gone.
    await removeItem(key);
    await here.redis.del(here.ownKey(`copy:${key}`));
    expect(await run(here, add, { key })).toBe(101);
    expect(await here.redis.pttl(here.ownKey(`copy:${key}`))).toBe(-1);
    expect(worker.counts.laneHeld).toBeUndefined();
  });
});

describe('a cell that expires', () => {
  it('is gone after its time, and begins from its initial value again', async () => {
    const here = stage({ updates });
    const key = here.key();
    await here.worker();
    expect(await run(here, briefly, { key })).toBe(101);
    expect(await here.cells.get(key)).toBe(101);
    await sleep(2_100);
    expect(await here.cells.get(key)).toBeUndefined();
    expect(await run(here, briefly, { key })).toBe(101);
  });

  it('lives on while it is changed, and for ever once a change sets no expiry', async () => {
    const here = stage({ updates });
    const key = here.key();
    await here.worker();
    await run(here, awhile, { key });
    expect(await here.redis.pttl(here.ownKey(`copy:${key}`))).toBeGreaterThan(5_000);
    await run(here, add, { key });
    expect(await here.redis.pttl(here.ownKey(`copy:${key}`))).toBe(-1);
    expect(await here.redis.hexists(here.ownKey(`copy:${key}`), 'x')).toBe(0);
  });

  it('is restored from its copy until then, and not after', async () => {
    const here = stage({ updates });
    const key = here.key();
    await here.worker();
    await run(here, awhile, { key });
    await removeItem(key);
    expect(await run(here, briefly, { key })).toBe(102);
    await sleep(2_100);
    await removeItem(key);
    expect(await run(here, add, { key })).toBe(101);
  });

  it('is given no more time by a job that fails', async () => {
    const here = stage({ updates });
    const key = here.key();
    await here.worker();
    await run(here, briefly, { key });
    const startedMs = performance.now();
    // 2 s, and what memcached's clock, which ticks once a second, adds to it.
    while (performance.now() - startedMs < 3_600) {
      await run(here, add, { key, fails: true });
      await sleep(200);
    }
    expect(await here.cells.get(key)).toBeUndefined();
    expect(await run(here, add, { key })).toBe(101);
  });

  it('still expires if it had to be restored by a job that fails', async () => {
    const here = stage({ updates });
    const key = here.key();
    await here.worker();
    await run(here, awhile, { key });
    await removeItem(key);
    await run(here, add, { key, fails: true });
    const ttlMs = await here.redis.pttl(here.ownKey(`copy:${key}`));
    expect(ttlMs).toBeGreaterThan(0);
  });
});
