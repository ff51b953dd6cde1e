/** toril/testing as an application's own queue and worker, begun with given values, and with faults at the n-th turn. */
import { setTimeout as sleep } from 'node:timers/promises';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Job } from 'bullmq';
import { afterAll, describe, expect, test } from 'vitest';
import { record } from '../../../../src/history/record.ts';
import { replay } from '../../../../src/history/replay/replay.ts';
import type { Queue } from '../../../../src/jobs/queue.ts';
import { type AnyUpdate, defineUpdate } from '../../../../src/updates/update.ts';
import {
  createTestBed,
  expectEnqueued,
  expectExactlyOnce,
  ExpectationError,
  expectInOrder,
  expectSequentialFold,
  expectValue,
  type TestBed,
  VacuousExpectationError,
  WORKER_MOMENTS,
} from '../../../../src/testing.ts';
import type { Worker } from '../../../../src/workers/worker.ts';

interface Note {
  readonly key: string;
  readonly text: string;
}

const append = defineUpdate({
  name: 'append',
  key: ({ key }: Note) => key,
  initial: (): string => '',
  apply: (text: string, note: Note) => text + note.text,
  result: (text) => text?.length,
});

/** An application: it knows of queues and workers, not of beds. */
class Shop {
  readonly seen: string[] = [];
  readonly queue: Queue;

  constructor(queue: Queue, worker: Worker) {
    this.queue = queue;
    worker.on('completed', (job: Job, result: unknown) =>
      this.seen.push(`completed ${job.id}: ${String(result)}`),
    );
    worker.on('failed', (job, error) => this.seen.push(`failed ${job?.id}: ${error.message}`));
    worker.on('committed', ({ key, jobs }) => this.seen.push(`committed ${jobs} of ${key}`));
  }

  async sell(text: string): Promise<unknown> {
    const options = { removeOnComplete: 100, attempts: 2 };
    const job = await this.queue.enqueue(append, { key: 'k', text }, options);
    return job.waitUntilFinished(undefined as never);
  }
}

describe('an application on a bed', () => {
  test('enqueues, listens and waits as on its own queue and worker', async () => {
    const bed = createTestBed({ updates: [append] });
    const shop = new Shop(bed.asQueue(), bed.asWorker());
    const sold = Promise.all([shop.sell('a'), shop.sell('bc')]);
    expect(await bed.until(sold)).toEqual([1, 3]);
    bed.fault.failNext(append, 'no stock');
    const third = shop.sell('d');
    await bed.drain();
    expect(await third).toBe(4);
    expect(shop.seen).toEqual([
      ...['committed 2 of k', 'completed 1: 1', 'completed 2: 3'],
      ...['failed 3: no stock', 'committed 1 of k', 'completed 3: 4'],
    ]);
    expect(bed.asWorker().counts.committed).toBe(2);
    expectExactlyOnce(bed);
  });

  test('looks at jobs, counts and lanes', async () => {
    const bed = createTestBed({ updates: [append] });
    const queue = bed.asQueue();
    expect(bed.asQueue()).toBe(queue);
    await queue.addBulk([
      { name: 'append', data: { key: 'k', text: 'a' } },
      {
        name: 'append',
        data: { key: 'k', text: 'b' },
        opts: { delay: 50, removeOnComplete: true },
      },
    ]);
    expect(await queue.getJobCounts('waiting', 'delayed')).toEqual({ waiting: 1, delayed: 1 });
    expect((await queue.lane('k').report()).length).toBe(1);
    await bed.drain();
    expect((await queue.getCompleted()).map(({ id }) => id)).toEqual(['1']);
    expect(await queue.getJob('2')).toBeUndefined();
    expect(await (await queue.getJob('1'))?.getState()).toBe('completed');
    expect(await queue.getJobState('2')).toBe('unknown');
    expectExactlyOnce(bed);
  });

  test('removes, drains and cleans jobs, and none that a worker has in hand', async () => {
    const bed = createTestBed({ updates: [append], workers: 1, concurrency: 1, patienceMs: 0 });
    const queue = bed.asQueue();
    const cleaned: unknown[] = [];
    queue.on('cleaned', (...args: unknown[]) => cleaned.push(args));
    const jobs = await queue.enqueueBulk(
      ['a', 'b', 'c', 'd'].map((text) => ({ update: append, data: { key: 'k', text } })),
    );
    bed.fault.delayNext('1', 2_000);
    await bed.advance(1_000);
    await expect((jobs[0] as Job).remove()).rejects.toThrow(/Job 1 could not be removed because/);
    expect(await queue.remove('1')).toBe(0);
    const counts = await queue.getJobCounts('active', 'waiting', 'delayed');
    expect(counts['delayed']).toBe(0); // whoever waits for its turn waits
    expect((counts['waiting'] ?? 0) + (counts['active'] ?? 0)).toBe(4);
    await queue.drain();
    await bed.drain();
    expect(bed.jobs().every(({ state }) => state === 'completed')).toBe(true);
    expectInOrder(bed);
    expectExactlyOnce(bed);
    expect(await queue.clean(0, 0)).toEqual(bed.history('k').map((_, at) => String(at + 1)));
    expect(cleaned).toHaveLength(1);
    expect(await queue.getJobCountByTypes('completed')).toBe(0);
  });

  test('is told what a bed does not play, when it calls that', async () => {
    const bed = createTestBed({ updates: [append] });
    for (const [call, name] of [
      [() => bed.asQueue().upsertJobScheduler('x', { every: 5 }), 'Queue.upsertJobScheduler'],
      [() => bed.asWorker().startStalledCheckTimer(), 'Worker.startStalledCheckTimer'],
    ] as const)
      expect(call).toThrow(
        expect.objectContaining({
          code: 'NOT_ON_A_TEST_BED',
          message: expect.stringContaining(name),
        }),
      );
    await Promise.resolve(bed.asQueue()); // looked at, not called
  });

  test('pauses and closes its worker', async () => {
    const bed = createTestBed({ updates: [append] });
    const worker = bed.asWorker();
    await worker.pause();
    await bed.enqueue(append, { key: 'k', text: 'a' });
    await bed.runUntilIdle();
    expect(bed.value('k')).toBeUndefined();
    await worker.resume();
    await bed.drain();
    expectValue(bed, 'k', 'a');
    await worker.close();
    await bed.enqueue(append, { key: 'k', text: 'b' });
    await bed.advance(1_000);
    expectValue(bed, 'k', 'a');
  });

  test("verifies updates and takes a worker's options, as a worker does", async () => {
    let calls = 0;
    const careless = { ...append, apply: (text: string) => `${text}${++calls}` };
    const options = { connection: {}, memcached: 'x', removeOnComplete: true, metrics: {} };
    const bed = createTestBed({ ...options, updates: [careless], verifyUpdates: true });
    const job = await bed.enqueue(careless, { key: 'k', text: '' }, { jobId: 'one' });
    await bed.drain();
    expect(bed.job(job).error).toMatchObject({ code: 'UPDATE_NOT_REPEATABLE' });
    const refused = { updates: [append], maxStartedAttempts: 3 };
    expect(() => createTestBed(refused)).toThrow('maxStartedAttempts counts deliveries');
  });

  test('backs off as its own strategy says', async () => {
    const bed = createTestBed({
      updates: [append],
      settings: { backoffStrategy: (made, type) => (type === 'mine' ? made * 1_000 : 0) },
    });
    const job = await bed.enqueue(
      append,
      { key: 'k', text: 'a' },
      { attempts: 3, backoff: { type: 'mine' } },
    );
    bed.fault.failNext(job, 'no', 2);
    const startMs = bed.now;
    await bed.drain();
    expect(bed.now - startMs).toBe(3_000);
    expectValue(bed, 'k', 'a');
  });

  test('gives a job up if its strategy says so', async () => {
    const settings = { backoffStrategy: () => -1 };
    const bed = createTestBed({ updates: [append], settings });
    const options = { attempts: 3, backoff: { type: 'mine' } };
    const job = await bed.enqueue(append, { key: 'k', text: 'a' }, options);
    bed.fault.failNext(job, 'no');
    await bed.drain();
    expect(bed.job(job)).toMatchObject({ state: 'failed', attemptsMade: 1 });
    await bed.enqueue(append, { key: 'k', text: 'b' });
    await bed.drain();
    expectValue(bed, 'k', 'b');
  });

  test('keeps a job that holds its lane, whatever removeOnFail says', async () => {
    const holding: AnyUpdate = { ...append, name: 'holding', onExhausted: 'hold' };
    const bed = createTestBed({ updates: [holding], removeOnFail: true });
    const job = await bed.enqueue(holding, { key: 'k', text: 'a' }, { jobId: 'one' });
    bed.fault.failNext(job, 'no');
    await bed.drain();
    expect(await bed.asQueue().getJobState('one')).toBe('failed');
    await bed.enqueue(holding, { key: 'k', text: 'b' }, { jobId: 'one' });
    await bed.operator('k').retry();
    await bed.drain();
    expectValue(bed, 'k', 'a');
  });
});

describe('an id that is used again', () => {
  test('after its job was removed is another job', async () => {
    const bed = createTestBed({ updates: [append], removeOnComplete: true });
    for (const text of 'ab') {
      await bed.enqueue(append, { key: 'k', text }, { jobId: 'x' });
      await bed.enqueue(append, { key: 'k', text: text.toUpperCase() });
      await bed.drain();
    }
    expectValue(bed, 'k', 'aAbB');
    expect(bed.jobs().map(({ id, generation }) => [id, generation])).toContainEqual(['x', 2]);
    expectExactlyOnce(bed);
    expectExactlyOnce(bed, ['x']);
    expectInOrder(bed);
    await expectSequentialFold(bed);
  });

  test('of deduplication stands for the latest while one is active', async () => {
    const bed = createTestBed({ updates: [append] });
    const add = (text: string) =>
      bed.enqueue(
        append,
        { key: 'k', text },
        { deduplication: { id: 'd', keepLastIfActive: true } },
      );
    const first = await add('a');
    bed.fault.delayNext(first, 1_000);
    await bed.advance(500);
    await add('b');
    await add('c');
    await bed.drain();
    expectValue(bed, 'k', 'ac');
  });

  test('of deduplication holds for its time, which can be extended', async () => {
    const bed = createTestBed({ updates: [append] });
    const add = (text: string) =>
      bed.enqueue(
        append,
        { key: 'k', text },
        { deduplication: { id: 'd', ttl: 1_000, extend: true } },
      );
    for (const [text, ms] of [
      ['a', 700],
      ['b', 700],
      ['c', 1_001],
      ['d', 0],
    ] as const) {
      await add(text);
      await bed.advance(ms);
    }
    await bed.drain();
    expectValue(bed, 'k', 'ad');
  });
});

describe('a bed that begins with values', () => {
  const folder = mkdtempSync(join(tmpdir(), 'toril-bed-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const linesOf = async (bed: TestBed): Promise<string[]> => {
    const lines: string[] = [];
    for await (const line of record(bed.queue)) lines.push(`${line}\n`);
    return lines;
  };

  test.each([true, false])('goes on from them (durable copies: %s)', async (durableCopies) => {
    const bed = createTestBed({ updates: [append], durableCopies, values: { k: 'x', other: 'y' } });
    expect(bed.value('k')).toBe('x');
    await bed.enqueue(append, { key: 'k', text: 'a' });
    bed.fault.crashWorker(undefined, 'after-commit');
    await bed.drain();
    expectValue(bed, 'k', 'xa');
    expectValue(bed, 'other', 'y');
    expectExactlyOnce(bed);
    expectInOrder(bed);
    await expectSequentialFold(bed);
    const lines = await linesOf(bed);
    expect(await replay(lines, [append])).toMatchObject({ agrees: true, checked: 3 });
  });

  test('takes them from a recording, up to a job or a line', async () => {
    const before = createTestBed({ updates: [append] });
    const drafts = [
      ['k', 'a'],
      ['k', 'b'],
      ['l', 'c'],
      ['k', 'd'],
    ] as const;
    for (const [key, text] of drafts) {
      await before.enqueue(append, { key, text });
      await before.drain();
    }
    const lines = await linesOf(before);
    const file = join(folder, 'recording.jsonl');
    writeFileSync(file, lines.join(''));
    for (const [upTo, k, l] of [
      [undefined, 'abd', 'c'],
      ['2', 'ab', undefined],
      [2, 'a', undefined],
      ['3', 'ab', 'c'],
    ] as const) {
      for (const recording of [file, lines]) {
        const bed = createTestBed({ updates: [append], recording, ...(upTo && { upTo }) });
        expect([bed.value('k'), bed.value('l')]).toEqual([k, l]);
      }
    }
    const other = { ...append, apply: () => 'z' };
    expect(() => createTestBed({ updates: [other], recording: file })).toThrow(
      /"k" cannot begin with the recording: the updates do not repeat line 2/,
    );
    const given = createTestBed({ updates: [other], recording: file, values: { k: '', l: '' } });
    expect(given.value('k')).toBe('');
    for (const [options, message] of [
      [{ recording: file, upTo: '99' }, 'has no job or line "99"'],
      [{ upTo: '1' }, 'upTo is of use with recording only'],
      [{ recording: join(folder, 'no') }, 'cannot be read'],
      [{ recording: lines.slice(0, 2) }, 'cut off'],
      [{ values: { '': 1 } }, 'the key is empty'],
      [{ values: { k: new Date() } }, 'the test bed\'s value of "k"'],
    ] as const)
      expect(() => createTestBed({ updates: [append], ...options })).toThrow(message);
  });
});

describe('faults', () => {
  test.each(WORKER_MOMENTS)('strike at the third turn, %s', async (moment) => {
    const bed = createTestBed({ updates: [append], workers: 1 });
    bed.fault.crashWorker(undefined, moment, 3);
    for (const text of 'abcd') {
      await bed.enqueue(append, { key: 'k', text });
      expect(bed.fault.armed).toHaveLength(text < 'd' ? 1 : 0);
      await bed.drain();
    }
    expectValue(bed, 'k', 'abcd');
    expectExactlyOnce(bed);
  });

  test('say when they would strike', () => {
    const bed = createTestBed({ updates: [append] });
    bed.fault.freezeWorker(1, 'after-take', 3);
    expect(bed.fault.armed).toEqual(['freeze worker 1 after-take, after 2 more']);
    expect(() => bed.fault.crashWorker(0, 'after-take', 0)).toThrow('nth must be');
  });
});

describe('expectEnqueued', () => {
  test('is not green because it is misspelt', async () => {
    const bed = createTestBed({ updates: [append] });
    await bed.enqueue(append, { key: 'k', text: 'a' });
    for (const wrong of [{ udpate: append }, { update: 'apend', count: 0 }, { count: 0.5 }]) {
      expect(() => expectEnqueued(bed, wrong as never)).toThrow(VacuousExpectationError);
    }
  });

  test('finds jobs by update, key and part of their data', async () => {
    const bed = createTestBed({ updates: [append] });
    expect(() => expectEnqueued(bed, { update: append })).toThrow('No job was enqueued.');
    expectEnqueued(bed, { update: append, count: 0 });
    for (const text of 'ab') await bed.asQueue().enqueue(append, { key: 'k', text });
    expectEnqueued(bed, { update: append, data: { text: 'b' } });
    expectEnqueued(bed, { update: 'append', key: 'k', count: 2 });
    expect(() => expectEnqueued(bed, { data: { text: 'c' } })).toThrow(ExpectationError);
    expect(() => expectEnqueued(bed, { data: { text: 'a' }, count: 2 })).toThrow(
      /expected 2 jobs like .*found 1. Enqueued were:\n {2}- 1: .*"text":"a"/,
    );
  });
});

test('an update that outlasts realWaitMs is told so', async () => {
  const slow: AnyUpdate = { ...append, apply: async () => sleep(10_000, '', { ref: false }) };
  const bed = createTestBed({ updates: [slow], realWaitMs: 20 });
  const job = await bed.enqueue(slow, { key: 'k', text: '' });
  await bed.drain();
  expect(bed.job(job).error).toMatchObject({
    code: 'UPDATE_TIMED_OUT',
    message: expect.stringMatching(/within 30000 ms.*really had 20 ms.*realWaitMs.*useFakeTimers/),
  });
});

test('thirty days of an outage end soon, and are not told one by one', async () => {
  const bed = createTestBed({ updates: [append] });
  const late = await bed.enqueue(append, { key: 'late', text: 'x' }, { delay: 86_400_000 });
  await bed.enqueue(append, { key: 'k', text: 'a' });
  bed.fault.memcachedDown(true);
  const days = 30 * 86_400_000;
  const startMs = bed.now;
  await bed.advance(days);
  expect(bed.now - startMs).toBe(days);
  expect(bed.events.length).toBeLessThan(5_000); // it looks again 2,600,000 times
  expect(bed.job(late)).toMatchObject({ delayedFor: 'turn' }); // it came at its time
  bed.fault.memcachedDown(false);
  await bed.drain();
  expectValue(bed, 'k', 'a');
  expectValue(bed, 'late', 'x');
});

test('a held lane is not played day by day either, and whatever is due comes at its time', async () => {
  const holding: AnyUpdate = { ...append, name: 'holding', onExhausted: 'hold' };
  const bed = createTestBed({ updates: [append, holding] });
  const held = await bed.enqueue(holding, { key: 'k', text: 'h' });
  await bed.enqueue(append, { key: 'k', text: 'a' });
  bed.fault.failNext(held, 'broken');
  const at: number[] = [];
  bed.asWorker().on('completed', () => at.push(bed.now));
  await bed.enqueue(append, { key: 'other', text: 'b' }, { delay: 5 * 86_400_000 });
  const startMs = bed.now;
  await bed.advance(10 * 86_400_000);
  expect(at.map((ms) => Math.round((ms - startMs) / 86_400_000))).toEqual([5]);
  await bed.operator('k').drop();
  await bed.drain();
  expectValue(bed, 'k', 'a');
});
