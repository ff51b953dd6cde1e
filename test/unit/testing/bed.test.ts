/** toril/testing: enqueueing, running in virtual time, and looking. */
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { DELETE_CELL, defineUpdate } from '../../../src/updates/update.ts';
import { createTestBed } from '../../../src/testing.ts';

interface Account {
  cents: number;
  deposits: number;
}

const deposit = defineUpdate({
  name: 'deposit',
  schema: z.object({ account: z.string(), cents: z.number().int() }),
  key: ({ account }) => `account:${account}`,
  initial: (): Account => ({ cents: 0, deposits: 0 }),
  apply: (account, { cents }) => ({
    cents: account.cents + cents,
    deposits: account.deposits + 1,
  }),
  result: (account) => account?.cents,
});

interface Note {
  readonly key: string;
  readonly text?: string;
}

/** Appends to a list: order shows. */
const append = defineUpdate({
  name: 'append',
  key: ({ key }: Note) => key,
  initial: (): string[] => [],
  apply: (list, { text = '' }: Note) => [...list, text],
});

const close = defineUpdate({
  name: 'close',
  key: ({ key }: Note) => key,
  initial: (): string[] => [],
  apply: () => DELETE_CELL,
});

describe('enqueueing', () => {
  test('does nothing until the bed is run', async () => {
    const bed = createTestBed({ updates: [deposit] });
    const job = await bed.enqueue(deposit, { account: 'ada', cents: 250 });
    expect(job).toEqual({ id: '1', key: 'account:ada' });
    expect(bed.job(job).state).toBe('waiting');
    expect(bed.value('account:ada')).toBeUndefined();
    expect(bed.lane('account:ada')).toMatchObject({ length: 1, jobs: [{ jobId: '1' }] });
    await bed.runUntilIdle();
    expect(bed.value<Account>('account:ada')).toEqual({ cents: 250, deposits: 1 });
    expect(bed.job(job)).toMatchObject({
      name: 'deposit',
      data: { account: 'ada', cents: 250 },
      state: 'completed',
      result: 250,
      error: undefined,
      attemptsMade: 1,
      deliveries: 1,
      stalls: 0,
    });
    expect(bed.lane('account:ada')).toMatchObject({
      length: 0,
      copy: { cents: 250, deposits: 1 },
      token: bed.cell('account:ada')?.token,
    });
  });

  test('checks as Queue does', async () => {
    const bed = createTestBed({ updates: [deposit, append] });
    const refusals = [
      ['INVALID_DATA', () => bed.enqueue(deposit, { account: 'ada', cents: 0.5 })],
      ['DATA_NOT_JSON', () => bed.enqueue(append, { key: 'k', text: 1n as never })],
      ['INVALID_KEY', () => bed.enqueue(append, { key: '' })],
      ['UNKNOWN_UPDATE', () => bed.enqueue(close, { key: 'k' })],
      ['DUPLICATE_UPDATE', () => bed.enqueue({ ...append }, { key: 'k' })],
      ['INVALID_JOB_ID', () => bed.enqueue(append, { key: 'k' }, { jobId: '7' })],
      ['INVALID_JOB_ID', () => bed.enqueue(append, { key: 'k' }, { jobId: 'a:b' })],
      [
        'PARENT_MISSING',
        () => bed.enqueue(append, { key: 'k' }, { parent: { id: 'p', queue: 'q' } }),
      ],
    ] as const;
    for (const [code, enqueue] of refusals) {
      await expect(enqueue()).rejects.toMatchObject({ code });
    }
    await expect(bed.enqueue(append, { key: 'k' }, { priority: 1.5 })).rejects.toThrow('be float');
    expect(bed.jobs()).toEqual([]);
  });

  test('adds all jobs of a bulk, or none', async () => {
    const bed = createTestBed({ updates: [append] });
    const one = { update: append, data: { key: 'k', text: 'a' } };
    await expect(
      bed.enqueueBulk([one, { update: append, data: { key: '' } }]),
    ).rejects.toMatchObject({ code: 'INVALID_KEY' });
    expect(bed.jobs()).toEqual([]);
    const added = await bed.enqueueBulk([one, { ...one, options: { delay: 5 } }]);
    expect(added.map(({ id }) => bed.job(id).state)).toEqual(['waiting', 'delayed']);
  });

  test('adds nothing under an id that is taken', async () => {
    const bed = createTestBed({ updates: [append] });
    const first = await bed.enqueue(append, { key: 'k', text: 'first' }, { jobId: 'mine' });
    const second = await bed.enqueue(append, { key: 'k', text: 'second' }, { jobId: 'mine' });
    expect(second).toEqual(first);
    await bed.drain();
    expect(bed.value('k')).toEqual(['first']);
  });

  test('delivers by priority, but applies in the order of the lane', async () => {
    const bed = createTestBed({ updates: [append], workers: 1, concurrency: 1 });
    const add = (key: string, text: string, priority?: number) =>
      bed.enqueue(append, { key, text }, priority === undefined ? {} : { priority });
    await add('k', 'low', 9);
    await add('k', 'high', 1);
    await add('other', 'x', 5);
    await add('third', 'x');
    await bed.drain();
    expect(bed.value('k')).toEqual(['low', 'high']);
    const committed = bed.events.filter(({ type }) => type === 'committed');
    expect(committed.map(({ key }) => key)).toEqual(['third', 'k', 'other']);
  });
});

describe('virtual time', () => {
  test('passes only when it is told to', async () => {
    const bed = createTestBed({ updates: [append], now: new Date('2030-05-01T12:00:00Z') });
    const job = await bed.enqueue(append, { key: 'k', text: 'later' }, { delay: 60_000 });
    await bed.runUntilIdle();
    expect(bed.job(job)).toMatchObject({ state: 'delayed', delayedFor: 'delay' });
    expect(bed.now).toBe(Date.parse('2030-05-01T12:00:00Z'));
    await bed.advance(59_999);
    expect(bed.job(job).state).toBe('delayed');
    await bed.advance(1);
    expect(bed.job(job).state).toBe('completed');
    expect(bed.now).toBe(Date.parse('2030-05-01T12:01:00Z'));
  });

  test('is what an update sees', async () => {
    const seen: number[] = [];
    const stamp = defineUpdate({
      name: 'stamp',
      key: ({ key }: Note) => key,
      initial: () => 0,
      apply: (_value, _data: Note, { now }) => {
        seen.push(now);
        return now;
      },
    });
    const bed = createTestBed({ updates: [stamp], now: 5_000 });
    await bed.enqueue(stamp, { key: 'k' });
    await bed.advance(1_000);
    await bed.enqueue(stamp, { key: 'k' });
    await bed.drain();
    expect(seen).toEqual([5_000, 6_000]);
  });

  test('lets a failed job back off, as BullMQ reckons it', async () => {
    const bed = createTestBed({ updates: [append] });
    const backoff = { type: 'exponential', delay: 1_000 } as const;
    const job = await bed.enqueue(append, { key: 'k', text: 'x' }, { attempts: 4, backoff });
    bed.fault.failNext(job, 'not yet', 3);
    const tries: number[] = [];
    for (let second = 0; second <= 8; second++) {
      await bed.advance(second === 0 ? 0 : 1_000);
      tries.push(bed.job(job).attemptsMade);
    }
    expect(tries).toEqual([1, 2, 2, 3, 3, 3, 3, 4, 4]);
    expect(bed.job(job)).toMatchObject({ state: 'completed', deliveries: 4 });
  });

  test('lets a value expire', async () => {
    const session = defineUpdate({
      name: 'session',
      key: ({ key }: Note) => key,
      initial: () => 0,
      apply: (visits: number) => visits + 1,
      expireSeconds: 60,
    });
    const bed = createTestBed({ updates: [session] });
    await bed.enqueue(session, { key: 'k' });
    await bed.advance(58_000);
    expect(bed.value('k')).toBe(1);
    await bed.advance(2_000);
    expect(bed.value('k')).toBeUndefined();
    await bed.enqueue(session, { key: 'k' });
    await bed.drain();
    expect(bed.value('k')).toBe(1);
  });

  test('waits for what an update does in real time', async () => {
    const slow = defineUpdate({
      name: 'slow',
      key: ({ key }: Note) => key,
      initial: () => 0,
      apply: async (value: number) => {
        await new Promise((resolve) => void setTimeout(resolve, 30));
        return value + 1;
      },
    });
    const bed = createTestBed({ updates: [slow] });
    await bed.enqueue(slow, { key: 'k' });
    await bed.enqueue(slow, { key: 'k' });
    await bed.runUntilIdle();
    expect(bed.value('k')).toBe(2);
  });

  test('goes on past an update that never settles, and times it out', async () => {
    const stuck = defineUpdate({
      name: 'stuck',
      key: ({ key }: Note) => key,
      initial: () => 0,
      apply: () => new Promise<number>(() => {}),
      timeoutMs: 5_000,
    });
    const bed = createTestBed({ updates: [stuck], realWaitMs: 20 });
    const job = await bed.enqueue(stuck, { key: 'k' });
    await bed.drain();
    expect(bed.job(job).error).toMatchObject({ code: 'UPDATE_TIMED_OUT' });
    expect(bed.now - 1_704_067_200_000).toBeLessThan(6_000);
  });

  test('is moved by one caller at a time', async () => {
    const bed = createTestBed({ updates: [append] });
    const running = bed.advance(10);
    await expect(bed.runUntilIdle()).rejects.toThrow('running already');
    await running;
    await expect(bed.advance(-1)).rejects.toThrow(RangeError);
    await bed.runUntilIdle();
  });
});

describe('draining', () => {
  test('goes through delays and backoffs to the end', async () => {
    const bed = createTestBed({ updates: [append] });
    await bed.enqueue(append, { key: 'k', text: 'late' }, { delay: 3_600_000 });
    const job = await bed.enqueue(append, { key: 'k', text: 'x' }, { attempts: 2, backoff: 9_000 });
    bed.fault.failNext(job, 'once');
    await bed.drain();
    expect(bed.value('k')).toEqual(['x', 'late']);
  });

  test('says which jobs are stuck, and why', async () => {
    const hold = defineUpdate({ ...append, name: 'hold', onExhausted: 'hold', schema: undefined });
    const bed = createTestBed({ updates: [hold], workers: 1 });
    const first = await bed.enqueue(hold, { key: 'k' });
    await bed.enqueue(hold, { key: 'k' });
    bed.fault.failNext(first, 'no such account');
    await expect(bed.drain()).rejects.toThrow(
      /nothing goes on any more.*1 job is not done:\n  job 2 .*behind job 1, which failed and holds the lane: no such account/s,
    );
    expect(bed.lane('k')).toMatchObject({ heldBy: '1', length: 2 });
  });

  test.each([
    ['memcached is down', (bed: ReturnType<typeof createTestBed>) => bed.fault.memcachedDown(true)],
    ['worker 0 is frozen', (bed: ReturnType<typeof createTestBed>) => bed.fault.freezeWorker(0)],
  ])('says that %s', async (why, strike) => {
    const bed = createTestBed({ updates: [append], workers: 1 });
    await bed.enqueue(append, { key: 'k' });
    strike(bed);
    await expect(bed.drain()).rejects.toThrow(why);
  });

  test('stops at its limit', async () => {
    const bed = createTestBed({ updates: [append] });
    await bed.enqueue(append, { key: 'k' }, { delay: 50_000 });
    await expect(bed.drain({ limitMs: 20_000 })).rejects.toThrow(
      /job 1 .* is delayed, due in \d+ ms/,
    );
    await bed.drain();
  });

  test('ends at once when nothing is left', async () => {
    const bed = createTestBed({ updates: [append] });
    await bed.drain();
    expect(bed.now).toBe(1_704_067_200_000);
  });
});

describe('looking', () => {
  test('shows what was applied, and every event with its worker and time', async () => {
    const bed = createTestBed({ updates: [append, close] });
    for (const text of ['a', 'b']) await bed.enqueue(append, { key: 'k', text });
    await bed.enqueue(close, { key: 'k' });
    await bed.enqueue(append, { key: 'k', text: 'c' });
    await bed.drain();
    expect(bed.history('k')).toEqual(['1', '2', '3', '4']);
    expect(bed.value('k')).toEqual(['c']);
    const [committed] = bed.events;
    expect(committed).toMatchObject({ type: 'committed', key: 'k', jobs: 4, atMs: 0 });
    expect([0, 1]).toContain(committed?.worker);
    expect(() => bed.job('99')).toThrow('no job 99');
    expect(() => bed.value('')).toThrow('key is empty');
  });

  test('lets an operator act', async () => {
    const hold = defineUpdate({ ...append, name: 'hold', onExhausted: 'hold', schema: undefined });
    const bed = createTestBed({ updates: [hold] });
    for (const text of ['a', 'b', 'c']) await bed.enqueue(hold, { key: 'k', text });
    bed.fault.failNext('1', 'broken');
    bed.fault.failNext('2', 'broken');
    await bed.runUntilIdle();
    await expect(bed.operator('other').retry()).rejects.toMatchObject({ code: 'LANE_NOT_HELD' });
    expect((await bed.operator('k').report()).heldBy).toBe('1');
    await bed.operator('k').retry();
    await bed.runUntilIdle();
    expect(bed.value('k')).toEqual(['a']);
    await bed.operator('k').drop();
    await bed.drain();
    expect(bed.value('k')).toEqual(['a', 'c']);
    expect(bed.job('2').error).toMatchObject({ code: 'JOB_DROPPED' });
  });

  test('reads cells and holds locks as other programs do', async () => {
    const bed = createTestBed({ updates: [append] });
    await bed.enqueue(append, { key: 'k', text: 'a' });
    await bed.drain();
    expect(await bed.cells.get('k')).toEqual(['a']);
    const token = await bed.locks.withLease('own', (held) => {
      held.write((Number(held.value) || 0) + 1);
      return held.token;
    });
    expect(token).toBeGreaterThan(bed.cell('k')?.token ?? Infinity);
    expect(await bed.cells.get('own')).toBe(1);
    const first = bed.locks.withLease('own', () => bed.now);
    const second = bed.locks.withLease('own', () => bed.now);
    expect(await bed.until(Promise.all([first, second]))).toHaveLength(2);
    await expect(bed.until(new Promise(() => {}), { limitMs: 5 })).rejects.toThrow('pending');
  });
});

describe('a bed', () => {
  const story = async (seed: string) => {
    const bed = createTestBed({ updates: [deposit], seed, workers: 3, concurrency: 2 });
    for (let job = 0; job < 60; job++) {
      await bed.enqueue(deposit, { account: `a${job % 5}`, cents: job }, { attempts: 2 });
    }
    bed.fault.failNext('7', 'once');
    bed.fault.crashWorker(undefined, 'after-commit');
    await bed.drain();
    return JSON.stringify([bed.events, bed.jobs(), bed.now]);
  };

  test('tells the same story for the same seed, and another one for another', async () => {
    const first = await story('one');
    expect(await story('one')).toBe(first);
    expect(await story('two')).not.toBe(first);
  });

  test('applies a thousand jobs in well under a second', async () => {
    // Of this process's own time, however busy the machine is.
    const before = process.cpuUsage();
    const bed = createTestBed({ updates: [deposit] });
    for (let job = 0; job < 1_000; job++) {
      await bed.enqueue(deposit, { account: `a${job % 100}`, cents: 1 });
    }
    await bed.drain();
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1_000).toBeLessThan(1_000);
    expect(bed.value<Account>('account:a7')).toEqual({ cents: 10, deposits: 10 });
  });

  test.each([
    [{ updates: [] }, 'updates'],
    [{ updates: [deposit, { ...append, name: 'deposit' }] }, 'two updates'],
    [{ updates: [deposit], workers: 0 }, 'workers'],
    [{ updates: [deposit], now: Number.NaN }, 'now'],
    [{ updates: [deposit], leaseMs: 500 }, 'leaseMs'],
    [{ updates: [deposit], restartMs: -1 }, 'restartMs'],
  ])('refuses %j', (options, what) => {
    expect(() => createTestBed(options)).toThrow(what);
  });
});
