/**
 * A job belongs to the lane that it has entered: whatever an update's `key` says later, and whoever is delivered it. And
 * one that a batch has in hand is not removed: it would be applied all the same.
 */
import { type Job, Queue as BullQueue } from 'bullmq';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Update } from '../../src/index.ts';
import { eventually } from '../support/memcached.ts';
import { type Entry, type Line, log } from '../support/updates.ts';
import { enqueueLog, entries, nextEvent, type Stage, stage } from '../support/workers.ts';

const numbers = async ({ cells }: Stage, key: string): Promise<number[]> =>
  ((await cells.get<Line[]>(key)) ?? []).map(([n]) => n);

async function plainQueue({ name, redisUrl }: Stage): Promise<BullQueue> {
  const queue = new BullQueue(name, { connection: { url: redisUrl } });
  onTestFinished(() => queue.close());
  return queue;
}

/** Another version of the update `log`, which puts what it gets under another key. */
function logUnder(prefix: string): Update<string, Line[], Entry, Entry, number> {
  return { ...log, key: ({ key }: Entry) => `${key}-${prefix}` };
}

describe('an update whose key function was changed', () => {
  it('is applied once, to the key that its job has entered, and loudly', async () => {
    const here = stage();
    const key = here.key();
    const [first, second] = await enqueueLog(here, entries(key, 2));
    const worker = await here.worker({ updates: [logUnder('new')] });
    const told = nextEvent(worker, 'keyChanged');
    await here.finished([first, second] as Job[]);
    expect(await told).toEqual({
      ...{ key, jobId: first?.id, name: 'log' },
      ...{ otherKey: `${key}-new`, code: 'KEY_CHANGED' },
    });
    expect(await numbers(here, key)).toEqual([0, 1]);
    expect(await numbers(here, `${key}-new`)).toEqual([]);
  });

  it('is applied once by old and new workers side by side, whoever delivers it and whoever added it', async () => {
    const here = stage({ updates: [log] });
    const key = here.key();
    const plain = await plainQueue(here);
    const adds = Array.from({ length: 40 }, (_, n) => ({
      name: 'log',
      data: { key, n, takesMs: n % 5 === 0 ? 20 : 0 },
      opts: { jobId: `job ${n}`, ...(n % 7 === 0 && { delay: 50 }) },
    }));
    const jobs: Job[] = [];
    await here.worker({ concurrency: 3 });
    await here.worker({ concurrency: 3, updates: [logUnder('new')] });
    for (const [n, { name, data, opts }] of adds.entries()) {
      const queue = n % 2 === 0 ? here.queue : plain;
      jobs.push(await queue.add(name, data, opts));
    }
    const finished = await here.finished(jobs);
    expect(finished.filter((job) => job.failedReason != null)).toEqual([]);
    const applied = [...(await numbers(here, key)), ...(await numbers(here, `${key}-new`))];
    expect(applied.toSorted((a, b) => a - b)).toEqual(adds.map((_, n) => n));
  });
});

describe('a job that a batch has in hand', () => {
  /** Three jobs that wait, and are being applied along with a slow one. */
  async function inHand(here: Stage, key: string): Promise<Job[]> {
    await here.queue.pause();
    const ids = ['j1', 'j2', 'j3'];
    const jobs: Job[] = [];
    for (const [n, jobId] of ids.entries())
      jobs.push(await here.queue.enqueue(log, { key, n }, { jobId }));
    jobs.push(await here.queue.enqueue(log, { key, n: 3, takesMs: 400 }, { jobId: 'slow' }));
    await here.worker({ concurrency: 1 });
    await here.queue.resume();
    await eventually('one is active', async () => (await jobs[0]?.getState()) === 'active');
    await eventually(
      'a batch was taken',
      async () => (await here.redis.hlen(here.ownKey('inHand'))) > 0,
    );
    return jobs;
  }

  it('is not removed, and its id stands for it until it is done', async () => {
    const here = stage();
    const key = here.key();
    const jobs = await inHand(here, key);
    expect(await jobs[1]?.getState()).toBe('waiting');
    expect(await here.queue.remove('j2')).toBe(0);
    await expect(jobs[2]?.remove()).rejects.toThrow(/could not be removed/);
    await here.queue.enqueue(log, { key, n: 20 }, { jobId: 'j2' });
    await here.finished(jobs);
    expect(await numbers(here, key)).toEqual([0, 1, 2, 3]);
    expect(await here.queue.remove('j2')).toBe(1);
    const again = await here.queue.enqueue(log, { key, n: 21 }, { jobId: 'j2' });
    await here.finished([again]);
    expect(await numbers(here, key)).toEqual([0, 1, 2, 3, 21]);
  });

  it('and that a client without Toril removes is applied, and so is a new one of its id', async () => {
    const here = stage();
    const key = here.key();
    const jobs = await inHand(here, key);
    const plain = await plainQueue(here);
    expect(await plain.remove('j2')).toBe(1);
    expect(await plain.remove('j3')).toBe(1);
    const again = await here.queue.enqueue(log, { key, n: 11 }, { jobId: 'j2' });
    const other = await here.queue.enqueue(log, { key: `${key}-b`, n: 12 }, { jobId: 'j3' });
    const [newer, elsewhere] = await here.finished([again, other, ...jobs.slice(3)]);
    expect(await numbers(here, key)).toEqual([0, 1, 2, 3, 11]);
    expect(await numbers(here, `${key}-b`)).toEqual([12]);
    expect([newer?.returnvalue, elsewhere?.returnvalue]).toEqual([4, 0]);
  });

  it('can be removed once the batch is given up', async () => {
    const here = stage();
    const key = here.key();
    const unknown = { ...log, name: 'unknown' };
    const queue = new BullQueue(here.name, { connection: { url: here.redisUrl } });
    onTestFinished(() => queue.close());
    const [head] = [await queue.add(unknown.name, { key, n: 0 })];
    const jobs = await enqueueLog(here, entries(key, 2));
    await here.worker({ concurrency: 1 });
    await here.finished(jobs);
    expect(await here.queue.remove(head?.id as string)).toBe(1);
  });

  it('can be removed an hour after its process died, however far ahead of the time tokens are drawn', async () => {
    const here = stage();
    const key = here.key();
    const [job] = await enqueueLog(here, entries(key, 1));
    const id = job?.id as string;
    const hourMicros = 3_600_000_000;
    const nowMicros = Date.now() * 1_000;
    const token = nowMicros + 100 * hourMicros;
    const note = (at: number): Promise<number> =>
      here.redis.hset(here.ownKey('inHand'), key, `${token} ${token} dead ${at}`);
    await note(nowMicros - hourMicros + 60_000_000);
    expect(await here.queue.remove(id)).toBe(0);
    await note(nowMicros - hourMicros);
    expect(await here.queue.remove(id)).toBe(1);
  });
});

describe('a job of a lane that stands still', () => {
  it('can be removed, and so can its head', async () => {
    const here = stage();
    const key = here.key();
    const worker = await here.worker({ updates: [{ ...log, name: 'another' }], blockedMs: 50 });
    const jobs = await enqueueLog(here, entries(key, 3));
    await nextEvent(worker, 'updateUnknown');
    for (const job of jobs) {
      await eventually(
        'it is removed',
        async () => (await here.queue.remove(job.id as string)) === 1,
      );
    }
    expect((await here.queue.lane(key).report()).length).toBe(0);
  });
});

describe('a job whose data are changed', () => {
  it('goes to the end of the lane that they name', async () => {
    const here = stage();
    const [a, b] = [here.key('a'), here.key('b')];
    const jobs = await enqueueLog(here, entries(a, 3));
    const before = await enqueueLog(here, [{ key: b, n: 5 }]);
    await jobs[0]?.updateData({ key: b, n: 7 });
    await here.worker();
    const finished = await here.finished([...jobs, ...before]);
    expect([await numbers(here, a), await numbers(here, b)]).toEqual([
      [1, 2],
      [5, 7],
    ]);
    expect(finished.map(({ returnvalue }) => returnvalue)).toEqual([1, 0, 1, 0]);
  });

  it('stays where it is if a client without Toril changes them', async () => {
    const here = stage();
    const [a, b] = [here.key('a'), here.key('b')];
    const jobs = await enqueueLog(here, entries(a, 2));
    const plain = await plainQueue(here);
    await (await plain.getJob(jobs[0]?.id as string))?.updateData({ key: b, n: 7 });
    const worker = await here.worker({ autorun: false });
    const told = nextEvent(worker, 'keyChanged');
    void worker.run();
    expect(await told).toMatchObject({ key: a, otherKey: b });
    await here.finished(jobs);
    expect([await numbers(here, a), await numbers(here, b)]).toEqual([[7, 1], []]);
  });

  it('must be fit for its update', async () => {
    const here = stage();
    const [job] = await enqueueLog(here, entries(here.key(), 1));
    const changing = job?.updateData({ key: '', n: 0 });
    await expect(changing).rejects.toMatchObject({ code: 'INVALID_KEY' });
  });
});

describe('a job that sleeps until its turn', () => {
  it('is a waiting job to deduplication that replaces delayed ones', async () => {
    const here = stage();
    const key = here.key();
    const worker = await here.worker({ concurrency: 2, patienceMs: 10 });
    const snoozed = nextEvent(worker, 'jobSnoozed');
    const slow = await here.queue.enqueue(log, { key, n: 0, takesMs: 500 });
    const deduplication = { id: 'latest', replace: true, ttl: 60_000 };
    const first = await here.queue.enqueue(log, { key, n: 1 }, { deduplication });
    await snoozed;
    await eventually('it sleeps', async () => (await first.getState()) === 'delayed', 2_000).catch(
      () => undefined, // or is told to be waiting
    );
    const second = await here.queue.enqueue(log, { key, n: 2 }, { deduplication, delay: 10 });
    expect(second.id).toBe(first.id);
    await here.finished([slow, first]);
    expect(await numbers(here, key)).toEqual([0, 1]);
  });
});
