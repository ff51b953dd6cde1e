/** What a failing update does to its own job, to its key and to the jobs of others. */
import { type Job, Queue as BullQueue, UnrecoverableError, Worker as BullWorker } from 'bullmq';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, vi } from 'vitest';
import * as z from 'zod';
import { defineUpdate, type Update, type Worker } from '../../src/index.ts';
import { TorilBackend } from '../../src/jobs/bullmq/bull-backend.ts';
import { eventually } from '../support/memcached.ts';
import { log, logOr, type Entry, type Line, type Position } from '../support/updates.ts';
import {
  enqueueLog,
  entries,
  expectExact,
  nextEvent,
  stage,
  type Stage,
} from '../support/workers.ts';

type LogUpdate = Update<string, Line[], Entry, Entry, Position>;

const states = (jobs: readonly Job[]): Promise<string[]> =>
  Promise.all(jobs.map((job) => job.getState()));

/** Five jobs of one key, the second of which fails as often as said. */
function fiveWith(
  here: Stage,
  update: LogUpdate,
  failures: number,
  options: { attempts?: number; backoff?: number } = {},
): Promise<Job[]> {
  const key = here.key();
  return here.queue.enqueueBulk(
    entries(key, 5).map((entry) => ({
      update,
      data: entry.n === 1 ? { ...entry, failures } : entry,
      options,
    })),
  );
}

/** Waits until the job holds its lane, and BullMQ has been told so. */
async function untilHeld(worker: Worker, job: Job | undefined): Promise<void> {
  await nextEvent(worker, 'laneHeld');
  await untilFailed(job);
}

async function untilFailed(job: Job | undefined): Promise<void> {
  await eventually('BullMQ has failed it', async () => (await job?.isFailed()) === true);
}

describe('a job that fails and has attempts left', () => {
  it('keeps its place: the others wait for its retry (block)', async () => {
    const here = stage();
    const jobs = await fiveWith(here, log, 2, { attempts: 3, backoff: 50 });
    await here.worker({ concurrency: 8 });
    const finished = await here.finished(jobs);
    expect(await expectExact(here, here.key(), finished)).toEqual([0, 1, 2, 3, 4]);
    expect(finished.map((job) => job.attemptsMade)).toEqual([1, 3, 1, 1, 1]);
  });

  it('waits out its backoff, however many wait behind it', async () => {
    const here = stage();
    const jobs = await fiveWith(here, log, 1, { attempts: 2, backoff: 700 });
    await here.worker({ concurrency: 8 });
    const finished = await here.finished(jobs);
    expect(await expectExact(here, here.key(), finished)).toEqual([0, 1, 2, 3, 4]);
    const [first, second] = finished.map(({ finishedOn = 0 }) => finishedOn) as [number, number];
    expect(second - first).toBeGreaterThan(650);
  });

  it('is overtaken, and tried again behind the others (skip)', async () => {
    const here = stage();
    const jobs = await fiveWith(here, logOr.skip, 2, { attempts: 3, backoff: 50 });
    await here.worker({ concurrency: 8 });
    const finished = await here.finished(jobs);
    expect(await expectExact(here, here.key(), finished)).toEqual([0, 2, 3, 4, 1]);
    expect(finished.map((job) => job.attemptsMade)).toEqual([1, 3, 1, 1, 1]);
  });

  it('is overtaken by jobs that come while it waits for its retry, too (skip)', async () => {
    const here = stage();
    const key = here.key();
    await here.worker({ concurrency: 8 });
    const options = { attempts: 2, backoff: 3_000 };
    const failing = await here.queue.enqueue(logOr.skip, { key, n: 0, failures: 1 }, options);
    while ((await failing.getState()) !== 'delayed') await new Promise((r) => setTimeout(r, 10));
    const startedMs = performance.now();
    const [second] = await here.finished([await here.queue.enqueue(logOr.skip, { key, n: 1 })]);
    expect(performance.now() - startedMs).toBeLessThan(1_000);
    const finished = await here.finished([failing]);
    expect(await expectExact(here, key, [second as Job, ...finished])).toEqual([1, 0]);
  });

  it('is not charged for being tried in the delivery of somebody else', async () => {
    const here = stage();
    const jobs = await fiveWith(here, log, 1, { attempts: 2 });
    // One delivery at a time, and the failing job is never among the first.
    await here.worker({ concurrency: 1 });
    const finished = await here.finished(jobs);
    expect(await expectExact(here, here.key(), finished)).toEqual([0, 1, 2, 3, 4]);
    expect(finished.map((job) => job.attemptsMade)).toEqual([1, 2, 1, 1, 1]);
  });

  it('leaves its value unharmed, though it changed it before it threw', async () => {
    const here = stage();
    const jobs = await fiveWith(here, log, 9, { attempts: 2 });
    await here.worker({ concurrency: 8 });
    const finished = await here.finished(jobs);
    expect(await states(finished)).toEqual([
      'completed',
      'failed',
      'completed',
      'completed',
      'completed',
    ]);
    expect(await expectExact(here, here.key(), finished)).toEqual([0, 2, 3, 4]);
  });

  it('leaves what `initial` returns unharmed, though that is the same object each time', async () => {
    const initial: Line[] = [];
    const shared = defineUpdate({
      ...log,
      schema: undefined,
      name: 'shared',
      initial: () => initial,
    });
    const here = stage({ updates: [shared] });
    await here.worker({ concurrency: 8 });
    const jobs = await here.queue.enqueueBulk([
      { update: shared, data: { key: here.key('a'), n: 0, failures: 1 } },
      { update: shared, data: { key: here.key('a'), n: 1 } },
      { update: shared, data: { key: here.key('b'), n: 0 } },
    ]);
    const [, second, third] = await here.finished(jobs);
    expect(await expectExact(here, here.key('a'), [second as Job])).toEqual([1]);
    expect(await expectExact(here, here.key('b'), [third as Job])).toEqual([0]);
  });

  it('may use all its attempts also after its process has died with it once', async () => {
    const here = stage();
    const [job] = await enqueueLog(here, [{ key: here.key(), n: 0, failures: 5 }], { attempts: 6 });
    await here.redis.hset(here.redisKey(job?.id as string), 'stc', 1);
    await here.worker();
    const finished = await here.finished([job as Job]);
    expect(await expectExact(here, here.key(), finished)).toEqual([0]);
    expect(finished[0]?.attemptsMade).toBe(6);
  });
});

describe('a job that has used up its attempts', () => {
  it('is passed by (continue)', async () => {
    const here = stage();
    const jobs = await fiveWith(here, log, 9, { attempts: 2 });
    await here.worker({ concurrency: 8 });
    const finished = await here.finished(jobs);
    expect(finished[1]).toMatchObject({ failedReason: 'attempt 2 of job 1', attemptsMade: 2 });
    expect(await expectExact(here, here.key(), finished)).toEqual([0, 2, 3, 4]);
  });

  it('takes everything behind it down (cascade)', async () => {
    const here = stage();
    const jobs = await fiveWith(here, logOr.cascade, 9, { attempts: 2 });
    await here.worker({ concurrency: 8 });
    const finished = await here.finished(jobs);
    expect(await states(finished)).toEqual(['completed', 'failed', 'failed', 'failed', 'failed']);
    expect(finished[4]?.failedReason).toMatch(/cascades/);
    expect(await expectExact(here, here.key(), finished)).toEqual([0]);
    const [later] = await here.finished([
      await here.queue.enqueue(logOr.cascade, { key: here.key(), n: 5 }),
    ]);
    expect(await expectExact(here, here.key(), [...finished, later as Job])).toEqual([0, 5]);
  });

  it('takes everything behind it down over several batches (cascade)', async () => {
    const here = stage();
    const key = here.key();
    const jobs = await here.queue.enqueueBulk(
      entries(key, 50).map((entry) => ({
        update: logOr.cascade,
        data: entry.n === 3 ? { ...entry, failures: 1 } : entry,
      })),
    );
    await here.worker({ concurrency: 4, batchJobsMax: 7 });
    const finished = await here.finished(jobs);
    expect(await expectExact(here, key, finished)).toEqual([0, 1, 2]);
    expect(finished.filter((job) => job.failedReason != null)).toHaveLength(47);
  });

  it('stops its key (hold), and no other', async () => {
    const here = stage();
    const jobs = await fiveWith(here, logOr.hold, 2, { attempts: 2 });
    const worker = here.startWorker({ concurrency: 8 });
    const held = await nextEvent(worker, 'laneHeld');
    expect(held).toMatchObject({
      key: here.key(),
      jobId: jobs[1]?.id,
      reason: 'attempt 2 of job 1',
    });
    const [other] = await here.finished([
      await here.queue.enqueue(logOr.hold, { key: here.key('other'), n: 0 }),
    ]);
    expect(other?.returnvalue).toBe(0);
    expect(await here.queue.lane(here.key()).report()).toMatchObject({
      heldBy: jobs[1]?.id,
      length: 4,
    });
  });

  it('is told once, however often the lane is met; a commit counts the jobs that it applied', async () => {
    const here = stage();
    const jobs = await fiveWith(here, logOr.hold, 2, { attempts: 2 });
    const worker = here.startWorker({ concurrency: 8 });
    let [applied, looks] = [0, 0];
    worker.on('committed', (commit) => void (applied += commit.jobs));
    worker.on('jobSnoozed', ({ jobId }) => void (jobId === jobs[2]?.id && looks++));
    await untilHeld(worker, jobs[1]);
    const until = looks + 3;
    await eventually('it is met again', () => looks >= until);
    expect({ applied, held: worker.counts.laneHeld }).toEqual({ applied: 1, held: 1 });
    await here.queue.lane(here.key()).drop();
    await here.finished(jobs);
    expect(applied).toBe(4);
  });

  it.each(['retry', 'job.retry'] as const)(
    'goes on where it was, once it succeeds (%s)',
    async (way) => {
      const here = stage();
      const jobs = await fiveWith(here, logOr.hold, 2, { attempts: 2 });
      const worker = here.startWorker({ concurrency: 8 });
      await untilHeld(worker, jobs[1]);
      if (way === 'retry') await here.queue.lane(here.key()).retry();
      else await (await here.queue.getJob(jobs[1]?.id as string))?.retry();
      const finished = await here.finished(jobs);
      expect(await expectExact(here, here.key(), finished)).toEqual([0, 1, 2, 3, 4]);
      expect(finished.map((job) => job.attemptsMade)).toEqual([1, 3, 1, 1, 1]);
    },
  );

  it('goes to the end of its lane (skip)', async () => {
    const here = stage();
    const jobs = await fiveWith(here, logOr.hold, 2, { attempts: 2 });
    const worker = here.startWorker({ concurrency: 8 });
    await untilHeld(worker, jobs[1]);
    await here.queue.lane(here.key()).skip();
    const finished = await here.finished(jobs);
    expect(await expectExact(here, here.key(), finished)).toEqual([0, 2, 3, 4, 1]);
  });

  it('fails for good (drop), and may still be retried as a new job later', async () => {
    const here = stage();
    const jobs = await fiveWith(here, logOr.hold, 2, { attempts: 2 });
    const worker = here.startWorker({ concurrency: 8 });
    await untilHeld(worker, jobs[1]);
    await here.queue.lane(here.key()).drop();
    const others = jobs.filter((_, n) => n !== 1);
    await here.finished(others);
    const [dropped] = await here.finished([jobs[1] as Job]);
    expect(dropped?.failedReason).toMatch(/dropped/);
    await dropped?.retry();
    const finished = await here.finished(jobs);
    expect(await expectExact(here, here.key(), finished)).toEqual([0, 2, 3, 4, 1]);
  });

  it('lets its key go on once it is removed', async () => {
    const here = stage();
    const jobs = await fiveWith(here, logOr.hold, 2, { attempts: 2 });
    const worker = here.startWorker({ concurrency: 8 });
    await untilHeld(worker, jobs[1]);
    await (await here.queue.getJob(jobs[1]?.id as string))?.remove();
    const finished = await here.finished(jobs.filter((_, n) => n !== 1));
    expect(await expectExact(here, here.key(), finished)).toEqual([0, 2, 3, 4]);
  });

  it('which completed is not applied again when it is retried, and returns what it returned', async () => {
    const here = stage();
    const key = here.key();
    const worker = await here.worker({ concurrency: 8 });
    const finished = await here.finished(await enqueueLog(here, entries(key, 3)));
    await finished[1]?.retry('completed');
    await finished[2]?.retry('completed', { resetAttemptsMade: true });
    const again = await here.finished(finished);
    expect(again.map((job) => job.returnvalue)).toEqual([0, 1, 2]);
    expect(await expectExact(here, key, again)).toEqual([0, 1, 2]);
    expect(worker.counts.committed).toBe(1);
  });

  it.each(['remove', 'clean', 'clean of a queue without Toril'] as const)(
    'lets its key go on soon once it is taken away (%s), however long the others have waited',
    async (way) => {
      const here = stage();
      const key = here.key();
      const jobs = await fiveWith(here, logOr.hold, 2, { attempts: 1 });
      // Whoever is not the first in a standing lane looks again later each time.
      const worker = here.startWorker({ concurrency: 8, blockedMs: 300 });
      const looks = new Map<string, number>();
      worker.on('jobSnoozed', ({ jobId }) => looks.set(jobId, (looks.get(jobId) ?? 0) + 1));
      const last = jobs.at(-1)?.id as string;
      await eventually('they look again later each time', () => (looks.get(last) ?? 0) > 2);
      const plain = new BullQueue(here.name, { connection: { url: here.redisUrl } });
      if (way === 'remove') await (await here.queue.getJob(jobs[1]?.id as string))?.remove();
      else await (way === 'clean' ? here.queue : plain).clean(0, 100, 'failed');
      await plain.close();
      const startedMs = performance.now();
      const finished = await here.finished(jobs.filter((_, n) => n !== 1));
      if (way !== 'clean of a queue without Toril') {
        expect(performance.now() - startedMs).toBeLessThan(250);
      }
      expect(await expectExact(here, key, finished)).toEqual([0, 2, 3, 4]);
    },
  );

  it('lets its key go on soon, though the next job gives its slot back just then', async () => {
    const here = stage();
    const key = here.key();
    const jobs = await fiveWith(here, logOr.hold, 2, { attempts: 1 });
    const [, holds, next] = jobs as [Job, Job, Job];
    const worker = here.startWorker({ concurrency: 8, blockedMs: 60_000 });
    let removedMs = 0;
    const snooze = vi.spyOn(worker.backend, 'snooze');
    snooze.mockImplementation(async function (this: typeof worker.backend, ...args) {
      if (args[0] === next.id && removedMs === 0) {
        await untilFailed(holds);
        await holds.remove();
        removedMs = performance.now();
      }
      return TorilBackend.prototype.snooze.apply(this, args);
    });
    const finished = await here.finished(jobs.filter((job) => job !== holds));
    // It was 55 s: to the look at standing lanes, every two seconds, this one has moved on.
    expect(performance.now() - removedMs).toBeLessThan(250);
    expect(await expectExact(here, key, finished)).toEqual([0, 2, 3, 4]);
  });

  it('enters its lane anew, at the end, when an operator retries it', async () => {
    const here = stage();
    const jobs = await fiveWith(here, log, 2, { attempts: 2 });
    await here.worker({ concurrency: 8 });
    const finished = await here.finished(jobs);
    await finished[1]?.retry();
    const again = await here.finished(jobs);
    expect(await expectExact(here, here.key(), again)).toEqual([0, 2, 3, 4, 1]);
  });
});

describe('an update that gives up for good', () => {
  class Fatal extends UnrecoverableError {}
  const giveUp = defineUpdate({
    name: 'give-up',
    key: (data: { key: string; subclass: boolean }) => data.key,
    initial: () => 0,
    apply: (_value: number, { subclass }): number => {
      throw subclass ? new Fatal('no use') : new UnrecoverableError('no use');
    },
    onExhausted: 'cascade',
  });

  it.each([false, true])(
    'uses one attempt of many (subclass of UnrecoverableError: %s)',
    async (subclass) => {
      const here = stage({ updates: [giveUp] });
      const jobs = await here.queue.enqueueBulk(
        [0, 1, 2].map(() => ({
          update: giveUp,
          data: { key: here.key(), subclass },
          options: { attempts: 5, backoff: 10_000 },
        })),
      );
      await here.worker({ concurrency: 8 });
      const finished = await here.finished(jobs, 5_000);
      expect(finished.map((job) => job.attemptsMade)).toEqual([1, 1, 1]);
      expect(finished.map((job) => job.failedReason?.slice(0, 6))).toEqual([
        'no use',
        'an ear',
        'an ear',
      ]);
      expect(await here.queue.lane(here.key()).report()).toMatchObject({ length: 0 });
    },
  );
});

describe('a job that gives up by an error of its own kind', () => {
  it('leaves nothing in its lane', async () => {
    class Fatal extends UnrecoverableError {}
    const giveUp = defineUpdate({
      name: 'give-up',
      key: ({ key }: { key: string }) => key,
      initial: () => 0,
      apply: (): number => {
        throw new Fatal('no use');
      },
    });
    const here = stage({ updates: [giveUp] });
    await here.worker();
    const job = await here.queue.enqueue(giveUp, { key: here.key() }, { attempts: 5, backoff: 10 });
    const [finished] = await here.finished([job]);
    expect(finished).toMatchObject({ failedReason: 'no use', attemptsMade: 1 });
    expect(await here.queue.lane(here.key()).report()).toMatchObject({ length: 0 });
  });
});

describe('a job that BullMQ fails before its update is called', () => {
  const settings = {
    name: 'count',
    key: ({ key }: { key: string }) => key,
    initial: (): number => 0,
    apply: (count: number) => count + 1,
    result: (count: number | undefined) => count,
  };
  const Any = z.object({ key: z.string() });
  const Strict = z.object({ key: z.string(), amount: z.number() });
  const lenient = defineUpdate({ ...settings, schema: Any });
  const strict = defineUpdate({ ...settings, schema: Strict });

  it('lets its key go on, and is applied when somebody retries it where it can be', async () => {
    const here = stage({ updates: [lenient] });
    const worker = await here.worker({ updates: [strict], concurrency: 4 });
    const [bad] = await here.finished([await here.queue.enqueue(lenient, { key: here.key() })]);
    expect(bad?.failedReason).toMatch(/does not fit its schema: amount/);
    const [good] = await here.finished([
      await here.queue.add('count', { key: here.key(), amount: 1 }),
    ]);
    expect(good?.returnvalue).toBe(1);
    await worker.close();
    await here.worker({ updates: [lenient] });
    await bad?.retry();
    const [retried] = await here.finished([bad as Job]);
    expect(retried).toMatchObject({ returnvalue: 2 });
    expect(await here.cells.get(here.key())).toBe(2);
  });
});

describe('a job that a plain BullMQ worker has completed', () => {
  it('does not hold its lane, though an earlier attempt of it failed', async () => {
    const here = stage();
    const key = here.key();
    const options = { attempts: 2 };
    const job = await here.queue.enqueue(logOr.hold, { key, n: 0 }, options);
    const plain = new BullWorker(
      here.name,
      async ({ attemptsMade }) => {
        if (attemptsMade === 0) throw new Error('at first');
      },
      { connection: { url: here.redisUrl } },
    );
    const [finished] = await here.finished([job]);
    await plain.close();
    expect(finished).toMatchObject({ failedReason: 'at first', attemptsMade: 2 });
    const other = await here.queue.enqueue(logOr.hold, { key, n: 1 });
    await here.worker();
    expect(await here.finished([other], 5_000)).toMatchObject([{ returnvalue: 0 }]);
  });
});

describe('a lane that is held', () => {
  it('is left alone by workers that do not know the update of the job that holds it', async () => {
    const here = stage();
    const jobs = await fiveWith(here, logOr.hold, 9);
    const worker = here.startWorker({ concurrency: 8 });
    await nextEvent(worker, 'laneHeld');
    await worker.close();
    const [other] = await enqueueLog(here, [{ key: here.key(), n: 9 }]);
    const ignorant = here.startWorker({ updates: [log], concurrency: 8 });
    const met = new Promise<void>((resolve) => {
      ignorant.on('jobSnoozed', ({ jobId }) => jobId === other?.id && resolve());
    });
    await nextEvent(ignorant, 'updateUnknown');
    await met;
    expect(await (other as Job).getState()).not.toBe('completed');
    expect(await here.queue.lane(here.key()).report()).toMatchObject({ heldBy: jobs[1]?.id });
  });

  it('is not held by a job that somebody else has applied meanwhile', async () => {
    const here = stage();
    const key = here.key();
    const job = await here.queue.enqueue(logOr.hold, { key, n: 0, failures: 9 });
    const worker = here.startWorker();
    // Between the decision to hold and its report to BullMQ, the worker froze for longer than its
    // lease, and another one, with other code, applied the job.
    const fail = vi.spyOn(worker.backend, 'moveToFailed');
    fail.mockImplementationOnce(async function (this: typeof worker.backend, ...args) {
      await here.redis.hset(here.redisKey(job.id as string), 'toril', 'a"by somebody else"');
      await here.redis.del(here.ownKey(`lane:${key}`));
      return TorilBackend.prototype.moveToFailed.apply(this, args);
    });
    await here.finished([job]);
    await job.retry();
    const [retried] = await here.finished([job]);
    expect(retried?.returnvalue).toBe('by somebody else');
  });
});

describe('an update that blocks its process for longer than the lease', () => {
  it('fails its own job, and lets its key go on', async () => {
    const block = defineUpdate({
      name: 'block',
      key: ({ key }: { key: string; blocksMs: number }) => key,
      initial: () => 0,
      apply: (count: number, { blocksMs }) => {
        const untilMs = performance.now() + blocksMs;
        while (performance.now() < untilMs);
        return count + 1;
      },
    });
    const here = stage({ updates: [block] });
    const key = here.key();
    const jobs = await here.queue.enqueueBulk(
      [0, 700, 0].map((blocksMs) => ({ update: block, data: { key, blocksMs } })),
    );
    await here.worker({ concurrency: 4, lockDuration: 10_000 });
    const finished = await here.finished(jobs, 12_000);
    expect(finished[1]?.failedReason).toMatch(/blocked its process for \d+ ms/);
    expect(await here.cells.get(key)).toBe(2);
  });
});

describe('a failing update that takes longer than jobs wait for their turn', () => {
  const slow = (name: string, onFailure: 'block' | 'skip'): LogUpdate =>
    defineUpdate({
      ...log,
      schema: undefined,
      name,
      onFailure,
      apply: async (lines: Line[], entry: Entry, context) => {
        await sleep(entry.takesMs ?? 0);
        lines.push([entry.n, context.sequence, context.token]);
        if (context.attempt <= (entry.failures ?? 0)) throw new Error(`attempt ${context.attempt}`);
        return lines;
      },
    });
  const updates = [slow('slow-block', 'block'), slow('slow-skip', 'skip')] as const;

  it.each(updates.map((update) => [update.onFailure, update] as const))(
    'is charged each time, and called no more often than that (%s)',
    async (_, update) => {
      const here = stage({ updates });
      const called: number[] = [];
      const counting = {
        ...update,
        apply: ((lines, entry, context) => {
          if (entry.n === 1) called.push(context.attempt);
          return update.apply(lines, entry, context);
        }) satisfies LogUpdate['apply'],
      };
      const jobs = await here.queue.enqueueBulk(
        // The first one is quick, so that the one that fails is not the head of its batch.
        [0, 2, 0].map((failures, n) => ({
          update,
          data: { key: here.key(), n, failures, takesMs: n === 1 ? 150 : 0 },
          options: { attempts: 2 },
        })),
      );
      await here.worker({ updates: [counting], concurrency: 4, patienceMs: 20 });
      const finished = await here.finished(jobs, 10_000);
      expect(await expectExact(here, here.key(), finished)).toEqual([0, 2]);
      expect(finished[1]).toMatchObject({ failedReason: 'attempt 2', attemptsMade: 2 });
      expect(called).toEqual([1, 2]);
    },
  );
});

describe('a failing update that blocks its process for longer than the others are snoozed', () => {
  it('is delivered though its lane is full of jobs that BullMQ prefers to it', async () => {
    const blocking = defineUpdate({
      ...log,
      schema: undefined,
      name: 'blocking',
      apply: (lines: Line[], { n, takesMs = 0, failures = 0 }: Entry, context) => {
        const untilMs = performance.now() + takesMs;
        while (performance.now() < untilMs);
        if (context.attempt <= failures) throw new Error(`attempt ${context.attempt}`);
        return [...lines, [n, context.sequence, context.token] as Line];
      },
    });
    const here = stage({ updates: [blocking] });
    const key = here.key();
    // Each of the others tries it in vain, and by the time the last has, the first ones are back.
    const jobs = await here.queue.enqueueBulk(
      Array.from({ length: 200 }, (_, n) => ({
        update: blocking,
        data: { key, n, ...(n === 0 && { failures: 9, takesMs: 40 }) },
        options: n === 0 ? { attempts: 2, priority: 5 } : {},
      })),
    );
    await here.worker({ concurrency: 1 });
    const finished = await here.finished(jobs, 10_000);
    expect(await expectExact(here, key, finished)).toHaveLength(199);
    expect(finished[0]).toMatchObject({ failedReason: 'attempt 2', attemptsMade: 2 });
  });
});
