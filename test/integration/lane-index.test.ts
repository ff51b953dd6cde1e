/** The index of lanes, held against a full scan: `npm run index-run` in small, and what it must find out later. */
import { Queue as BullQueue } from 'bullmq';
import { expect, onTestFinished, test } from 'vitest';
import { indexRun } from '../index-run/run.ts';
import { scan } from '../index-run/scan.ts';
import { eventually } from '../support/memcached.ts';
import { memcachedAddresses, redisUrl } from '../support/servers.ts';
import { logOr } from '../support/updates.ts';
import { enqueueLog, entries, stage } from '../support/workers.ts';

test('is right while workers are killed, and in the end', async () => {
  const end = await indexRun({
    ...{ redis: redisUrl(), memcached: memcachedAddresses() },
    ...{ jobs: 1_500, keys: 300, workers: 2, kills: 1, lookEveryMs: 100, deadlineMs: 60_000 },
    say: () => undefined,
  });
  expect(end).toMatchObject({ kills: 1, heldMost: 3 });
  expect(end.looks).toBeGreaterThan(3);
});

test('of a queue that is older than it is filled in when it is first asked for', async () => {
  const here = stage();
  const keys = Array.from({ length: 5 }, (_, n) => here.key(n));
  for (const key of keys) await enqueueLog(here, entries(key, 2));
  await here.redis.del(here.ownKey('lanes'), here.ownKey('indexed'));
  expect(await here.queue.laneCounts()).toMatchObject({ keys: 5, waiting: 10 });
  const { lanes } = await here.queue.lanes();
  expect(lanes.map(({ key, length }) => [key, length])).toEqual(keys.map((key) => [key, 2]));
  expect((await scan(here.redis, here.name)).wrong).toEqual([]);
});

test('notices that a plain client has retried the job that held a lane', async () => {
  const here = stage();
  const worker = await here.worker();
  const job = await here.queue.enqueue(logOr.hold, { key: here.key(), n: 1, failures: 1 });
  await eventually('it is held', async () => (await here.queue.getFailedCount()) === 1);
  await worker.close();
  expect(await here.queue.laneCounts()).toMatchObject({ keys: 1, held: 1, runnable: 0 });
  const plain = new BullQueue(here.name, { connection: { url: here.redisUrl } });
  onTestFinished(() => plain.close());
  await (await plain.getJob(job.id as string))?.retry('failed');
  const { lanes } = await here.queue.lanes({ state: 'held' });
  expect(lanes).toEqual([]);
  expect(await here.queue.laneCounts()).toMatchObject({ keys: 1, held: 0, runnable: 1 });
});

test('forgets lanes whose entries somebody has deleted', async () => {
  const here = stage();
  await enqueueLog(here, entries(here.key('a'), 1));
  await enqueueLog(here, entries(here.key('b'), 1));
  await here.redis.del(here.ownKey(`lane:${here.key('a')}`));
  expect((await here.queue.lanes()).lanes.map(({ key }) => key)).toEqual([here.key('b')]);
  expect(await here.queue.laneCounts()).toMatchObject({ keys: 1, oldest: { key: here.key('b') } });
});

test.each(['drained', 'removed', 'moved', 'obliterated'])('knows what was %s', async (what) => {
  const here = stage();
  const [a, b] = [here.key('a'), here.key('b')];
  const [first] = await enqueueLog(here, entries(a, 2));
  await enqueueLog(here, entries(b, 1));
  if (what === 'drained') await here.queue.drain();
  if (what === 'removed') await first?.remove();
  if (what === 'moved') await first?.updateData({ key: b, n: 0 });
  if (what === 'obliterated') await here.queue.obliterate({ force: true });
  expect((await scan(here.redis, here.name)).wrong).toEqual([]);
  const { lanes } = await here.queue.lanes();
  const left = { drained: [], removed: ['2', '3'], moved: ['2', '3'], obliterated: [] }[what];
  expect(lanes.map(({ jobId }) => jobId)).toEqual(left);
});

test('pages go on where they ended, whatever happens in between', async () => {
  const here = stage();
  const keys = Array.from({ length: 7 }, (_, n) => here.key(n));
  for (const key of keys) await enqueueLog(here, entries(key, 1));
  const seen: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await here.queue.lanes({ limit: 2, cursor });
    seen.push(...page.lanes.map(({ key }) => key));
    cursor = page.cursor;
    if (seen.length === 2) await here.redis.del(here.ownKey(`lane:${keys[1]}`));
  } while (cursor !== undefined);
  expect(seen).toEqual(keys);
  const newest = await here.queue.lanes({ order: 'newest', limit: 3, search: here.key() });
  expect(newest.lanes.map(({ key }) => key)).toEqual([keys[6], keys[5], keys[4]]);
});

test.each([
  [{ limit: 0 }],
  [{ limit: 501 }],
  [{ cursor: 'x' }],
  [{ cursor: 'newest.5.YQ' }],
  [{ state: 'dead' as never }],
  [{ order: 'size' as never }],
])('refuses %j', async (request) => {
  const here = stage();
  await expect(here.queue.lanes(request)).rejects.toMatchObject({ code: 'INVALID_OPTIONS' });
});
