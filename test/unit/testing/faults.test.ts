/** toril/testing: everything that may go wrong, on command, and every crash ends exact. */
import { describe, expect, test } from 'vitest';
import { defineTransaction } from '../../../src/updates/transaction.ts';
import { DELETE_CELL, defineUpdate } from '../../../src/updates/update.ts';
import {
  createTestBed,
  expectExactlyOnce,
  expectInOrder,
  expectSequentialFold,
  expectValue,
  type TestBed,
  type TestBedOptions,
  type WorkerMoment,
} from '../../../src/testing.ts';

interface Note {
  readonly key: string;
  readonly text: string;
}

const append = defineUpdate({
  name: 'append',
  key: ({ key }: Note) => key,
  initial: (): string => '',
  apply: (text: string, note: Note) => text + note.text,
});

const JOBS = 'abcdefghijklmnopqrst';

async function bedWithJobs(
  options: Partial<TestBedOptions> = {},
  jobOptions: { attempts?: number } = {},
): Promise<TestBed> {
  const bed = createTestBed({ updates: [append], ...options });
  for (const text of JOBS) await bed.enqueue(append, { key: 'k', text }, jobOptions);
  return bed;
}

/** What must hold whatever happened. */
async function expectExact(bed: TestBed): Promise<void> {
  await bed.drain();
  expect(bed.value('k')).toBe(JOBS);
  expectInOrder(bed);
  expectExactlyOnce(bed);
  await expectSequentialFold(bed);
}

function eventNames(bed: TestBed): string[] {
  return bed.events.map(({ type }) => type);
}

describe('failing', () => {
  test('uses up the attempt of the job that is meant, and blocks the key meanwhile', async () => {
    const bed = await bedWithJobs();
    const last = await bed.enqueue(append, { key: 'k', text: '!' }, { attempts: 2, backoff: 500 });
    bed.fault.failNext(last, new RangeError('not now'));
    await bed.runUntilIdle();
    expect(bed.job(last)).toMatchObject({
      state: 'delayed',
      delayedFor: 'backoff',
      attemptsMade: 1,
    });
    expect(bed.job(last).error).toBeInstanceOf(RangeError);
    await bed.drain();
    expect(bed.value('k')).toBe(`${JOBS}!`);
    expectExactlyOnce(bed);
  });

  test('strikes the next job of an update, for good if it has no attempts left', async () => {
    const bed = await bedWithJobs();
    bed.fault.failNext(append, 'broken');
    await bed.drain();
    const failed = bed.jobs().filter(({ state }) => state === 'failed');
    expect(failed).toMatchObject([{ id: '1', error: { message: 'broken' } }]);
    expect(bed.value('k')).toBe(JOBS.slice(1));
    expectInOrder(bed);
    expectExactlyOnce(bed);
    await expectSequentialFold(bed);
  });

  test('lasts as many attempts as it should', async () => {
    const bed = await bedWithJobs({}, { attempts: 3 });
    bed.fault.failNext('5', 'broken', 2);
    await expectExact(bed);
    expect(bed.job('5').attemptsMade).toBe(3);
  });

  test('lets later jobs overtake where the update says so', async () => {
    const skipping = defineUpdate({
      ...append,
      name: 'skipping',
      onFailure: 'skip',
      schema: undefined,
    });
    const bed = createTestBed({ updates: [skipping] });
    for (const text of 'abc') {
      await bed.enqueue(skipping, { key: 'k', text }, { attempts: 2, backoff: 1_000 });
    }
    bed.fault.failNext('1', 'broken');
    await bed.drain();
    expect(bed.value('k')).toBe('bca');
    expectInOrder(bed);
    expectExactlyOnce(bed);
  });
});

describe('delaying', () => {
  test('makes the next call take its time', async () => {
    const bed = await bedWithJobs();
    bed.fault.delayNext(append, 2_000);
    await bed.advance(1_999);
    expect(bed.value('k')).toBeUndefined();
    await bed.advance(1);
    expect(bed.value('k')).toBe(JOBS);
    await expectExact(bed);
  });

  test('does not cost a lease that is renewed, but an update its time', async () => {
    const hasty = defineUpdate({ ...append, name: 'hasty', timeoutMs: 500, schema: undefined });
    const bed = createTestBed({ updates: [append, hasty], leaseMs: 2_000 });
    await bed.enqueue(append, { key: 'k', text: 'a' });
    const late = await bed.enqueue(hasty, { key: 'k', text: 'b' });
    bed.fault.delayNext('1', 20_000);
    bed.fault.delayNext(late, 501);
    await bed.drain();
    expect(bed.value('k')).toBe('a');
    expect(bed.job(late).error).toMatchObject({ code: 'UPDATE_TIMED_OUT' });
    expect(eventNames(bed)).not.toContain('leaseLost');
  });
});

describe('delivering twice', () => {
  test('applies once: a job that waits', async () => {
    const bed = await bedWithJobs();
    for (const { id } of bed.jobs()) bed.fault.duplicate(id);
    await expectExact(bed);
    expect(bed.job('1').deliveries).toBeGreaterThan(1);
  });

  test('applies once: a job that is being applied', async () => {
    const bed = await bedWithJobs();
    bed.fault.delayNext('3', 1_000);
    await bed.advance(500);
    expect(bed.job('3').state).toBe('active');
    bed.fault.duplicate('3');
    await expectExact(bed);
  });

  test('reports the same again: a job that is done', async () => {
    const bed = await bedWithJobs();
    bed.fault.failNext('2', 'broken');
    await bed.drain();
    const before = bed.jobs();
    for (const { id } of before) bed.fault.duplicate(id);
    await bed.drain();
    const facts = ({ id, state, result, attemptsMade }: (typeof before)[number]) => [
      id,
      state,
      result,
      attemptsMade,
    ];
    expect(bed.jobs().map(facts)).toEqual(before.map(facts));
    expect(bed.value('k')).toBe(JOBS.replace('b', ''));
    expectExactlyOnce(bed);
    expect(() => bed.fault.duplicate('99')).toThrow('no job 99');
  });
});

const MOMENTS: WorkerMoment[] = [
  'before-take',
  'after-take',
  'before-commit',
  'after-commit',
  'after-acknowledge',
];

describe('crashing', () => {
  for (const moment of MOMENTS) {
    test.each([
      [1, 8],
      [2, 2],
      [3, 8],
    ])(`${moment}: ends exact with %i workers`, async (workers, concurrency) => {
      const bed = await bedWithJobs({ workers, concurrency, batchJobsMax: 6 });
      bed.fault.crashWorker(undefined, moment);
      bed.fault.crashWorker(undefined, moment);
      await expectExact(bed);
      expect(bed.fault.armed).toEqual([]);
      expect(bed.jobs().every(({ attemptsMade }) => attemptsMade === 1)).toBe(true);
    });

    test(`${moment}: ends exact though memcached is lost, too`, async () => {
      const bed = await bedWithJobs({ batchJobsMax: 6 });
      bed.fault.crashWorker(undefined, moment);
      await bed.runUntilIdle();
      bed.fault.restartMemcached();
      await expectExact(bed);
    });
  }

  test('after the commit leaves a cell ahead of Redis, which the next one acknowledges', async () => {
    const bed = await bedWithJobs({ workers: 1 });
    bed.fault.crashWorker(0, 'after-commit');
    await bed.runUntilIdle();
    expect(bed.value('k')).toBe(JOBS);
    expect(bed.lane('k').length).toBe(JOBS.length);
    expect(bed.job('1').state).toBe('active');
    await expectExact(bed);
    expect(eventNames(bed)).toContain('commitRecovered');
  });

  test('at once strikes the busiest; nobody takes its place if nobody should', async () => {
    const bed = await bedWithJobs({ workers: 1, restartMs: Number.POSITIVE_INFINITY });
    bed.fault.delayNext('1', 5_000);
    await bed.advance(10);
    bed.fault.crashWorker();
    await expect(bed.drain()).rejects.toThrow('worker 0 is dead');
  });

  test('does not put a death down to a job that was given back alive before', async () => {
    const bed = createTestBed({ updates: [append], workers: 1, stallsMax: 1 });
    const job = await bed.enqueue(append, { key: 'k', text: 'a' });
    bed.fault.crashWorker(0, 'after-take');
    bed.fault.delayNext(job, 1_000);
    while (bed.job(job).stalls === 0) await bed.advance(500);
    bed.fault.memcachedDown(true); // it is begun alone, and cannot be committed
    while (bed.job(job).state !== 'delayed') await bed.advance(500);
    bed.fault.memcachedDown(false);
    bed.fault.crashWorker(0, 'before-take');
    await bed.drain();
    expect(bed.job(job)).toMatchObject({ state: 'completed', stalls: 2 });
  });

  test('costs nobody else anything if it is always the same job', async () => {
    const bed = await bedWithJobs({ stallsMax: 2 });
    const killer = await bed.enqueue(append, { key: 'k', text: '?' });
    await bed.enqueue(append, { key: 'k', text: '!' });
    bed.fault.crashNext(killer, 1_000);
    await bed.drain();
    expect(bed.job(killer).error).toMatchObject({ code: 'JOB_STALLED_TOO_OFTEN' });
    expect(bed.value('k')).toBe(`${JOBS}!`);
    expectInOrder(bed);
    expectExactlyOnce(bed);
  });

  test('in the midst of an update ends exact', async () => {
    const bed = await bedWithJobs();
    bed.fault.crashNext(append);
    bed.fault.crashNext('9');
    await expectExact(bed);
  });

  test('is told of as long as it has not happened', async () => {
    const bed = await bedWithJobs();
    bed.fault.crashWorker(1, 'after-take');
    bed.fault.freezeWorker(undefined, 'before-commit');
    bed.fault.failNext('99', 'never');
    bed.fault.delayNext(append, 5);
    bed.fault.crashNext('98');
    expect(bed.fault.armed).toEqual([
      'fail job 99',
      'delay "append"',
      'crash job 98',
      'crash worker 1 after-take',
      'freeze a worker before-commit',
    ]);
    await bed.runUntilIdle();
    expect(bed.fault.armed).toEqual(expect.not.arrayContaining(['delay "append"']));
  });

  test('knows no other workers and moments', async () => {
    const bed = await bedWithJobs();
    expect(() => bed.fault.crashWorker(2)).toThrow('no worker 2');
    expect(() => bed.fault.crashWorker(0, 'sometime' as never)).toThrow('before-take');
  });
});

describe('a deleted value', () => {
  const erase = defineUpdate({
    name: 'erase',
    key: ({ key }: { key: string }) => key,
    initial: () => '',
    apply: () => DELETE_CELL,
  });

  // Its copy in Redis lives for three minutes. A commit built on it must not outlive it, or it would
  // look as if Redis had lost something (found by seed 622 of random faults).
  test.each([
    ['dies', 'crash'],
    ['freezes', 'freeze'],
  ])('is built upon by a worker that %s behind its commit', async (_what, how) => {
    const bed = createTestBed({ updates: [append, erase], workers: 1 });
    await bed.enqueue(erase, { key: 'k' });
    await bed.drain();
    await bed.advance(175_000);
    await bed.enqueue(append, { key: 'k', text: 'a' });
    if (how === 'crash') bed.fault.crashWorker(0, 'after-commit');
    else bed.fault.freezeWorker(0, 'after-commit');
    await bed.advance(600_000);
    bed.fault.thawWorker();
    await bed.drain();
    expect(bed.value('k')).toBe('a');
    expect(eventNames(bed)).not.toContain('laneHeld');
  });
});

describe('freezing', () => {
  for (const moment of MOMENTS) {
    test(`${moment}: another one takes over, and the frozen one does no harm`, async () => {
      const bed = await bedWithJobs({ batchJobsMax: 6, leaseMs: 2_000 });
      bed.fault.freezeWorker(undefined, moment);
      await bed.advance(45_000);
      bed.fault.thawWorker();
      await expectExact(bed);
    });
  }

  test('a commit that is late is refused', async () => {
    const bed = await bedWithJobs({ workers: 2, concurrency: 30 });
    bed.fault.freezeWorker(undefined, 'before-commit');
    await bed.advance(40_000);
    expect(bed.value('k')).toBe(JOBS); // the other one's
    expect(eventNames(bed)).toContain('leaseTakenOver');
    bed.fault.thawWorker();
    await bed.runUntilIdle();
    expect(eventNames(bed)).toContain('commitRefused');
    await expectExact(bed);
  });

  test('now, and thawing one of them', async () => {
    const bed = await bedWithJobs({ workers: 2 });
    bed.fault.freezeWorker(0);
    bed.fault.freezeWorker(1);
    await bed.advance(1_000);
    expect(bed.value('k')).toBeUndefined();
    bed.fault.thawWorker(1);
    await bed.runUntilIdle();
    expect(bed.value('k')).toBe(JOBS);
    await expectExact(bed);
  });
});

describe('memcached', () => {
  test.each([
    ['evicts the cell', (bed: TestBed) => bed.fault.evictCell('k'), 'cellRestored'],
    ['is flushed', (bed: TestBed) => bed.fault.flushMemcached(), 'cellRestored'],
    ['is restarted', (bed: TestBed) => bed.fault.restartMemcached(), 'cellRestored'],
  ])('%s: the value comes back with the next job', async (_what, strike, event) => {
    const bed = createTestBed({ updates: [append] });
    await bed.enqueue(append, { key: 'k', text: 'a' });
    await bed.drain();
    strike(bed);
    expect(bed.value('k')).toBeUndefined();
    await bed.enqueue(append, { key: 'k', text: 'b' });
    await bed.drain();
    expect(bed.value('k')).toBe('ab');
    expect(eventNames(bed)).toContain(event);
    await expectSequentialFold(bed);
  });

  test('evicts cells of lanes that cannot go on: told once each, when they are written', async () => {
    const failing = { attempts: 5, backoff: 100 };
    const fails = (attempt: number): void => {
      if (attempt < 5) throw new Error('not yet');
    };
    const slow = defineUpdate({
      name: 'slow',
      key: ({ key }: { key: string }) => key,
      apply: (value: string, _, { attempt }) => (fails(attempt), value),
    });
    const both = defineTransaction({
      name: 'both',
      keys: () => ['a', 'b'],
      apply: (values: [string, string], _: object, { attempt }) => (fails(attempt), values),
    });
    const bed = createTestBed({ updates: [append, slow, both] });
    for (const key of ['k', 'a', 'b']) await bed.enqueue(append, { key, text: key });
    await bed.drain();
    bed.fault.flushMemcached();
    await bed.enqueue(slow, { key: 'k' }, failing);
    await bed.enqueue(both, {}, failing);
    await bed.drain();
    const told = bed.events.filter(({ type }) => type === 'cellRestored');
    const keys = told.map((event) => (event as { key?: string }).key);
    expect(keys).toHaveLength(3);
    expect(new Set(keys)).toEqual(new Set(['a', 'b', 'k']));
    expect(['k', 'a', 'b'].map((key) => bed.value(key))).toEqual(['k', 'a', 'b']);
  });

  test('loses the value if there are no durable copies, and says so', async () => {
    const bed = createTestBed({ updates: [append], durableCopies: false });
    await bed.enqueue(append, { key: 'k', text: 'a' });
    await bed.drain();
    expect(bed.fault.evictCell('k')).toBe(true);
    expect(bed.fault.evictCell('k')).toBe(false);
    await bed.enqueue(append, { key: 'k', text: 'b' });
    await bed.drain();
    expect(bed.value('k')).toBe('b');
    expect(eventNames(bed)).toContain('cellLost');
    // The assertions see it as readers do: what was in the value is not any more.
    const lost = /job 1 was in the value of "k" and is not any more: .*\(cellLost\)/;
    expect(() => expectExactlyOnce(bed)).toThrow(lost);
    expect(() => expectExactlyOnce(bed, ['1'])).toThrow(lost);
    expectExactlyOnce(bed, ['2']);
    expect(() => expectInOrder(bed)).toThrow(lost);
    await expect(expectSequentialFold(bed)).rejects.toThrow(lost);
  });

  test('loses it for the assertions as soon as it is gone', async () => {
    for (const [durableCopies, isLost] of [
      [false, true],
      [true, false],
    ] as const) {
      const bed = createTestBed({ updates: [append], durableCopies });
      await bed.enqueue(append, { key: 'k', text: 'a' });
      await bed.drain();
      bed.fault.evictCell('k');
      if (!isLost) expectExactlyOnce(bed);
      else expect(() => expectExactlyOnce(bed)).toThrow('memcached lost it, and there is no copy');
    }
  });

  test('is not lost by deletion, by expiry, or by a restart that a copy survives', async () => {
    const brief = { ...append, name: 'brief', expireSeconds: 30 };
    const drop = { ...append, name: 'drop', apply: () => DELETE_CELL as never };
    for (const durableCopies of [true, false]) {
      const bed = createTestBed({ updates: [append, brief, drop], durableCopies });
      for (const update of [append, drop, append, brief, append]) {
        await bed.enqueue(update, { key: 'k', text: 'a' });
        await bed.drain();
      }
      await bed.enqueue(brief, { key: 'k', text: 'b' });
      await bed.drain();
      await bed.advance(60_000);
      expectExactlyOnce(bed);
      await bed.enqueue(append, { key: 'k', text: 'c' });
      await bed.drain();
      expectValue(bed, 'k', 'c');
      expectExactlyOnce(bed);
      expectInOrder(bed);
      await expectSequentialFold(bed);
    }
  });

  test('takes another value under the key for lost jobs', async () => {
    const bed = createTestBed({ updates: [append] });
    await bed.enqueue(append, { key: 'k', text: 'a' });
    await bed.drain();
    bed.fault.writeForeign('k', 'theirs');
    expect(() => expectExactlyOnce(bed)).toThrow('its cell cannot be read (FOREIGN_VALUE)');
  });

  test('evicts a lock that is held', async () => {
    const bed = await bedWithJobs();
    bed.fault.delayNext('1', 1_000);
    await bed.advance(500);
    expect(bed.fault.evictLock('k')).toBe(true);
    await expectExact(bed);
  });

  test('is out of reach for a while: no attempt is charged', async () => {
    const bed = await bedWithJobs();
    bed.fault.memcachedDown(true);
    await bed.advance(20_000);
    expect(bed.value('k')).toBeUndefined();
    await expect(bed.until(bed.cells.get('k'))).rejects.toMatchObject({
      code: 'MEMCACHED_UNREACHABLE',
    });
    bed.fault.memcachedDown(false);
    await expectExact(bed);
    expect(eventNames(bed)).toContain('unavailable');
  });

  test('holds a value of somebody else', async () => {
    const adopting = defineUpdate({
      ...append,
      name: 'adopting',
      schema: undefined,
      adopt: (bytes) => bytes.toString(),
    });
    const bed = createTestBed({ updates: [append, adopting] });
    bed.fault.writeForeign('k', 'old:');
    expect(() => bed.value('k')).toThrow('not written by Toril');
    await bed.enqueue(append, { key: 'k', text: 'a' });
    await expect(bed.drain()).rejects.toThrow('memcached holds a value under "k"');
    await bed.enqueue(adopting, { key: 'k', text: 'b' });
    await bed.drain();
    expect(bed.value('k')).toBe('old:ab');
    await expectSequentialFold(bed);
  });

  test('has no room for a large value', async () => {
    const bed = createTestBed({ updates: [append], itemSizeMax: 8_192 });
    const job = await bed.enqueue(append, { key: 'k', text: 'x'.repeat(10_000) });
    await bed.drain();
    expect(bed.job(job).error).toMatchObject({ code: 'VALUE_TOO_LARGE' });
  });
});
