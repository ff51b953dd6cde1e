/**
 * A BullMQ that Toril does not know: the text of one script is another one. Nothing that BullMQ keeps is written but by its own scripts,
 * as Redis itself says of every command, and what is applied stays exact.
 */
import { createHash } from 'node:crypto';
import { type Job, Worker as BullWorker } from 'bullmq';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import type { Worker } from '../../src/index.ts';
import { addScript } from '../../src/jobs/bullmq/state/add.ts';
import { bullScripts } from '../../src/jobs/bullmq/state/bullmq-text.ts';
import { ALONE_FIELD } from '../../src/jobs/redis/scripts/script.ts';
import { REMOVE } from '../../src/jobs/bullmq/state/remove.ts';
import { committing, taking } from '../conformance/lanes.suite.ts';
import { monitor } from '../support/monitor.ts';
import { log } from '../support/updates.ts';
import { enqueueLog, entries, expectExact, stage, type Stage } from '../support/workers.ts';

vi.mock(import('../../src/jobs/bullmq/state/layout.ts'), async (original) => {
  const layout = await original();
  return { ...layout, SCRIPTS: { ...layout.SCRIPTS, moveToFinished: 'of another text' as never } };
});

/** Commands that write nothing; any other may. */
const READING = new Set([
  ...['get', 'mget', 'hget', 'hmget', 'hgetall', 'hexists', 'exists', 'llen', 'lrange', 'lpos'],
  ...['lindex', 'zrange', 'zscore', 'zmscore', 'zrank', 'zcard', 'zcount', 'zrangebyscore'],
  ...['zrevrange', 'zrevrangebyscore', 'time', 'pttl', 'ttl', 'type', 'xlen', 'xrange', 'scard'],
  ...['smembers', 'sismember', 'zrevrank', 'hlen', 'hkeys'],
]);
/** Fields of a job's hash that are Toril's. */
const OWN_FIELD = /^(tl|toril\w*)$/;

const sha = (text: string | Buffer): string => createHash('sha1').update(text).digest('hex');

/** Scripts that are BullMQ's, or have BullMQ's in them, word for word, to do the writing. */
const BULLMQS = new Set([
  ...[...bullScripts().values()].map(({ lua }) => sha(lua)),
  ...[sha(addScript().lua), sha(REMOVE.lua)],
]);

/** What a script of Toril's own writes of what BullMQ keeps of this queue; filled until the test ends. */
async function trespasses(here: Stage): Promise<{ readonly found: string[]; scripts: number }> {
  const prefix = here.redisKey('');
  const seen = { found: [] as string[], scripts: 0 };
  let script = '';
  const { stop } = await monitor(here.redisUrl, ({ command, args, byScript }) => {
    const [first = ''] = args;
    if (command === 'evalsha' || command === 'eval') {
      script = command === 'eval' ? sha(Buffer.from(first, 'latin1')) : first;
      if (!BULLMQS.has(script)) seen.scripts += 1;
      return;
    }
    if (!byScript || BULLMQS.has(script) || READING.has(command)) return;
    if (!args.some((text) => text.startsWith(prefix))) return;
    const fields = args.slice(1).filter((_, at) => command === 'hdel' || at % 2 === 0);
    const isOwn =
      ['hset', 'hdel'].includes(command) && fields.every((text) => OWN_FIELD.test(text));
    if (!isOwn) seen.found.push([command, ...args.slice(0, 4)].join(' '));
  });
  onTestFinished(stop);
  return seen;
}

/** From the first queue of this file on. */
const warnings: Error[] = [];
process.on('warning', (warning: Error & { code?: string }) => {
  if (warning.code === 'BULLMQ_UNKNOWN') warnings.push(warning);
});

describe('with a BullMQ that it does not know, Toril', () => {
  let here: Stage;
  let watched: Awaited<ReturnType<typeof trespasses>>;
  beforeEach(async () => {
    here = stage();
    watched = await trespasses(here);
  });

  /** All that a script was told to do has been seen. */
  const expectNoTrespass = async (): Promise<void> => {
    await sleep(200);
    expect(watched.scripts).toBeGreaterThan(0);
    expect(watched.found).toEqual([]);
  };

  it('says so, with the version and what it costs', async () => {
    const worker = here.startWorker();
    const told = new Promise((resolve) => worker.once('fastPathOff', resolve));
    expect(await told).toMatchObject({
      reasons: ['bullmq-version'],
      bullmq: expect.stringMatching(/^\d+\.\d+\.\d+$/),
      costs: expect.stringMatching(/moveToFinished.*one by one.*stays exact/s),
    });
  });

  it('says so once per process, by a warning, also where there are only queues', async () => {
    stage();
    await vi.waitFor(() => expect(warnings).toHaveLength(1));
    expect(warnings[0]?.message).toMatch(
      /^BullMQ \d+\.\d+\.\d+ has other scripts \(moveToFinished\).*one by one.*stays exact/,
    );
  });

  it('applies each job once and in order, of fast keys and of slow ones whose jobs give their slots back', async () => {
    const workers = [1, 2].map(() => here.startWorker({ concurrency: 8, patienceMs: 1 }));
    const snoozed = workers.map(countOf('jobSnoozed'));
    const slow = await enqueueLog(here, entries(here.key('slow'), 60, { takesMs: 5 }));
    const fast = await enqueueLog(here, entries(here.key('fast'), 60));
    for (const [key, jobs] of [
      ['slow', slow],
      ['fast', fast],
    ] as const) {
      const finished = await here.finished(jobs);
      const numbers = await expectExact(here, here.key(key), finished);
      expect(numbers).toEqual(jobs.map((_, n) => n));
      expect(new Set(finished.map(({ attemptsMade }) => attemptsMade))).toEqual(new Set([1]));
    }
    expect(snoozed.reduce((sum, count) => sum + count(), 0)).toBeGreaterThan(0);
    await expectNoTrespass();
  });

  it('retries, holds and fails what fails, and takes jobs with delays and priorities', async () => {
    here.startWorker({ concurrency: 4 });
    const key = here.key();
    const options = { attempts: 2, backoff: 20 };
    const retried = await here.queue.enqueue(log, { key, n: 0, failures: 1 }, options);
    const failing = await here.queue.enqueue(log, { key, n: 1, failures: 9 }, options);
    const [delayed] = await enqueueLog(here, entries(here.key('later'), 1), { delay: 50 });
    const urgent = await enqueueLog(here, entries(here.key('urgent'), 5), { priority: 3 });
    const finished = await here.finished([retried, failing, delayed as Job, ...urgent] as Job[]);
    expect(await expectExact(here, key, finished.slice(0, 2))).toEqual([0]);
    expect(finished[1]).toMatchObject({ attemptsMade: 2, failedReason: 'attempt 2 of job 1' });
    expect(await expectExact(here, here.key('urgent'), finished.slice(3))).toEqual([0, 1, 2, 3, 4]);
    await expectNoTrespass();
  });

  it('removes, cleans, promotes and drains snoozed jobs', async () => {
    await enqueueLog(here, entries(here.key(), 6));
    const jobIds = await fetchSome(here, 6);
    for (const jobId of jobIds) await here.queue.backend.snooze(jobId, [], 60_000, 'slot');
    expect(await here.queue.getJobCounts('waiting', 'delayed')).toEqual({ waiting: 6, delayed: 0 });
    expect(await here.queue.remove(jobIds[0] as string)).toBe(1);
    expect(await here.queue.clean(0, 2, 'wait')).toHaveLength(2);
    await here.queue.promoteJobs();
    expect(await here.queue.getSnoozedCount()).toBe(2); // the lane's new head was woken
    await here.queue.backend.deliverNext(jobIds[5] as string);
    expect(await here.redis.llen(here.redisKey('wait'))).toBe(2);
    await here.queue.drain();
    expect(await here.queue.count()).toBe(0);
    await expectNoTrespass();
  });

  it('has a snoozed job delivered at once that somebody’s batch has applied', async () => {
    const jobs = await enqueueLog(here, entries(here.key(), 3));
    const jobIds = await fetchSome(here, 3);
    const { backend } = here.queue;
    for (const jobId of jobIds.slice(1)) await backend.snooze(jobId, [], 3_600_000, 'slot');
    await backend.giveBack(jobIds[0] as string, 'slot');
    here.startWorker();
    expect(await expectExact(here, here.key(), await here.finished(jobs))).toEqual([0, 1, 2]);
    await expectNoTrespass();
  });

  it('has the first of a lane delivered though its process died before it was noted as snoozed', async () => {
    const [job] = await enqueueLog(here, entries(here.key(), 1));
    const [jobId] = (await fetchSome(here, 1)) as [string];
    const { backend } = here.queue;
    await backend.snooze(jobId, [], 3_600_000, 'slot');
    await here.redis.del(here.ownKey('snoozed:wait'));
    expect(await job?.getState()).toBe('delayed');
    await backend.deliverNext(jobId);
    expect(await job?.getState()).toBe('waiting');
    await expectNoTrespass();
  });

  it('notes that a process has lived through a job which it began alone, though somebody else has it by now', async () => {
    await enqueueLog(here, entries(here.key(), 2));
    const [lost, held] = (await fetchSome(here, 2)) as [string, string];
    await here.redis.del(here.redisKey(`${lost}:lock`));
    const { backend } = here.queue;
    await expect(backend.snooze(lost, [5], 60_000, 'slot')).rejects.toThrow('Missing lock');
    await backend.giveBack(held, 'slot', { survived: [5] });
    for (const jobId of [lost, held]) {
      expect(await here.redis.hget(here.redisKey(jobId), ALONE_FIELD)).toBe('0 0 +5');
    }
    await expectNoTrespass();
  });

  it('keeps why a job holds its lane, though the process dies before BullMQ is told', async () => {
    const key = here.key();
    const [job] = await enqueueLog(here, entries(key, 1));
    const jobId = job?.id as string;
    const { lanes } = here.queue.inRedis;
    const taken = await lanes.take(taking({ key, arrivals: [jobId] }));
    const decisions = new Map([[jobId, 'hwhy it failed']]);
    const [dataSet, token] = [taken.dataSet.id, taken.token];
    await lanes.acknowledge(committing({ key, dataSet, base: 0, token, watermark: 0, decisions }));
    expect((await lanes.take(taking({ key }))).entries).toMatchObject([
      { jobId, directive: 'held', failedReason: 'why it failed' },
    ]);
    await expectNoTrespass();
  });

  it('closes with jobs in hand, which are done by the next worker', async () => {
    const worker = here.startWorker({ concurrency: 8 });
    const jobs = await enqueueLog(here, entries(here.key(), 40, { takesMs: 5 }));
    await new Promise((resolve) => worker.once('completed', resolve));
    await worker.close();
    here.startWorker();
    expect(await expectExact(here, here.key(), await here.finished(jobs))).toHaveLength(40);
    await expectNoTrespass();
  });

  it('drops a job of which nothing is left, and goes on', async () => {
    const [gone, next] = await enqueueLog(here, entries(here.key(), 2));
    await here.redis.del(here.redisKey(gone?.id as string));
    const worker = here.startWorker();
    await here.finished([next as Job]);
    await vi.waitFor(
      async () =>
        expect(await here.queue.getJobCounts('waiting', 'active', 'failed')).toEqual({
          ...{ waiting: 0, active: 0, failed: 0 },
        }),
      10_000,
    );
    expect(worker.counts.jobsMissing).toBeGreaterThan(0);
    await expectNoTrespass();
  });
});

function countOf(name: 'jobSnoozed'): (worker: Worker) => () => number {
  return (worker) => () => worker.counts[name] ?? 0;
}

/** As BullMQ's worker fetches, under the token `slot`. */
async function fetchSome(here: Stage, count: number): Promise<string[]> {
  const connection = { url: here.redisUrl };
  const worker = new BullWorker(here.name, null, {
    connection,
    autorun: false,
    lockDuration: 60_000,
  });
  onTestFinished(() => worker.close());
  const jobIds: string[] = [];
  while (jobIds.length < count) {
    const job = await worker.getNextJob('slot');
    jobIds.push(job?.id as string);
  }
  return jobIds;
}
