/** What users get wrong, each with a code and with nothing lost: the jobs around it are exact. */
import { type } from 'arktype';
import { type Job, Queue as BullQueue } from 'bullmq';
import * as v from 'valibot';
import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { type AnyUpdate, defineUpdate, Queue, Worker } from '../../src/index.ts';
import { memcachedAddresses, startMemcached } from '../support/servers.ts';
import { log, type Entry } from '../support/updates.ts';
import {
  enqueueLog,
  entries,
  expectExact,
  nextEvent,
  QUICK,
  quickly,
  type Stage,
  stage,
} from '../support/workers.ts';

const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );

async function jobsIn({ queue }: Stage): Promise<number> {
  return Object.values(await queue.getJobCounts()).reduce((sum, count) => sum + count, 0);
}

describe('keys', () => {
  it.each([
    ['empty', '', /empty/],
    ['over-long', 'k'.repeat(1025), /1025 bytes/],
    ['over-long in UTF-8', 'ü'.repeat(513), /1026 bytes/],
    ['reserved', 'toril:mine', /keeps for itself/],
    ['half a surrogate pair', 'a\ud800', /surrogate/],
    ['no strings', 7, /type number/],
    ['missing', undefined, /type undefined/],
  ])('that are %s are refused when the job is added', async (_, key, message) => {
    const here = stage();
    const thrown = await failure(here.queue.enqueue(log, { key: key as string, n: 0 }));
    expect(thrown).toMatchObject({ code: 'INVALID_KEY', message: expect.stringMatching(message) });
    const bulk = failure(
      enqueueLog(here, [...entries(here.key(), 3), { key: key as string, n: 3 }]),
    );
    expect(await bulk).toMatchObject({ code: 'INVALID_KEY' });
    expect(await jobsIn(here)).toBe(0);
  });

  it.each([
    ['binary', '\u0000\u0001\r\n\t'],
    ['with blanks', 'two words'],
    ['long', 'k'.repeat(900)],
    ['in UTF-8', '🐂'.repeat(200)],
    ['with colons and braces', '{a}:lane:copy:*?[x]'],
    ['as JavaScript has them already', '__proto__'],
  ])('that are %s are keys like any other', async (_, text) => {
    const here = stage();
    const key = here.key(text);
    const jobs = await enqueueLog(here, entries(key, 5));
    await here.worker();
    expect(await expectExact(here, key, await here.finished(jobs))).toEqual([0, 1, 2, 3, 4]);
    expect(await here.cells.getMany([key])).toHaveProperty('size', 1);
  });

  it('that plain BullMQ adds fail their own job, and no other', async () => {
    const here = stage();
    const plain = new BullQueue(here.name, { connection: { url: here.redisUrl } });
    const bad = await plain.add('log', { key: '', n: 0 });
    const good = await plain.add('log', { key: here.key(), n: 1 });
    await plain.close();
    await here.worker();
    const finished = await here.finished([bad, good]);
    expect(finished[0]?.failedReason).toMatch(/names no usable key: the key is empty/);
    expect(await expectExact(here, here.key(), [finished[1] as Job])).toEqual([1]);
  });
});

describe('data', () => {
  const settings = {
    key: ({ key }: { key: string }) => key,
    initial: () => 0,
    apply: (sum: number, { by }: { by: number }) => sum + by,
  };
  const asynchronous: StandardSchemaV1<{ key: string; by: number }> = {
    '~standard': {
      version: 1,
      vendor: 'test',
      validate: async (value) =>
        typeof (value as { by?: unknown }).by === 'number'
          ? { value: value as { key: string; by: number } }
          : { issues: [{ message: 'not a number', path: [{ key: 'by' }] }] },
    },
  };
  const updates: AnyUpdate[] = [
    defineUpdate({
      ...settings,
      name: 'zod',
      schema: z.object({ key: z.string(), by: z.number() }),
    }),
    defineUpdate({
      ...settings,
      name: 'valibot',
      schema: v.object({ key: v.string(), by: v.number() }),
    }),
    defineUpdate({ ...settings, name: 'arktype', schema: type({ key: 'string', by: 'number' }) }),
    defineUpdate({ ...settings, name: 'asynchronous', schema: asynchronous }),
  ];

  it.each(updates.map((update) => [update.name, update] as const))(
    'that does not fit its schema is refused when it is added and when it is applied (%s)',
    async (name, update) => {
      const here = stage({ updates });
      const key = here.key();
      const thrown = await failure(here.queue.enqueue(update, { key, by: 'much' }));
      expect(thrown).toMatchObject({
        code: 'INVALID_DATA',
        message: expect.stringMatching(new RegExp(`"${name}" does not fit its schema: .*by`)),
      });
      const plain = new BullQueue(here.name, { connection: { url: here.redisUrl } });
      const bad = await plain.add(name, { key, by: 'much' }, { attempts: 2 });
      await plain.close();
      const good = await here.queue.enqueue(update, { key, by: 2 });
      await here.worker();
      const [failed] = await here.finished([bad, good]);
      expect(failed?.failedReason).toMatch(/does not fit its schema/);
      expect(await here.cells.get(key)).toBe(2);
    },
  );

  it.each([
    ['circular', circular(), /circular/i],
    ['a BigInt', { key: 'k', n: 1n }, /BigInt/],
    ['a function', () => undefined, /function/],
    ['a symbol', Symbol('no'), /symbol/],
  ])('that is no JSON is refused when it is added (%s)', async (_, data, message) => {
    const here = stage();
    const thrown = await failure(here.queue.enqueue(log, data as unknown as Entry));
    expect(thrown).toMatchObject({
      code: 'DATA_NOT_JSON',
      message: expect.stringMatching(message),
    });
    expect(await jobsIn(here)).toBe(0);
  });

  function circular(): unknown {
    const data: Record<string, unknown> = { key: 'k' };
    data['self'] = data;
    return data;
  }

  it('is checked as it will come out of the queue, not as it went in', async () => {
    const dated = defineUpdate({
      name: 'dated',
      schema: z.object({ at: z.date() }),
      key: () => 'k',
      initial: () => 0,
      apply: (count: number) => count + 1,
    });
    const here = stage({ updates: [dated] });
    const thrown = await failure(here.queue.enqueue(dated, { at: new Date() }));
    expect(thrown).toMatchObject({ code: 'INVALID_DATA' });
  });
});

describe('updates', () => {
  it('that are not registered are refused when they are added', async () => {
    const here = stage();
    const thrown = await failure(here.queue.add('nobody', { key: here.key() }));
    expect(thrown).toMatchObject({
      code: 'UNKNOWN_UPDATE',
      message: expect.stringMatching(/"nobody".*known: log/),
    });
    expect(await jobsIn(here)).toBe(0);
  });

  it('that a worker does not know wait for one that does', async () => {
    const other = defineUpdate({ ...log, schema: undefined, name: 'other' });
    const here = stage({ updates: [log, other] });
    const jobs = await here.queue.enqueueBulk([
      { update: log, data: { key: here.key(), n: 0 } },
      { update: other, data: { key: here.key(), n: 1 } },
      { update: log, data: { key: here.key(), n: 2 } },
    ]);
    const old = here.startWorker({ updates: [log] });
    expect(await nextEvent(old, 'updateUnknown')).toMatchObject({ name: 'other' });
    await here.worker();
    const finished = await here.finished(jobs);
    expect(await expectExact(here, here.key(), finished)).toEqual([0, 1, 2]);
    expect(finished.map((job) => job.attemptsMade)).toEqual([1, 1, 1]);
  });

  const odd = defineUpdate({
    name: 'odd',
    key: ({ key }: { key: string; what: string }) => key,
    initial: () => ({ count: 0 }),
    apply: (value: { count: number; odd?: unknown }, { what }, { signal }): never => {
      value.count += 100; // must not show
      switch (what) {
        case 'nothing':
          return undefined as never;
        case 'a string thrown':
          throw 'just words'; // oxlint-disable-line only-throw-error
        case 'undefined thrown':
          throw undefined; // oxlint-disable-line only-throw-error
        case 'a promise of nothing':
          return Promise.resolve(undefined) as never;
        case 'a rejection with a string':
          return Promise.reject('just words') as never; // oxlint-disable-line prefer-promise-reject-errors
        case 'never':
          return new Promise(() => {}) as never;
        case 'never, but it listens':
          return new Promise((_, reject) => {
            signal.addEventListener('abort', () => reject(signal.reason as Error));
          }) as never;
        case 'a Date':
          return { ...value, odd: new Date() } as never;
        case 'a Map':
          return new Map([['a', 1]]) as never;
        case 'NaN':
          return { ...value, odd: [1, Number.NaN] } as never;
        case 'a BigInt':
          return { ...value, odd: 1n } as never;
        case 'a function':
          return { ...value, odd: () => 1 } as never;
        case 'a circle':
          value.odd = value;
          return value as never;
        default:
          value.count -= 99;
          return value as never;
      }
    },
    timeoutMs: 200,
  });

  it.each([
    ['nothing', /returned undefined/],
    ['a promise of nothing', /returned undefined/],
    ['a string thrown', /threw "just words", which is not an Error/],
    ['undefined thrown', /threw undefined, which is not an Error/],
    ['a rejection with a string', /threw "just words", which is not an Error/],
    ['never', /did not settle within 200 ms/],
    ['never, but it listens', /did not settle within 200 ms/],
    ['a Date', /JSON cannot hold: a Date at "odd"/],
    ['a Map', /JSON cannot hold: a Map at the top/],
    ['NaN', /JSON cannot hold: NaN at "odd\[1\]"/],
    ['a BigInt', /JSON cannot hold: bigint at "odd"/],
    ['a function', /JSON cannot hold: function at "odd"/],
    ['a circle', /JSON cannot hold: a circle/],
  ])('that return or throw %s fail their job; the value stays as it was', async (what, message) => {
    const here = stage({ updates: [odd] });
    const key = here.key();
    const jobs = await here.queue.enqueueBulk(
      ['good', what, 'good'].map((one) => ({ update: odd, data: { key, what: one } })),
    );
    await here.worker({ concurrency: 4 });
    const finished = await here.finished(jobs, 10_000);
    expect(finished.map((job) => job.failedReason?.length ?? 0)).toEqual([
      0,
      expect.any(Number),
      0,
    ]);
    expect(finished[1]?.failedReason).toMatch(message);
    expect(await here.cells.get(key)).toEqual({ count: 2 });
  });

  it('that find no value and have no initial one fail their job', async () => {
    const bare = defineUpdate({
      name: 'bare',
      key: (data: { key: string }) => data.key,
      apply: (value: number) => value + 1,
    });
    const here = stage({ updates: [bare] });
    await here.worker();
    const [job] = await here.finished([await here.queue.enqueue(bare, { key: here.key() })]);
    expect(job?.failedReason).toMatch(/no value yet, and the update "bare" has no "initial"/);
  });
});

describe('servers', () => {
  it('that are no longer those registered for the queue are refused', async () => {
    const here = stage();
    await here.worker();
    const another = await startMemcached();
    const worker = here.startWorker({
      memcached: quickly([...memcachedAddresses(), another.address]),
    });
    expect(await failure(worker.waitUntilReady())).toMatchObject({
      code: 'SERVER_LIST_CHANGED',
      message: expect.stringMatching(/toril servers --accept/),
    });
    await worker.close();
    await another.stop();
  });

  it('whose CAS is switched off are refused', async () => {
    const memcached = await startMemcached({ flags: ['-C'] });
    const here = stage({ memcached: quickly(memcached.address) });
    const jobs = await enqueueLog(here, entries(here.key(), 1));
    const worker = here.startWorker();
    expect(await failure(worker.waitUntilReady())).toMatchObject({
      code: 'MEMCACHED_CAS_DISABLED',
    });
    expect(await jobs[0]?.getState()).toBe('waiting');
    await worker.close();
    await memcached.stop();
  });
});

describe('options', () => {
  const connection = { url: 'redis://127.0.0.1:1', lazyConnect: true };
  const memcached = quickly('127.0.0.1:1');
  const good = { connection, memcached, updates: [log], autorun: false };
  const create = (changes: object): unknown => {
    try {
      return new Worker('q', { ...good, ...QUICK, ...changes });
    } catch (thrown) {
      return thrown;
    }
  };

  it.each([
    [
      { leaseMs: 500, memcached: { servers: 'a', requestDeadlineMs: 500 } },
      /leaseMs \(500\).*requestDeadlineMs \(500\)/,
    ],
    [{ leaseMs: 50 }, /leaseMs must be a whole number from 100/],
    [{ leaseMs: Number.NaN }, /leaseMs must be a whole number/],
    [{ leaseMs: '600' }, /leaseMs must be a whole number/],
    [{ patienceMs: 5_000, snoozeMsMax: 100 }, /patienceMs \(5000\).*snoozeMsMax \(100\)/],
    [{ batchJobsMax: 0 }, /batchJobsMax must be a whole number from 1/],
    [{ batchJobsMax: 1.5 }, /batchJobsMax must be a whole number/],
    [{ durableCopies: 'no' }, /durableCopies must be true or false/],
    [{ maxStartedAttempts: 3 }, /maxStartedAttempts counts deliveries/],
    [{ updates: [] }, /updates is missing or empty/],
    [{ updates: undefined }, /updates is missing or empty/],
    [{ updates: [{}] }, /what defineUpdate\(\) or defineTransaction\(\) returned/],
    [{ memcached: undefined }, /names no server, nor does the environment/],
    [{ memcached: [] }, /names no server/],
    [{ memcached: ['a', 'a'] }, /names a:11211 twice/],
    [{ memcached: { servers: 'a', typo: 1 } }, /no setting "typo"/],
    [{ concurency: 64 }, /a worker has no option "concurency". Did you mean "concurrency"/],
    [{ leaseMS: 1_000 }, /no option "leaseMS". Did you mean "leaseMs"/],
    [{ connection: 'redis://a' }, /"connection": it is of type string. Give .* url/],
    [{ connection: { hst: 'a' } }, /"connection": it names no server, only hst/],
  ])('that make no sense are refused: %j', (changes, message) => {
    expect(create(changes)).toMatchObject({
      code: 'INVALID_OPTIONS',
      message: expect.stringMatching(message),
    });
  });

  it('with two updates of one name are refused', () => {
    expect(create({ updates: [log, { ...log }] })).toMatchObject({ code: 'DUPLICATE_UPDATE' });
  });

  it('of a queue are checked, too', async () => {
    expect(() => new Queue('q', { connection, updates: [log, { ...log }] })).toThrow(/named "log"/);
    const unusual =
      (options: object): unknown =>
      () =>
        new Queue('q', options as never);
    expect(unusual({ connection: 'redis://a:1' })).toThrow(/"connection": it is of type string/);
    expect(unusual({ connection: undefined })).toThrow(/"connection": it is of type undefined/);
    expect(unusual({ connection, update: [log] })).toThrow(/Did you mean "updates"/);
    const here = stage();
    const thrown = await failure(here.queue.enqueue({ ...log }, { key: here.key(), n: 0 }));
    expect(thrown).toMatchObject({ code: 'DUPLICATE_UPDATE' });
  });
});
