/** What surrounds an update while it is called: its job's asynchronous context, its signal, its log. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Job, Telemetry } from 'bullmq';
import { describe, expect, it } from 'vitest';
import { type AnyUpdate, defineUpdate, type UpdateContext, Worker } from '../../src/index.ts';
import { gate } from '../support/gate.ts';
import { eventually } from '../support/memcached.ts';
import { type Stage, stage } from '../support/workers.ts';

interface Data {
  readonly key: string;
  readonly what?: string;
}

type Act = (data: Data, context: UpdateContext) => unknown;

/** Counts, after `act`. */
const counting = (act: Act, more: object = {}): AnyUpdate =>
  defineUpdate({
    name: 'count',
    key: (data: Data) => data.key,
    initial: () => 0,
    apply: (value: number, data: Data, context) => {
      const acted = act(data, context);
      return acted instanceof Promise ? acted.then(() => value + 1) : value + 1;
    },
    ...more,
  });

async function stateOf(here: Stage, job: Job): Promise<string> {
  const [finished] = await here.finished([job], 20_000);
  return (await finished?.getState()) ?? 'gone';
}

describe('the asynchronous context of an update', () => {
  const storage = new AsyncLocalStorage<string>();

  /** Puts each delivery into a context of its own, as instrumentations of BullMQ do. */
  class Instrumented extends Worker {
    protected override callProcessJob(...args: [Job, string]): Promise<unknown> {
      return storage.run(`job ${args[0].id}`, () => super.callProcessJob(...args));
    }
  }

  it("is its own job's, in everything that is called of it, whoever's batch it is", async () => {
    const seen: [string, string, string | undefined][] = [];
    const note = (part: string, what = ''): void =>
      void seen.push([part, what, storage.getStore()]);
    const { opened, open } = gate();
    const update = counting(
      async ({ what }) => {
        note('apply', what);
        if (what === '1') await opened;
        await new Promise(setImmediate);
        note('later', what);
      },
      {
        result: (_value: number, { what }: Data) => note('result', what),
        schema: {
          '~standard': {
            version: 1,
            vendor: 'test',
            validate: async (data: Data) => {
              await Promise.resolve();
              note('schema', data.what);
              return { value: data };
            },
          },
        },
      },
    );
    const here = stage({ updates: [update] });
    // Nobody gives a slot back: what is applied without being here runs in nobody's context.
    const patient = { leaseMs: 5_000, patienceMs: 5_000, concurrency: 32 };
    const worker = new Instrumented(here.name, { ...here.workerOptions(), ...patient });
    try {
      const told: unknown[] = [];
      worker.on('committed', () => told.push(storage.getStore()));
      let active = 0;
      worker.on('active', () => active++);
      const jobs = [];
      for (let n = 1; n <= 8; n++)
        jobs.push(await here.queue.enqueue(update, { key: here.key(), what: String(n) }));
      await eventually('all are delivered', () => active === 8);
      open();
      await here.finished(jobs);
      expect(seen.length).toBeGreaterThanOrEqual(8 * 4);
      // The queue looks at data when they are enqueued, in the context of whoever enqueues.
      const applied = seen.filter(([part, , store]) => part !== 'schema' || store !== undefined);
      for (const [, what, store] of applied) expect(store).toBe(`job ${what}`);
      expect(new Set(told)).toEqual(new Set([undefined]));
    } finally {
      await worker.close();
    }
  });

  it("is nobody's if the job was not delivered here", async () => {
    const seen: (string | undefined)[] = [];
    const update = counting(() => void seen.push(storage.getStore()));
    const here = stage({ updates: [update] });
    const jobs = await here.queue.enqueueBulk(
      Array.from({ length: 20 }, () => ({ update, data: { key: here.key() } })),
    );
    const worker = new Instrumented(here.name, { ...here.workerOptions(), concurrency: 1 });
    try {
      await here.finished(jobs);
    } finally {
      await worker.close();
    }
    const [first, ...others] = seen;
    expect(first).toBe(`job ${jobs[0]?.id}`);
    const own = new Set(jobs.map(({ id }) => `job ${id}`));
    own.delete(first as string);
    expect(others.filter((store) => store === first)).toEqual([]);
    expect(others.every((store) => store === undefined || own.has(store))).toBe(true);
  });
});

describe('telemetry', () => {
  const storage = new AsyncLocalStorage<string>();
  const ignore = (): void => undefined;
  /** Contexts are names, and a job's is that of whoever enqueued it. */
  const contextManager = {
    active: () => storage.getStore() ?? 'none',
    with: <R>(context: string, run: () => R): R => storage.run(context, run),
    getMetadata: (context: string) => context,
    fromMetadata: (_active: string, metadata: string) => metadata,
  };
  const span = {
    setAttribute: ignore,
    setAttributes: ignore,
    addEvent: ignore,
    recordException: ignore,
    end: ignore,
    setSpanOnContext: (context: string) => context,
  };
  const telemetry = { tracer: { startSpan: () => span }, contextManager } as unknown as Telemetry;

  it.each([1, 8, 40])(
    'has each update run in the context that was left with its job (concurrency %d)',
    async (concurrency) => {
      const seen: (readonly [string | undefined, string | undefined])[] = [];
      const update = counting(({ what }) => void seen.push([what, storage.getStore()]));
      const here = stage({ updates: [update], queue: { telemetry } });
      const jobs: Job[] = [];
      for (let n = 0; n < 40; n++) {
        const what = `request ${n}`;
        const enqueue = (): Promise<Job> => here.queue.enqueue(update, { key: here.key(), what });
        jobs.push(await storage.run(what, enqueue));
      }
      await here.worker({ concurrency, telemetry });
      await here.finished(jobs);
      expect(seen).toEqual(jobs.map(({ data }) => [(data as Data).what, (data as Data).what]));
    },
  );

  const slip = (member: string) => (): never => {
    throw new Error(member);
  };
  const broken = (member: string): Telemetry => {
    const tracing = { ...span, [member]: slip(member) };
    const counter = { add: slip('add') };
    return {
      tracer: { startSpan: member === 'startSpan' ? slip(member) : () => tracing },
      contextManager: {
        ...contextManager,
        ...(member in contextManager && { [member]: slip(member) }),
      },
      meter: {
        createCounter: member === 'createCounter' ? slip(member) : () => counter,
        createHistogram: () => ({ record: slip('record') }),
        createGauge: () => ({ record: slip('record') }),
      },
    } as unknown as Telemetry;
  };

  it('costs no job anything, wherever it throws', async () => {
    const managing = Object.keys(contextManager);
    const members = ['startSpan', 'createCounter', ...managing, ...Object.keys(span)];
    const update = counting(({ what }) => {
      if (what !== undefined) throw new Error(what);
    });
    const here = stage({ updates: [update], queue: { telemetry } });
    const told = new Set<string>();
    for (const member of members) {
      const worker = here.startWorker({ telemetry: broken(member) });
      worker.on('error', ({ message }) => told.add(message));
      await worker.waitUntilReady();
      const key = here.key(member);
      const jobs = await here.queue.enqueueBulk([
        { update, data: { key } },
        { update, data: { key, what: 'fails' } },
      ]);
      const finished = await here.finished(jobs);
      const ends = await Promise.all(finished.map((job) => job.getState()));
      expect([member, ...ends]).toEqual([member, 'completed', 'failed']);
      expect(finished.map(({ attemptsMade }) => attemptsMade)).toEqual([1, 1]);
      await worker.close();
    }
    // BullMQ does not call all of them.
    const slips = ['startSpan', 'createCounter', 'add', 'with', 'setAttributes', 'end'];
    expect([...told].toSorted()).toEqual(expect.arrayContaining(slips));
  });

  it.each(['startSpan', 'with', 'active', 'end', 'setAttributes'])(
    'costs no producer anything if its "%s" throws',
    async (member) => {
      const update = counting(() => undefined);
      const here = stage({ updates: [update], queue: { telemetry: broken(member) } });
      await here.queue.enqueue(update, { key: here.key() });
      expect(await here.queue.getWaitingCount()).toBe(1);
    },
  );
});

describe('cancelling a job', () => {
  const heeding: Act = (_data, { signal }) =>
    new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    });

  it('aborts the signal of its update with the reason; the job fails, the value stays', async () => {
    const update = counting((data, context) => {
      begun.open();
      return data.what === 'slow' ? heeding(data, context) : undefined;
    });
    const begun = gate();
    const here = stage({ updates: [update] });
    const worker = await here.worker();
    const key = here.key();
    const job = await here.queue.enqueue(update, { key, what: 'slow' });
    await begun.opened;
    expect(worker.cancelJob('another', 'no')).toBe(false);
    expect(worker.cancelJob(job.id as string, 'not wanted any more')).toBe(true);
    expect(await stateOf(here, job)).toBe('failed');
    expect((await here.queue.getJob(job.id as string))?.failedReason).toContain(
      'not wanted any more',
    );
    expect(await stateOf(here, await here.queue.enqueue(update, { key }))).toBe('completed');
    expect(await here.cells.get(key)).toBe(1);
    expect(worker.cancelJob(job.id as string)).toBe(false);
  });

  it('fails one that waits for its turn, without calling its update, and no other', async () => {
    const called: (string | undefined)[] = [];
    const { opened, open } = gate();
    const begun = gate();
    const update = counting(async ({ what }) => {
      called.push(what);
      begun.open();
      if (what === 'first') await opened;
    });
    const here = stage({ updates: [update] });
    const worker = await here.worker({ concurrency: 32, leaseMs: 5_000, patienceMs: 5_000 });
    let active = 0;
    worker.on('active', () => active++);
    const key = here.key();
    const jobs: Job[] = [];
    for (const what of ['first', 'cancelled', 'last'])
      jobs.push(await here.queue.enqueue(update, { key, what }));
    await begun.opened;
    await eventually('all are delivered', () => active >= 3);
    const waiting = jobs[1]?.id as string;
    await eventually('it is here', () => worker.cancelJob(waiting));
    open();
    const states = await Promise.all(jobs.map((job) => stateOf(here, job)));
    expect(states).toEqual(['completed', 'failed', 'completed']);
    expect(called).toEqual(['first', 'last']);
    expect((await here.queue.getJob(waiting))?.failedReason).toContain('was cancelled');
    expect(await here.cells.get(key)).toBe(2);
  });

  it('ends the attempt only, as in BullMQ', async () => {
    let calls = 0;
    const begun = gate();
    const update = counting((data, context) => {
      begun.open();
      return ++calls === 1 ? heeding(data, context) : undefined;
    });
    const here = stage({ updates: [update] });
    const worker = await here.worker();
    const job = await here.queue.enqueue(update, { key: here.key() }, { attempts: 2 });
    await begun.opened;
    worker.cancelAllJobs('for a moment');
    expect(await stateOf(here, job)).toBe('completed');
    expect(calls).toBe(2);
  });

  it('reaches a job whose schema has not settled', async () => {
    const { opened, open } = gate();
    const begun = gate();
    let called = false;
    const update = counting(() => void (called = true), {
      schema: {
        '~standard': {
          version: 1,
          vendor: 'test',
          validate: async (value: unknown) => {
            begun.open();
            await opened;
            return { value };
          },
        },
      },
    });
    const here = stage({ updates: [update] });
    const worker = await here.worker();
    const job = await here.plainQueue().add('count', { key: here.key() });
    await begun.opened;
    expect(worker.cancelJob(job.id as string)).toBe(true);
    open();
    expect(await stateOf(here, job)).toBe('failed');
    expect(called).toBe(false);
  });
});

describe('what hangs on the signal of an update', () => {
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc') as () => void;

  it('is garbage when the update has settled', async () => {
    const kept: WeakRef<object>[] = [];
    const hang = (signal: AbortSignal): void => {
      const garbage = { text: 'x'.repeat(1_000) };
      kept.push(new WeakRef(garbage));
      signal.addEventListener('abort', () => garbage.text);
    };
    const update = counting(({ what }, { signal }) => {
      hang(signal);
      if (what === 'async') return new Promise(setImmediate);
      return undefined;
    });
    const here = stage({ updates: [update] });
    const worker = await here.worker({ concurrency: 16 });
    const jobs = await here.queue.enqueueBulk(
      Array.from({ length: 200 }, (_, n) => ({
        update,
        data: { key: here.key(n % 4), what: n % 2 === 0 ? 'async' : 'sync' },
      })),
    );
    await here.finished(jobs);
    await worker.pause();
    await eventually('nothing is left', async () => {
      await new Promise(setImmediate);
      collectGarbage();
      return kept.filter((one) => one.deref() !== undefined).length <= 4;
    });
    expect(kept.length).toBeGreaterThanOrEqual(200);
  });
});

describe('a schema that never settles', () => {
  it('fails its job in time, and the key goes on', async () => {
    const update = counting(() => undefined, {
      timeoutMs: 200,
      schema: {
        '~standard': {
          version: 1,
          vendor: 'test',
          validate: (value: Data) =>
            value.what === undefined ? { value } : new Promise(() => undefined),
        },
      },
    });
    const here = stage({ updates: [update] });
    const plain = here.plainQueue();
    await here.worker();
    const hanging = await plain.add('count', { key: here.key(), what: 'hangs' });
    expect(await stateOf(here, hanging)).toBe('failed');
    expect((await here.queue.getJob(hanging.id as string))?.failedReason).toMatch(
      /the schema .* 200 ms/,
    );
    expect(await stateOf(here, await plain.add('count', { key: here.key() }))).toBe('completed');
  });
});

describe('context.log', () => {
  it("adds rows to the job's log, also of jobs that were not delivered here", async () => {
    const update = counting(({ what = '' }, { log }) => {
      log(`begun ${what}`);
      log(`done ${what}`);
    });
    const here = stage({ updates: [update] });
    const jobs = await here.queue.enqueueBulk(
      ['a', 'b', 'c'].map((what) => ({ update, data: { key: here.key(), what } })),
    );
    await here.worker({ concurrency: 1 });
    await here.finished(jobs);
    for (const { id, data } of jobs) {
      await eventually('its rows are there', async () => {
        const { logs } = await here.queue.getJobLogs(id as string);
        return logs.join() === `begun ${(data as Data).what},done ${(data as Data).what}`;
      });
    }
  });

  it('keeps as many rows as the job says', async () => {
    const update = counting((_data, { log }) => {
      for (let row = 1; row <= 5; row++) log(`row ${row}`);
    });
    const here = stage({ updates: [update] });
    const job = await here.queue.enqueue(update, { key: here.key() }, { keepLogs: 2 });
    await here.worker();
    await here.finished([job]);
    await eventually('the last two are there', async () => {
      const { logs } = await here.queue.getJobLogs(job.id as string);
      return logs.join() === 'row 4,row 5';
    });
  });

  it('tells of rows that could not be kept', async () => {
    const update = counting(async (_data, { jobId, log }) => {
      await here.redis.del(here.redisKey(jobId));
      log('lost');
    });
    const here = stage({ updates: [update] });
    const worker = await here.worker();
    const lost: unknown[] = [];
    worker.on('logLost', (event) => lost.push(event));
    const job = await here.queue.enqueue(update, { key: here.key() });
    await eventually('it is told', () => lost.length > 0);
    expect(lost[0]).toMatchObject({
      key: here.key(),
      jobId: job.id,
      cause: { code: 'REDIS_FAILED' },
    });
  });
});
