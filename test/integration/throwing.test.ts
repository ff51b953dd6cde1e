/** Whatever an update, or anything else of the user's, throws: whose failure it is, and that everything goes on. */
import { setTimeout } from 'node:timers/promises';
import {
  DelayedError,
  type Job,
  RateLimitError,
  UnrecoverableError,
  WaitingChildrenError,
  WaitingError,
} from 'bullmq';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { type AnyUpdate, defineUpdate, type UpdateSettings } from '../../src/index.ts';
import { RedisLanes } from '../../src/jobs/redis/redis-lanes.ts';
import { hostileThings } from '../support/hostile.ts';
import { eventually } from '../support/memcached.ts';
import { type Stage, stage } from '../support/workers.ts';

interface Data {
  readonly key: string;
  readonly what?: string;
}

/** Counts; `act` is called first, with the data. */
function counting(
  act: (data: Data) => unknown,
  more: Partial<UpdateSettings<number, Data, unknown>> = {},
): AnyUpdate {
  return defineUpdate({
    name: 'count',
    key: (data: Data) => data.key,
    initial: () => 0,
    apply: (value: number, data: Data) => {
      const acted = act(data);
      return acted instanceof Promise ? acted.then(() => value + 1) : value + 1;
    },
    ...more,
  });
}

async function statesOf(here: Stage, jobs: readonly Job[]): Promise<string[]> {
  return Promise.all((await here.finished(jobs, 20_000)).map((job) => job.getState()));
}

const SINGLE = { attempts: 2, backoff: 10 };

describe('an update that throws something odd', () => {
  const throwing = ({ what }: Data): void => {
    if (what !== undefined) throw hostileThings[what]?.();
  };
  const rejecting = async (data: Data): Promise<void> => throwing(data);

  it.each([
    ['synchronously', throwing],
    ['asynchronously', rejecting],
  ])('fails its own job after its attempts, and the key goes on: %s', async (_, act) => {
    const update = counting(act);
    const here = stage({ updates: [update] });
    const blamed: string[] = [];
    const worker = await here.worker({ concurrency: 8 });
    worker.on('unavailable', ({ cause }) => blamed.push(cause.code));
    const whats = Object.keys(hostileThings);
    const jobs = await here.queue.enqueueBulk(
      whats.flatMap((what, n) => [
        { update, data: { key: here.key(n), what }, options: SINGLE },
        { update, data: { key: here.key(n) } },
      ]),
    );
    const states = await statesOf(here, jobs);
    expect(states).toEqual(whats.flatMap(() => ['failed', 'completed']));
    expect(blamed).toEqual([]);
    const failed = await Promise.all(
      jobs.filter((_job, n) => n % 2 === 0).map(({ id }) => here.queue.getJob(id as string)),
    );
    expect(failed.map((job) => job?.attemptsMade)).toEqual(whats.map(() => 2));
  });

  it.each(['key', 'schema', 'initial', 'result', 'adopt'] as const)(
    'also in its "%s"',
    async (part) => {
      const slip = hostileThings['a getter of the message'] as () => unknown;
      const parts = {
        key: (data: Data) => {
          if (data.what !== undefined) throw slip();
          return data.key;
        },
        schema: {
          '~standard': {
            version: 1,
            vendor: 'test',
            validate: async (data: Data) => {
              if (data.what !== undefined) throw slip();
              return { value: data };
            },
          },
        },
        initial: () => {
          throw slip();
        },
        result: (_value: unknown, data: Data) => {
          if (data.what !== undefined) throw slip();
          return 1;
        },
        adopt: () => {
          throw slip();
        },
      };
      const update = counting(() => undefined, { [part]: parts[part] } as never);
      const here = stage({ updates: [update] });
      const worker = await here.worker();
      const faults: unknown[] = [];
      worker.on('internalFault', (fault) => faults.push(fault));
      const plain = here.plainQueue();
      const odd = await plain.add('count', { key: here.key(), what: 'odd' });
      const [state] = await statesOf(here, [odd]);
      expect(state).toBe(part === 'adopt' ? 'completed' : 'failed');
      if (part !== 'initial') {
        const next = await plain.add('count', { key: here.key() });
        expect(await statesOf(here, [next])).toEqual(['completed']);
      }
      expect(faults).toEqual([]);
    },
  );
});

/** The job 'limited' sets a limit in its first call, and throws; and when it was called. */
function limited(limit: () => Promise<unknown>): { calledMs: number[]; update: AnyUpdate } {
  const calledMs: number[] = [];
  const update = counting(async ({ what }) => {
    if (what !== 'limited') return;
    calledMs.push(performance.now());
    if (calledMs.length > 1) return;
    await limit();
    throw new RateLimitError();
  });
  return { calledMs, update };
}

describe("BullMQ's errors in an update", () => {
  it.each([
    ['with a limiter', { limiter: { max: 100, duration: 1_000 } }],
    ['without one', {}],
  ])('RateLimitError: is called again when the limit is over, %s', async (_, options) => {
    const { calledMs, update } = limited(() => here.queue.rateLimit(300));
    const here = stage({ updates: [update] });
    const jobs = await here.queue.enqueueBulk(
      ['limited', 'after'].map((what) => ({ update, data: { key: here.key(), what } })),
    );
    const worker = await here.worker({ concurrency: 4, ...options });
    let deliveries = 0;
    worker.on('active', () => deliveries++);
    expect(await statesOf(here, jobs)).toEqual(['completed', 'completed']);
    expect(calledMs).toHaveLength(2);
    expect((calledMs[1] ?? 0) - (calledMs[0] ?? 0)).toBeGreaterThan(290);
    expect(deliveries).toBeLessThan(20);
    expect(await here.cells.get(here.key())).toBe(2);
  });

  it('RateLimitError: is not called again for a job that comes before BullMQ has heard of it', async () => {
    const { calledMs, update } = limited(async () => {
      await here.queue.rateLimit(300);
      await here.queue.enqueue(update, { key: here.key(), what: 'after' });
    });
    const here = stage({ updates: [update] });
    const jobs = [await here.queue.enqueue(update, { key: here.key(), what: 'limited' })];
    const worker = await here.worker({ concurrency: 4 });
    const { backend } = worker as unknown as { backend: { getRateLimitTtl(): Promise<number> } };
    const ttl = backend.getRateLimitTtl.bind(backend);
    // Time enough for the job behind it.
    backend.getRateLimitTtl = () => setTimeout(100).then(() => ttl());
    expect(await statesOf(here, jobs)).toEqual(['completed']);
    expect(calledMs).toHaveLength(2);
    expect((calledMs[1] ?? 0) - (calledMs[0] ?? 0)).toBeGreaterThan(95);
  });

  it('RateLimitError without a limit is not tried in a hot loop', async () => {
    let calls = 0;
    const update = counting(() => {
      calls++;
      if (calls < 4) throw new RateLimitError();
    });
    const here = stage({ updates: [update] });
    await here.worker({ blockedMs: 100 });
    const startedMs = performance.now();
    const job = await here.queue.enqueue(update, { key: here.key() });
    expect(await statesOf(here, [job])).toEqual(['completed']);
    expect(calls).toBe(4);
    expect(performance.now() - startedMs).toBeGreaterThan(250);
  });

  it.each([new DelayedError(), new WaitingError(), new WaitingChildrenError()])(
    '%s is refused with a code, at once',
    async (thrown) => {
      const update = counting(({ what }) => {
        if (what !== undefined) throw thrown;
      });
      const here = stage({ updates: [update] });
      const worker = await here.worker();
      const errors: unknown[] = [];
      worker.on('failed', (_job, error) => errors.push(error));
      const options = { attempts: 5 };
      const odd = await here.queue.enqueue(update, { key: here.key(), what: 'odd' }, options);
      const next = await here.queue.enqueue(update, { key: here.key() });
      expect(await statesOf(here, [odd, next])).toEqual(['failed', 'completed']);
      expect((await here.queue.getJob(odd.id as string))?.attemptsMade).toBe(1);
      await eventually('the listener is told', () => errors.length === 1);
      expect(errors[0]).toMatchObject({ code: 'UPDATE_CANNOT_MOVE_JOB', cause: thrown });
    },
  );
});

describe('listeners of failed', () => {
  class ShopError extends Error {
    override readonly name = 'ShopError';
    readonly code = 'SOLD_OUT';
  }

  /** A job whose update throws it in each of up to three attempts, and what the listeners of `failed` were given. */
  async function failing(thrown: Error): Promise<{ errors: unknown[]; failed: Job | undefined }> {
    const update = counting(() => {
      throw thrown;
    });
    const here = stage({ updates: [update] });
    const worker = await here.worker();
    const errors: unknown[] = [];
    worker.on('failed', (_job, error) => errors.push(error));
    const job = await here.queue.enqueue(update, { key: here.key() }, { attempts: 3 });
    const [failed] = await here.finished([job]);
    return { errors, failed };
  }

  it('get the very error, in every attempt, and BullMQ keeps its message and stack', async () => {
    const thrown = new ShopError('nothing left');
    const { errors, failed } = await failing(thrown);
    await eventually('all attempts are told', () => errors.length === 3);
    expect(errors.every((error) => error === thrown)).toBe(true);
    expect(failed?.failedReason).toBe('nothing left');
    expect(failed?.stacktrace).toEqual([thrown.stack, thrown.stack, thrown.stack]);
  });

  it('get an UnrecoverableError as it is, after one attempt', async () => {
    class Hopeless extends UnrecoverableError {}
    const thrown = new Hopeless('no way');
    const { errors, failed } = await failing(thrown);
    await eventually('it is told', () => errors.length === 1);
    expect(errors[0]).toBe(thrown);
    expect(failed?.attemptsMade).toBe(1);
  });

  it('are not alone: a backoff strategy gets the error, too', async () => {
    const thrown = new ShopError('nothing left');
    const update = counting(() => {
      throw thrown;
    });
    const here = stage({ updates: [update] });
    const seen: unknown[] = [];
    const backoffStrategy = (_made: number, _type?: string, error?: Error): number => {
      seen.push(error);
      return 0;
    };
    await here.worker({ settings: { backoffStrategy } });
    const options = { attempts: 2, backoff: { type: 'own' } };
    await here.finished([await here.queue.enqueue(update, { key: here.key() }, options)]);
    expect(seen).toEqual([thrown]);
  });

  it.each([
    [
      'throws',
      () => {
        throw new Error('a slip');
      },
    ],
    ['is not there', undefined],
  ])('a backoff strategy that %s costs no job its attempts', async (_, backoffStrategy) => {
    const update = counting(({ what }) => {
      if (what !== undefined) throw new ShopError('nothing left');
    });
    const here = stage({ updates: [update] });
    const worker = await here.worker({ settings: { backoffStrategy } } as never);
    const errors: string[] = [];
    worker.on('error', ({ message }) => errors.push(message));
    const options = { attempts: 2, backoff: { type: 'own' } };
    const job = await here.queue.enqueue(update, { key: here.key(), what: 'odd' }, options);
    const next = await here.queue.enqueue(update, { key: here.key() });
    const [failed] = await here.finished([job, next], 10_000);
    expect(await failed?.getState()).toBe('failed');
    expect(failed?.attemptsMade).toBe(2);
    expect(errors).toHaveLength(1);
  });
});

describe('a value that is not what it seems', () => {
  it('is the failure of the job that made it, and of no other', async () => {
    let looks = 0;
    const slip = (): never => {
      throw new Error('a slip');
    };
    interface Value {
      readonly n: number;
      readonly odd?: object;
    }
    const update = defineUpdate({
      name: 'odd',
      key: (data: Data) => data.key,
      initial: (): Value => ({ n: 0 }),
      apply: (value: Value, { what }: Data): Value => {
        const { n, odd } = value;
        if (what === undefined) return odd === undefined ? { n: n + 1 } : { n: n + 1, odd };
        const seen = { enumerable: true, get: () => (++looks % 2 === 0 ? slip() : 1) };
        return { n: n + 100, odd: Object.defineProperty({}, 'seen', seen) };
      },
    });
    const here = stage({ updates: [update] });
    const key = here.key();
    const jobs = await here.queue.enqueueBulk([
      { update, data: { key } },
      { update, data: { key, what: 'odd' } },
      { update, data: { key } },
    ]);
    const worker = await here.worker({ concurrency: 4 });
    const faults: unknown[] = [];
    worker.on('error', (fault) => faults.push(fault));
    expect(await statesOf(here, jobs)).toEqual(['completed', 'failed', 'completed']);
    expect(await here.cells.get(key)).toEqual({ n: 2 });
    expect(faults).toEqual([]);
  });
});

describe("a fault of Toril's own", () => {
  it('is told once as such, charges nobody, and does not stop other keys', async () => {
    const update = counting(() => undefined);
    const here = stage({ updates: [update] });
    const worker = await here.worker({ concurrency: 4 });
    const told: unknown[] = [];
    worker.on('error', (error) => told.push(error));
    const unavailable: unknown[] = [];
    worker.on('unavailable', (event) => unavailable.push(event));
    const [bad, good] = [here.key('bad'), here.key('good')];
    let slips = 0;
    const cause = new TypeError('a slip of ours');
    const { take } = RedisLanes.prototype;
    const spy = vi.spyOn(RedisLanes.prototype, 'take').mockImplementation(function (
      this: RedisLanes,
      request,
    ) {
      if (request.key !== bad) return take.call(this, request);
      slips++;
      throw cause;
    });
    onTestFinished(() => spy.mockRestore());
    const stuck = await here.queue.enqueue(update, { key: bad });
    const fine = await here.queue.enqueue(update, { key: good });
    expect(await statesOf(here, [fine])).toEqual(['completed']);
    await eventually('it is tried again', () => slips > 3);
    expect(told).toEqual([expect.objectContaining({ code: 'INTERNAL', cause })]);
    expect(worker.counts.internalFault).toBe(1);
    expect(unavailable).toEqual([]);
    spy.mockRestore();
    const [done] = await here.finished([stuck]);
    expect(await done?.getState()).toBe('completed');
    expect(done?.attemptsMade).toBe(1);
  });
});

describe('a listener that throws', () => {
  it('breaks nothing, whatever it listens to', async () => {
    const update = counting(({ what }) => {
      if (what !== undefined) throw new Error(what);
    });
    const here = stage({ updates: [update] });
    const worker = await here.worker({ concurrency: 4 });
    const slip = (): never => {
      throw new Error('a slip');
    };
    for (const name of ['committed', 'jobSnoozed', 'active', 'completed', 'failed'] as const)
      worker.on(name, slip);
    const key = here.key();
    const jobs = await here.queue.enqueueBulk([
      { update, data: { key } },
      { update, data: { key, what: 'fails' }, options: SINGLE },
      { update, data: { key } },
    ]);
    const finished = await here.finished(jobs);
    const states = await Promise.all(finished.map((job) => job.getState()));
    expect(states).toEqual(['completed', 'failed', 'completed']);
    expect(finished.map(({ attemptsMade }) => attemptsMade)).toEqual([1, 2, 1]);
    expect(await here.cells.get(key)).toBe(2);
  });
});
