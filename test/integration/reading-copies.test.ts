/** Readers that may ask Redis where memcached has no cell that can be believed. */
import { Redis } from 'ioredis';
import { describe, expect, it, onTestFinished } from 'vitest';
import { defineUpdate, DELETE_CELL, openCells, type OpenCells } from '../../src/index.ts';
import { itemOf, removeItem, writeItem } from '../support/items.ts';
import { startMemcached, startRedis } from '../support/servers.ts';
import { type Stage, quickly, stage } from '../support/workers.ts';

const set = defineUpdate({
  name: 'set',
  key: ({ key }: { key: string; to?: unknown }) => key,
  initial: (): unknown => null,
  apply: (_, { to }) => (to === undefined ? DELETE_CELL : to),
});
const brief = defineUpdate({
  name: 'brief',
  key: ({ key }: { key: string; to: unknown }) => key,
  initial: (): unknown => null,
  apply: (_, { to }) => to,
  expireSeconds: 1,
});

async function written(here: Stage, values: Readonly<Record<string, unknown>>): Promise<void> {
  const jobs = [];
  for (const [key, to] of Object.entries(values))
    jobs.push(await here.queue.enqueue(set, { key: here.key(key), to }));
  await here.finished(jobs);
}

const setting = (): Stage => stage({ updates: [set, brief] });

function readerOf(here: Stage, more: Partial<Parameters<typeof openCells>[0]> = {}): OpenCells {
  const cells = openCells({
    memcached: here.memcached,
    copies: { connection: { url: here.redisUrl }, queue: here.name },
    ...more,
  });
  onTestFinished(() => cells.close());
  return cells;
}

describe('a reader with copies', () => {
  it('sees cells as ever, and says so', async () => {
    const here = setting();
    await here.worker();
    await written(here, { a: 1, b: { deep: [2] } });
    const cells = readerOf(here);
    const [a, b] = ['a', 'b'].map(here.key) as [string, string];
    expect(await cells.read(a)).toEqual(await here.cells.read(a));
    expect((await cells.read(b))?.source).toBe('cell');
    expect(await cells.getMany([a, b, here.key('none')])).toEqual(
      new Map<string, unknown>([
        [a, 1],
        [b, { deep: [2] }],
      ]),
    );
  });

  it('sees the copy where the cell is lost, of one key and of many', async () => {
    const here = setting();
    await here.worker();
    await written(here, { a: 1, b: [2], c: null });
    const before = await here.cells.read(here.key('a'));
    await removeItem(here.key('a'));
    await removeItem(here.key('c'));
    const cells = readerOf(here);
    expect(await cells.get(here.key('a'))).toBe(1);
    expect(await cells.read(here.key('a'))).toEqual({ ...before, source: 'copy' });
    expect(await cells.getMany(['a', 'b', 'c', 'never'].map(here.key))).toEqual(
      new Map<string, unknown>([
        [here.key('a'), 1],
        [here.key('b'), [2]],
        [here.key('c'), null],
      ]),
    );
    expect(await cells.read(here.key('never'))).toBeUndefined();
  });

  it('sees nothing where the value is deleted or has expired', async () => {
    const here = setting();
    await here.worker();
    await written(here, { gone: 1 });
    await written(here, { gone: undefined });
    await here.finished([await here.queue.enqueue(brief, { key: here.key('brief'), to: 1 })]);
    const cells = readerOf(here);
    for (const name of ['gone', 'brief']) await removeItem(here.key(name));
    expect(await cells.get(here.key('gone'))).toBeUndefined();
    expect(await cells.read(here.key('gone'))).toMatchObject({ value: undefined, source: 'copy' });
    await expect.poll(() => cells.get(here.key('brief')), { timeout: 5_000 }).toBeUndefined();
  });

  it('says so where no copies are kept', async () => {
    const here = setting();
    await here.worker({ durableCopies: false });
    await written(here, { a: 1 });
    const cells = readerOf(here);
    expect(await cells.get(here.key('a'))).toBe(1);
    await removeItem(here.key('a'));
    await expect(cells.get(here.key('a'))).rejects.toMatchObject({ code: 'COPY_NOT_KEPT' });
    await expect(cells.getMany([here.key('a')])).rejects.toMatchObject({ code: 'COPY_NOT_KEPT' });
  });

  it('sees the copy where somebody else wrote over the cell; without one, that error', async () => {
    const here = setting();
    await here.worker();
    await written(here, { a: 1 });
    await writeItem(here.key('a'), 'plain');
    await writeItem(here.key('foreign'), 'plain');
    const cells = readerOf(here);
    expect(await cells.read(here.key('a'))).toMatchObject({ value: 1, source: 'copy' });
    await expect(cells.get(here.key('foreign'))).rejects.toMatchObject({ code: 'FOREIGN_VALUE' });
  });

  it('sees the copy of its own Redis where the cell is another one’s', async () => {
    const redis = await startRedis();
    onTestFinished(() => redis.stop());
    const urlOf = (db: number): string => `redis://${redis.host}:${redis.port}/${db}`;
    const here = stage({ updates: [set], redis: urlOf(0) });
    const there = stage({ updates: [set], redis: urlOf(1), name: here.name });
    await here.worker();
    await written(here, { a: 'here' });
    await removeItem(here.key('a'));
    await there.worker();
    await written(there, { a: 'there', b: 'only there' });
    const cells = readerOf(here);
    expect(await cells.read(here.key('a'))).toMatchObject({ value: 'here', source: 'copy' });
    await expect(cells.get(here.key('b'))).rejects.toMatchObject({ code: 'CELL_OF_ANOTHER_REDIS' });
    expect(await readerOf(there).get(here.key('a'))).toBe('there');
  });

  it('sees the copies while memcached is away, and cells while Redis is', async () => {
    const [redis, memcached] = await Promise.all([startRedis(), startMemcached()]);
    onTestFinished(async () => {
      await Promise.all([redis.stop(), memcached.stop()]);
    });
    const here = stage({
      updates: [set],
      redis: `redis://${redis.host}:${redis.port}`,
      memcached: quickly(`${memcached.host}:${memcached.port}`),
    });
    const worker = await here.worker();
    await written(here, { a: 1, b: 2 });
    await worker.close();
    const [cells, late] = [readerOf(here), readerOf(here)];
    expect(await cells.get(here.key('a'))).toBe(1);
    redis.freeze();
    expect(await cells.read(here.key('b'))).toMatchObject({ value: 2, source: 'cell' });
    // It has never heard of Redis' name; nothing speaks against the cell.
    expect(await late.read(here.key('b'))).toMatchObject({ value: 2, source: 'cell' });
    await expect(late.get(here.key('none'))).rejects.toMatchObject({ code: 'REDIS_FAILED' });
    redis.thaw();
    await memcached.stop();
    expect(await cells.read(here.key('a'))).toMatchObject({ value: 1, source: 'copy' });
  });

  it('takes a client of yours, and leaves it open', async () => {
    const here = setting();
    await here.worker();
    await written(here, { a: 1 });
    await removeItem(here.key('a'));
    const client = new Redis(here.redisUrl);
    onTestFinished(() => client.disconnect());
    const cells = openCells({
      memcached: here.memcached,
      copies: { connection: client, queue: here.name },
    });
    expect(await cells.get(here.key('a'))).toBe(1);
    await cells.close();
    expect(await client.ping()).toBe('PONG');
  });

  it('is refused without a queue, or with a connection that names no server', () => {
    const open = (copies: object) => () =>
      openCells({ memcached: 'localhost', copies: copies as never });
    expect(open({ connection: {}, queue: '' })).toThrow('copies.queue');
    expect(open({ connection: { hots: 'x' }, queue: 'q' })).toThrow('names no server');
  });
});

describe('a stale cell', () => {
  it('is put right when a job stalled whose outcome is known: its process may have left it', async () => {
    const here = setting();
    const worker = await here.worker();
    const key = here.key('a');
    await written(here, { a: 'old' });
    const old = await itemOf(key);
    await written(here, { a: 'new' });
    await worker.pause();
    // As it is after a process has died behind a commit that Redis was not going to take: the job was delivered to
    // it, and decided by somebody else.
    const job = await here.queue.enqueue(set, { key, to: 'new' });
    await here.redis.zrem(here.ownKey(`lane:${key}`), job.id as string);
    await here.redis.hset(here.redisKey(job.id as string), { toril: 'a', stc: 1 });
    await writeItem(key, old.value.toString(), old.flags);
    expect(await here.cells.get(key)).toBe('old');
    await worker.resume();
    await here.finished([job]);
    await expect.poll(() => here.cells.get(key), { timeout: 5_000 }).toBe('new');
    expect(worker.counts.cellRestored).toBe(1);
  });
});
