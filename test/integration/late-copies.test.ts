/**
 * A request whose connection was cut is sent again, and its first copy may arrive later still: when the job is back in the
 * same slot, under the same lock token, or a new job of its id is. It must do nothing to that delivery.
 *
 * @module-tag imitation
 */
import { randomUUID } from 'node:crypto';
import { type Job, Queue, UnrecoverableError, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { torilBackend, type TorilBackend } from '../../src/jobs/bullmq/bull-backend.ts';
import { redisUrl } from '../support/servers.ts';

const LOCK_MS = 60_000;
const SLOT = 'slot';
const JOB_ID = 'the job';

let redis: Redis;
beforeAll(() => {
  redis = new Redis(redisUrl(), { maxRetriesPerRequest: null });
});
afterAll(() => redis.quit());

interface Scene {
  readonly queue: Queue;
  readonly backend: TorilBackend;
  add(): Promise<unknown>;
  deliver(): Promise<Job>;
}

async function open(options: object): Promise<Scene> {
  const name = randomUUID();
  const connection = { url: redisUrl(), maxRetriesPerRequest: null };
  const queue = new Queue(name, { connection });
  const worker = new Worker<unknown, unknown, string, TorilBackend>(
    name,
    () => Promise.resolve(),
    { connection, autorun: false, skipStalledCheck: true, lockDuration: LOCK_MS },
    torilBackend(),
  );
  onTestFinished(async () => {
    await worker.close();
    await queue.obliterate({ force: true });
    await queue.close();
  });
  await worker.waitUntilReady();
  return {
    queue,
    backend: worker.backend,
    add: () => queue.add('n', {}, { jobId: JOB_ID, ...options }),
    deliver: async () => (await worker.getNextJob(SLOT, { block: false })) as unknown as Job,
  };
}

interface Ending {
  readonly options: object;
  /** The script that says it. */
  readonly script: string;
  readonly end: (job: Job, backend: TorilBackend) => Promise<unknown>;
  /** How the job, or another one of its id, comes to be delivered again. */
  readonly again: (scene: Scene) => Promise<unknown>;
}

const retry = (job: Job, backend: TorilBackend): Promise<unknown> => {
  backend.noteDelivery(job);
  return job.moveToFailed(new Error('once'), SLOT, false);
};
const complete = (job: Job): Promise<unknown> => job.moveToCompleted(1, SLOT, false);

const ENDINGS: Readonly<Record<string, Ending>> = {
  'that charged an attempt': {
    options: { attempts: 9 },
    script: 'torilTimedRetryJob',
    end: retry,
    again: () => Promise.resolve(),
  },
  'that charged an attempt, with a backoff': {
    options: { attempts: 9, backoff: LOCK_MS },
    script: 'torilTimedMoveToDelayed',
    end: retry,
    again: async ({ queue }) => ((await queue.getJob(JOB_ID)) as Job).promote(),
  },
  'that failed it for good, before an operator had it tried again': {
    options: {},
    script: 'torilTimedMoveToFinished',
    end: (job) => job.moveToFailed(new UnrecoverableError('no'), SLOT, false),
    again: async ({ queue }) => ((await queue.getJob(JOB_ID)) as Job).retry('failed'),
  },
  'that completed an earlier job of its id': {
    options: { removeOnComplete: true },
    script: 'torilFinish',
    end: complete,
    again: ({ add }) => add(),
  },
  'that completed an earlier job of its id, by a script of BullMQ': {
    options: { removeOnComplete: 3 },
    script: 'torilTimedMoveToFinished',
    end: complete,
    again: async ({ queue, add }) => {
      await queue.remove(JOB_ID);
      await add();
    },
  },
};

describe('a job that is delivered to the same slot again', () => {
  it.each(Object.entries(ENDINGS))(
    'does not hear a late copy of what was said %s',
    async (_, { options, script, end, again }) => {
      const scene = await open(options);
      const { backend, add, deliver } = scene;
      await add();
      const first = await deliver();
      const client = await backend.scripts();
      const { runCommand } = client;
      const sent = new Map<string, unknown[]>();
      client.runCommand = (name, args) => {
        sent.set(name, args);
        return runCommand(name, args);
      };
      await end(first, backend);
      const copy = sent.get(script) ?? [];
      expect(copy).not.toEqual([]);
      await again(scene);
      const second = await deliver();
      expect(second.id).toBe(JOB_ID);
      expect(second.token).toBe(first.token);
      const before = await redis.hgetall(backend.toKey(JOB_ID));

      await runCommand(script, copy);
      expect(await redis.hgetall(backend.toKey(JOB_ID))).toEqual(before);
      expect(await redis.lpos(backend.toKey('active'), JOB_ID)).not.toBeNull();
      expect(await redis.get(backend.toKey(`${JOB_ID}:lock`))).toBe(SLOT);

      await end(second, backend); // which is heard
      expect(await redis.lpos(backend.toKey('active'), JOB_ID)).toBeNull();
    },
  );

  it('is not ended by what does not say which delivery it ends', async () => {
    const { backend, add, deliver } = await open({ attempts: 9 });
    await add();
    const job = await deliver();
    const client = await backend.scripts();
    const before = await redis.hgetall(backend.toKey(JOB_ID));
    const args = backend.retryJobArgs(JOB_ID, false, SLOT);
    for (const wrong of [args.slice(0, -1), [...args, 'one more']])
      await expect(client.runCommand('torilTimedRetryJob', wrong)).rejects.toThrow(
        'the delivery is not the last argument',
      );
    expect(await redis.hgetall(backend.toKey(JOB_ID))).toEqual(before);
    await complete(job);
  });
});
