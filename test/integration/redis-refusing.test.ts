/**
 * Redis refuses for moments, or stops scripts half-way: what is decided of a job is said again until it is
 * done. No job is charged for it, none is lost, none is told twice.
 */
import { randomUUID } from 'node:crypto';
import { type Job, Queue as BullQueue, UnrecoverableError, Worker as BullWorker } from 'bullmq';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { torilBackend, type TorilBackend } from '../../src/jobs/bullmq/bull-backend.ts';
import { Dice } from '../simulation/dice.ts';
import { eventually } from '../support/memcached.ts';
import { type PrivateServer, startRedis } from '../support/servers.ts';
import { enqueueLog, entries, expectExact, nextEvent, stage } from '../support/workers.ts';

/** The workers' name for Redis: what it is forbidden is not forbidden to the test. */
const WORKERS = 'workers';
const LOCK_MS = 30_000;

let server: PrivateServer;
let redis: Redis;

beforeAll(async () => {
  server = await startRedis({ flags: ['--enable-protected-configs', 'yes'] });
  redis = new Redis(server.port, server.host, { maxRetriesPerRequest: null });
  await redis.call('ACL', 'SETUSER', WORKERS, 'on', `>${WORKERS}`, '~*', '&*', '+@all');
  // A snapshot that failed stops writes as long as snapshots are asked for.
  await redis.config('SET', 'dir', '/proc');
  await redis.bgsave();
  await eventually('the snapshot has failed', async () =>
    (await redis.info('persistence')).includes('rdb_last_bgsave_status:err'),
  );
  await redis.config('SET', 'save', '');
});
afterAll(async () => {
  redis.disconnect();
  await server.stop();
});

interface Refusing {
  begin(): Promise<unknown>;
  end(): Promise<unknown>;
}

/** Scripts get as far as this command, and Redis does not undo what they did before. */
const forbidding = (command: string): Refusing => ({
  begin: () => redis.call('ACL', 'SETUSER', WORKERS, `-${command}`),
  end: () => redis.call('ACL', 'SETUSER', WORKERS, `+${command}`),
});

const configuring = (name: string, bad: string, good: string): Refusing => ({
  begin: () => redis.config('SET', name, bad),
  end: () => redis.config('SET', name, good),
});

const NO_SCRIPT = forbidding('@scripting');
const REFUSALS: Readonly<Record<string, Refusing>> = {
  NOREPLICAS: configuring('min-replicas-to-write', '1', '0'),
  MISCONF: configuring('save', '3600 1', ''),
  OOM: configuring('maxmemory', '1', '0'),
  READONLY: {
    begin: () => redis.call('REPLICAOF', '127.0.0.1', '1'),
    end: () => redis.call('REPLICAOF', 'NO', 'ONE'),
  },
  'no script at all': NO_SCRIPT,
  'scripts up to XADD': forbidding('xadd'),
  'scripts up to ZADD': forbidding('zadd'),
  'scripts up to HSET': forbidding('hset'),
  'scripts up to HINCRBY': forbidding('hincrby'),
  'scripts up to LPUSH': forbidding('lpush'),
};

/** Those that stop no script half-way: BullMQ's own scripts, too, must do all or nothing. */
const WHOLE = ['NOREPLICAS', 'MISCONF', 'OOM', 'READONLY', 'no script at all'].map(
  (name) => REFUSALS[name] as Refusing,
);

async function endAll(): Promise<void> {
  for (const { end } of Object.values(REFUSALS)) await end();
}
afterEach(endAll);

/** One job that is delivered by hand. */
interface Delivered {
  readonly job: Job;
  readonly token: string;
  readonly backend: TorilBackend;
}

const STEPS: Readonly<
  Record<
    string,
    {
      readonly options?: object;
      readonly act: (delivered: Delivered) => Promise<unknown>;
      /** Lists that it is in afterwards, and attempts that were charged. */
      readonly ends: readonly [lists: string[], attemptsMade: number | undefined];
    }
  >
> = {
  completing: {
    act: ({ job, token }) => job.moveToCompleted(1, token, false),
    ends: [['completed'], 1],
  },
  'completing and removing': {
    options: { removeOnComplete: true },
    act: ({ job, token }) => job.moveToCompleted(1, token, false),
    ends: [[], undefined],
  },
  'completing by the script of BullMQ': {
    options: { removeOnComplete: 3 },
    act: ({ job, token }) => job.moveToCompleted(1, token, false),
    ends: [['completed'], 1],
  },
  'failing for good': {
    act: ({ job, token }) => job.moveToFailed(new UnrecoverableError('no'), token, false),
    ends: [['failed'], 1],
  },
  'failing with a backoff': {
    options: { attempts: 9, backoff: LOCK_MS },
    act: ({ job, token, backend }) => {
      backend.noteDelivery(job);
      return job.moveToFailed(new Error('no'), token, false);
    },
    ends: [['delayed'], 1],
  },
  'failing, to be tried again at once': {
    options: { attempts: 9 },
    act: ({ job, token, backend }) => {
      backend.noteDelivery(job);
      return job.moveToFailed(new Error('no'), token, false);
    },
    ends: [['wait'], 1],
  },
  snoozing: {
    act: ({ job, token, backend }) => backend.snooze(job.id as string, [], LOCK_MS, token, 0),
    ends: [['delayed'], 0],
  },
  'giving back': {
    act: ({ job, token, backend }) => backend.giveBack(job.id as string, token),
    ends: [['wait'], 0],
  },
};

async function deliver(options: object = {}): Promise<Delivered & { readonly refusals: string[] }> {
  const name = randomUUID();
  const connection = { host: server.host, port: server.port };
  const queue = new BullQueue(name, { connection });
  const refusals: string[] = [];
  const worker = new BullWorker<unknown, unknown, string, TorilBackend>(
    name,
    () => Promise.resolve(),
    {
      ...{ autorun: false, skipStalledCheck: true, lockDuration: LOCK_MS },
      connection: { ...connection, username: WORKERS, password: WORKERS },
    },
    torilBackend({ refused: ({ step }) => void refusals.push(step) }),
  );
  onTestFinished(async () => {
    await endAll();
    await worker.close();
    await queue.close();
  });
  const { backend } = worker;
  await worker.waitUntilReady();
  await queue.add('n', {}, options);
  const token = 'slot';
  const job = (await worker.getNextJob(token, { block: false })) as unknown as Job;
  return { job, token, backend, refusals };
}

async function listsOf({ job, backend }: Delivered): Promise<string[]> {
  const found: string[] = [];
  const jobId = job.id as string;
  for (const list of ['wait', 'active', 'paused'])
    if ((await redis.lpos(backend.toKey(list), jobId)) !== null) found.push(list);
  for (const set of ['delayed', 'prioritized', 'completed', 'failed', 'waiting-children'])
    if ((await redis.zscore(backend.toKey(set), jobId)) !== null) found.push(set);
  return found;
}

const refusing = (isHalfWay: boolean): (readonly [string, string])[] =>
  Object.keys(REFUSALS)
    .filter((refusal) => refusal.startsWith('scripts up to') === isHalfWay)
    .flatMap((refusal) => Object.keys(STEPS).map((step) => [step, refusal] as const));

describe('a job that is delivered', () => {
  const endsAsItShould = async (what: string, refusal: string): Promise<void> => {
    const { options, act, ends } = STEPS[what] as (typeof STEPS)[string];
    const delivered = await deliver(options);
    const { job, backend, refusals } = delivered;
    const { begin, end } = REFUSALS[refusal] as Refusing;
    await begin();
    let isOver = false;
    const acting = act(delivered).then(
      () => (isOver = true),
      () => (isOver = true), // it is where it should be, but the one that put it there does not know
    );
    await eventually('Redis refuses, or it is done', () => isOver || refusals.length > 0);
    await end();
    await acting;
    const [lists, attemptsMade] = ends;
    expect(await listsOf(delivered)).toEqual(lists);
    const kept = await redis.hgetall(backend.toKey(job.id as string));
    const charged = Number(kept['atm'] ?? 0);
    if (attemptsMade === undefined) expect(kept).toEqual({});
    // BullMQ puts a job that is tried again at once back first, and charges it then.
    else if (what === 'failing, to be tried again at once') expect([0, 1]).toContain(charged);
    else expect(charged).toBe(attemptsMade);
    expect(kept['ats'] ?? '1').toBe('1');
    expect(refusals.length).toBeLessThanOrEqual(1);
  };

  it.each(refusing(false))('ends as it should, %s, while Redis refuses: %s', endsAsItShould);

  // What a script that was stopped half-way has done is put back.
  it.each(refusing(true))(
    'ends as it should, %s, while Redis refuses: %s',
    { tags: 'imitation' },
    endsAsItShould,
  );

  it('is got back when its lock has run out while Redis refused', {
    tags: 'imitation',
  }, async () => {
    const delivered = await deliver();
    const { job, token, backend, refusals } = delivered;
    await NO_SCRIPT.begin();
    const completing = job.moveToCompleted(1, token, false);
    await eventually('Redis refuses', () => refusals.length > 0);
    await redis.del(backend.toKey(`${job.id}:lock`));
    await NO_SCRIPT.end();
    await completing;
    expect(await listsOf(delivered)).toEqual(['completed']);
  });

  it('is left alone when somebody else has it meanwhile', async () => {
    const delivered = await deliver();
    const { job, token, backend, refusals } = delivered;
    await NO_SCRIPT.begin();
    const completing = expect(job.moveToCompleted(1, token, false)).rejects.toThrow('lock');
    await eventually('Redis refuses', () => refusals.length > 0);
    await redis.set(backend.toKey(`${job.id}:lock`), 'of somebody', 'PX', LOCK_MS);
    await NO_SCRIPT.end();
    await completing;
    expect(await listsOf(delivered)).toEqual(['active']);
    expect(await redis.get(backend.toKey(`${job.id}:lock`))).toBe('of somebody');
  });

  it('is completed once, if the answer was lost and the request is sent again', async () => {
    const delivered = await deliver();
    await delivered.job.moveToCompleted(1, delivered.token, false);
    await delivered.job.moveToCompleted(1, delivered.token, false);
    expect(await listsOf(delivered)).toEqual(['completed']);
    const kept = await redis.hget(delivered.backend.toKey(delivered.job.id as string), 'atm');
    expect(kept).toBe('1');
  });

  it('is not said to have failed, if the worker closes before it could be completed', async () => {
    const delivered = await deliver();
    const { job, token, backend, refusals } = delivered;
    await REFUSALS['NOREPLICAS']?.begin();
    const completing = expect(job.moveToCompleted(1, token, false)).rejects.toThrow('not done');
    await eventually('Redis refuses', () => refusals.length > 0);
    backend.abandon();
    await completing;
    await REFUSALS['NOREPLICAS']?.end();
    await expect(job.moveToFailed(new Error('as BullMQ does then'), token)).rejects.toThrow(
      'closes',
    );
    expect(await listsOf(delivered)).toEqual(['active']);
  });
});

describe('workers', () => {
  const ownStage = () => stage({ redis: `redis://${server.host}:${server.port}` });
  const asWorkers = () => ({
    connection: { host: server.host, port: server.port, username: WORKERS, password: WORKERS },
  });

  it.each([0, 1, 2])('finish every job, whatever Redis refuses when, seed %i', async (seed) => {
    const dice = new Dice(seed, 'refusing');
    const here = ownStage();
    const keys = [0, 1, 2, 3].map(here.key);
    const quick = { ...asWorkers(), concurrency: 4, lockDuration: 3_000 };
    await Promise.all([here.worker(quick), here.worker(quick)]);
    const removing = dice.pick([undefined, 1_000, { age: 3_600 }]);
    const jobs = await enqueueLog(
      here,
      keys.flatMap((key) => entries(key, 60, { takesMs: 2 })),
      { attempts: 1, ...(removing !== undefined && { removeOnComplete: removing }) },
    );
    let isFinished = false;
    const finishing = here.finished(jobs).finally(() => (isFinished = true));
    while (!isFinished) {
      const { begin, end } = dice.pick(WHOLE);
      await begin();
      await new Promise((go) => setTimeout(go, dice.magnitude(1, 60)));
      await end();
      await new Promise((go) => setTimeout(go, dice.magnitude(10, 300)));
    }
    const finished = await finishing;
    expect(finished.filter((job) => job.failedReason != null)).toEqual([]);
    expect(new Set(finished.map((job) => job.attemptsMade))).toEqual(new Set([1]));
    for (const key of keys) {
      const own = finished.filter(({ data }) => (data as { key: string }).key === key);
      expect(await expectExact(here, key, own)).toEqual(own.map((_, n) => n));
    }
  });

  it('say once that Redis refuses', async () => {
    const here = ownStage();
    const worker = await here.worker({ ...asWorkers(), lockDuration: 10_000 });
    const refused = nextEvent(worker, 'redisRefused');
    const [job] = await enqueueLog(here, entries(here.key(), 1, { takesMs: 50 }), {
      removeOnComplete: 10,
    });
    await eventually('it is applied', async () => (await here.queue.getActiveCount()) === 1);
    worker.once('committed', () => void REFUSALS['NOREPLICAS']?.begin());
    // Whichever is told no first: the finished job, or the worker that asks for the next one.
    expect(await refused).toMatchObject({
      step: expect.stringMatching(/^(complete|fetch)$/),
      cause: { code: 'REDIS_FAILED' },
    });
    await REFUSALS['NOREPLICAS']?.end();
    await here.finished([job as Job]);
    expect(worker.counts.redisRefused).toBe(1);
  });
});
