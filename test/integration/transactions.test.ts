/** Jobs of several keys: all or nothing, in order, exactly once. */
import { once } from 'node:events';
import { UnrecoverableError } from 'bullmq';
import { describe, expect, it } from 'vitest';
import { type AnyUpdate, DELETE_CELL, defineTransaction, defineUpdate } from '../../src/index.ts';
import { type Stage, stage } from '../support/workers.ts';

const HOUR_MS = 3_600_000;

interface Account {
  cents: number;
  log: string[];
}

interface Transfer {
  readonly from: string;
  readonly to: string;
  readonly cents: number;
}

const transfer = defineTransaction({
  name: 'transfer',
  keys: ({ from, to }: Transfer) => [from, to],
  initial: (): Account => ({ cents: 100, log: [] }),
  apply: ([from, to], { cents }, { jobId }) => {
    if (from.cents < cents) throw new UnrecoverableError('no cover');
    return [
      { cents: from.cents - cents, log: [...from.log, jobId] },
      { cents: to.cents + cents, log: [...to.log, jobId] },
    ];
  },
  result: ([from]) => from?.cents,
});
const deposit = defineUpdate({
  name: 'deposit',
  key: ({ to }: { to: string; cents: number }) => to,
  initial: (): Account => ({ cents: 100, log: [] }),
  apply: ({ cents, log }, data, { jobId }) => ({ cents: cents + data.cents, log: [...log, jobId] }),
});
const updates: AnyUpdate[] = [transfer, deposit];

const cents = async (here: Stage, key: string): Promise<number | undefined> =>
  (await here.cells.read<Account>(key))?.value?.cents;

describe('a transaction', () => {
  it('changes both values, and returns its result', async () => {
    const here = stage({ updates });
    await here.worker();
    const [a, b] = [here.key('a'), here.key('b')];
    const job = await here.queue.enqueue(transfer, { from: a, to: b, cents: 30 });
    const [done] = await here.finished([job]);
    expect(done?.returnvalue).toBe(70);
    expect([await cents(here, a), await cents(here, b)]).toEqual([70, 130]);
    expect(await here.queue.inRedis.lanes.behind()).toEqual([]);
  });

  // The counter stays ahead of a clock that was set back, or of a replica's: an hour passes before a token is in the past.
  it('whose driver died before it said that the cells are written is seen to, also by a clock that is behind', async () => {
    const here = stage({ updates });
    const worker = await here.worker();
    const [a, b] = [here.key('a'), here.key('b')];
    await here.redis.set(here.ownKey('sequence'), `${(Date.now() + HOUR_MS) * 1000}`);
    const job = await here.queue.enqueue(transfer, { from: a, to: b, cents: 30 });
    await here.finished([job]);
    const { token = 0 } = (await here.cells.read(a)) ?? {};
    const settled = once(worker, 'cellsSettled');
    await here.redis.zadd(here.ownKey('behind'), token, JSON.stringify([`${token}`, a, b]));
    expect(await settled).toEqual([{ key: a, keys: [a, b], token }]);
  });

  it('that fails leaves both as they were', async () => {
    const here = stage({ updates });
    await here.worker();
    const [a, b] = [here.key('a'), here.key('b')];
    const jobs = [
      await here.queue.enqueue(transfer, { from: a, to: b, cents: 30 }),
      await here.queue.enqueue(transfer, { from: a, to: b, cents: 80 }),
    ];
    const [, failed] = await here.finished(jobs);
    expect(failed?.failedReason).toBe('no cover');
    expect([await cents(here, a), await cents(here, b)]).toEqual([70, 130]);
  });

  it('goes with updates of one key in the order in which all were added', async () => {
    const here = stage({ updates });
    const [a, b, c] = [here.key('a'), here.key('b'), here.key('c')];
    const jobs = await here.queue.enqueueBulk([
      { update: deposit, data: { to: a, cents: 1 } },
      { update: transfer, data: { from: a, to: b, cents: 101 } },
      { update: deposit, data: { to: b, cents: 1 } },
      { update: transfer, data: { from: b, to: c, cents: 202 } },
      { update: transfer, data: { from: c, to: a, cents: 302 } },
      { update: deposit, data: { to: a, cents: 1 } },
    ]);
    await here.worker({ concurrency: 8 });
    const done = await here.finished(jobs);
    expect(done.map(({ failedReason }) => failedReason)).toEqual(jobs.map(() => undefined));
    expect([await cents(here, a), await cents(here, b), await cents(here, c)]).toEqual([303, 0, 0]);
  });

  it('among many accounts on two servers keeps the sum, in order', async () => {
    const here = stage({ updates });
    const workers = [
      await here.worker({ concurrency: 16 }),
      await here.worker({ concurrency: 16 }),
    ];
    const keys = Array.from({ length: 8 }, (_, at) => here.key(at));
    const jobs = await here.queue.enqueueBulk(
      Array.from({ length: 300 }, (_, at) => ({
        update: transfer,
        data: {
          from: keys[at % 8] as string,
          to: keys[(at * 3 + 1 + (at % 8 === (at * 3 + 1) % 8 ? 1 : 0)) % 8] as string,
          cents: 1,
        },
      })).filter(({ data }) => data.from !== data.to),
    );
    await here.finished(jobs);
    const states = await Promise.all(keys.map((key) => here.cells.read<Account>(key)));
    expect(states.reduce((sum, state) => sum + (state?.value?.cents ?? 0), 0)).toBe(800);
    for (const [at, key] of keys.entries()) {
      const its = jobs.filter(
        ({ data }) => (data as Transfer).from === key || (data as Transfer).to === key,
      );
      expect(states[at]?.value?.log).toEqual(its.map(({ id }) => id));
    }
    expect(workers).toHaveLength(2);
  });

  it('that is due later enters all its lanes when it is delivered', async () => {
    const here = stage({ updates });
    await here.worker();
    const [a, b] = [here.key('a'), here.key('b')];
    const job = await here.queue.enqueue(transfer, { from: a, to: b, cents: 30 }, { delay: 50 });
    const [done] = await here.finished([job]);
    expect(done?.returnvalue).toBe(70);
    expect([await cents(here, a), await cents(here, b)]).toEqual([70, 130]);
  });

  it('is tried again after its backoff, and holds both keys meanwhile', async () => {
    let failures = 2;
    const flaky = defineTransaction({
      name: 'flaky',
      keys: ({ from, to }: Transfer) => [from, to],
      initial: (): Account => ({ cents: 100, log: [] }),
      apply: ([from, to], _data, { jobId }) => {
        from.log.push(jobId); // spoils what it was given
        if (failures-- > 0) throw new Error('not yet');
        return [from, { ...to, log: [...to.log, jobId] }];
      },
    });
    const here = stage({ updates: [...updates, flaky] });
    await here.worker({ concurrency: 4 });
    const [a, b] = [here.key('a'), here.key('b')];
    const options = { attempts: 3, backoff: 20 };
    const first = await here.queue.enqueue(flaky, { from: a, to: b, cents: 0 }, options);
    const second = await here.queue.enqueue(deposit, { to: b, cents: 1 });
    await here.finished([first, second]);
    expect((await here.cells.read<Account>(a))?.value?.log).toEqual([first.id]);
    expect((await here.cells.read<Account>(b))?.value?.log).toEqual([first.id, second.id]);
    expect(failures).toBe(-1);
  });

  it('may delete a value', async () => {
    const close = defineTransaction({
      name: 'close',
      keys: ({ from, to }: Transfer) => [from, to],
      initial: (): Account => ({ cents: 100, log: [] }),
      apply: ([from, to]) => [DELETE_CELL, { ...to, cents: to.cents + from.cents }],
    });
    const here = stage({ updates: [...updates, close] });
    await here.worker();
    const [a, b] = [here.key('a'), here.key('b')];
    await here.finished([await here.queue.enqueue(close, { from: a, to: b, cents: 0 })]);
    expect(await cents(here, a)).toBeUndefined();
    expect(await cents(here, b)).toBe(200);
  });
});
