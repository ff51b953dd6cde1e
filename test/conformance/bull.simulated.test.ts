/**
 * The simulation's BullMQ must do what BullMQ does. Random walks through everything that the
 * simulation uses, on both: the same answers, and the same state of every job after each step.
 */
import { randomUUID } from 'node:crypto';
import { type Job, Queue, UnrecoverableError, Worker, RedisQueueBackend } from 'bullmq';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { torilBackend, type TorilBackend } from '../../src/jobs/bullmq/bull-backend.ts';
import { MemoryJobs } from '../../src/jobs/memory/memory-jobs.ts';
import { Bull } from '../simulation/bull.ts';
import { GIVEN_BACK_FIELD } from '../../src/jobs/redis/scripts/script.ts';
import { Dice } from '../simulation/dice.ts';
import { redisUrl } from '../support/servers.ts';

const STEPS = 150;
const LOCK_MS = 60_000;
const LATER_MS = 1_000_000;
const KEY = 'lane';

interface Handed {
  readonly jobId: string;
  readonly lock: string;
}

/** What both sides can do; each answers with a word. */
interface Side {
  add(delayed: boolean, backoffMs: number, lane: boolean): Promise<string>;
  fetch(lock: string): Promise<string | undefined>;
  complete(job: Handed): Promise<string>;
  fail(job: Handed, why: 'holds' | 'left'): Promise<string>;
  retry(job: Handed): Promise<string>;
  park(job: Handed, delayMs: number, survivedStart?: boolean): Promise<string>;
  giveBack(job: Handed): Promise<string>;
  extend(job: Handed): Promise<void>;
  stall(job: Handed): Promise<void>;
  promote(jobId: string): Promise<void>;
  deliverNext(jobId: string): Promise<void>;
  reprocess(jobId: string): Promise<string>;
  remove(jobId: string): Promise<string>;
  parkAhead(): Promise<void>;
  setPaused(paused: boolean): Promise<void>;
  /** Per job: state, attempts made, stalls, whether it is finished, why it failed. */
  state(jobIds: readonly string[]): Promise<unknown[]>;
}

const silent = (): void => {};

function simulated(): Side {
  let nowMs = 0;
  const clock = { ...systemClock, monotonicMs: () => nowMs };
  const jobs = new MemoryJobs(clock);
  const settings = {
    lockMs: LOCK_MS,
    stalledCheckMs: 1,
    removeOnComplete: false,
    removeOnFail: false,
  };
  const bull = new Bull(jobs, clock, settings, {
    delivered: silent,
    completed: silent,
    failed: silent,
    charged: silent,
    parked: silent,
    stalled: silent,
  });
  const backoffs = new Map<string, number>();
  const later = (delayMs: number): number => clock.wallMs() + delayMs;
  return {
    async add(delayed, backoffMs, lane) {
      const added = bull.add(
        {
          name: 'update',
          data: '{}',
          ...(delayed && { dueMs: later(LATER_MS) }),
          ...(lane && !delayed && { lane: KEY }), // a delayed one enters when it is delivered
        },
        1_000,
      );
      backoffs.set(added?.id ?? '', backoffMs);
      return added?.id ?? 'none';
    },
    fetch: async (lock) => bull.fetch(lock, clock.wallMs())?.jobId,
    complete: async ({ jobId, lock }) => bull.complete(jobId, lock, '1'),
    fail: async ({ jobId, lock }, why) => bull.fail(jobId, lock, 'for good', why),
    async retry({ jobId, lock }) {
      return bull.retry(jobId, lock, 'once', clock.wallMs(), backoffs.get(jobId) ?? 0);
    },
    park: async ({ jobId, lock }, delayMs, survivedStart = false) =>
      bull.park(jobId, lock, later(delayMs), survivedStart),
    giveBack: async ({ jobId, lock }) => bull.giveBack(jobId, lock),
    extend: async ({ jobId, lock }) => bull.extend(new Map([[jobId, lock]])),
    async stall({ jobId }) {
      if (bull.activeJobs().includes(jobId)) bull.stall(jobId);
    },
    promote: async (jobId) => bull.promote(jobId),
    deliverNext: async (jobId) => bull.deliverNext(jobId),
    reprocess: async (jobId) => (bull.reprocess(jobId) ? 'done' : 'refused'),
    async remove(jobId) {
      if (!bull.remove(jobId)) return 'refused';
      bull.promote(jobs.leaveIfGone(KEY, jobId));
      return 'done';
    },
    parkAhead: async () => bull.parkAhead(KEY, 10, LATER_MS, LATER_MS * 2),
    setPaused: async (paused) => bull.setPaused(paused),
    async state(jobIds) {
      nowMs += 1;
      return jobIds.map((jobId) => {
        const job = jobs.get(jobId);
        if (job === undefined) return 'unknown';
        const { state, attemptsMade, stalls, finishedOn, failedReason = '' } = job;
        return [state, attemptsMade, stalls, finishedOn !== undefined, failedReason];
      });
    },
  };
}

interface Real extends Side {
  readonly prefix: string;
  close(): Promise<void>;
}

async function real(redis: Redis): Promise<Real> {
  const name = `bull-${randomUUID()}`;
  const prefix = `bull:${name}:`;
  const connection = { url: redisUrl(), maxRetriesPerRequest: null };
  const queue = new Queue<unknown, unknown, string, unknown, unknown, string, TorilBackend>(
    name,
    { connection },
    torilBackend({ laneOf: (_, data) => (data === '{"lane":true}' ? KEY : '') }),
  );
  const worker = new Worker<unknown, unknown, string, TorilBackend>(
    name,
    () => Promise.resolve(),
    {
      connection,
      autorun: false,
      lockDuration: LOCK_MS,
      skipStalledCheck: true,
      maxStalledCount: Number.MAX_SAFE_INTEGER,
    },
    torilBackend(),
  );
  await worker.waitUntilReady();
  const handed = new Map<string, Job>();
  const jobOf = ({ lock }: Handed): Job => handed.get(lock) as Job;
  const answer = (work: Promise<unknown>): Promise<string> =>
    work.then(
      () => 'done',
      () => 'missing lock',
    );
  return {
    prefix,
    async add(delayed, backoffMs, lane) {
      const job = await queue.add('update', lane ? { lane } : {}, {
        attempts: 1_000,
        ...(delayed && { delay: LATER_MS }),
        ...(backoffMs > 0 && { backoff: { type: 'fixed', delay: backoffMs } }),
      });
      return job.id as string;
    },
    async fetch(lock) {
      const job = (await worker.getNextJob(lock, { block: false })) as Job | undefined;
      if (job !== undefined) handed.set(lock, job);
      return job?.id;
    },
    complete: (job) => answer(jobOf(job).moveToCompleted(1, job.lock, false)),
    fail(job, why) {
      if (why === 'holds') worker.backend.keepWhenFailed(job.jobId);
      else worker.backend.forgetWhenFailed(job.jobId);
      return answer(jobOf(job).moveToFailed(new UnrecoverableError('for good'), job.lock, false));
    },
    retry: (job) => answer(jobOf(job).moveToFailed(new Error('once'), job.lock, false)),
    park: ({ jobId, lock }, delayMs, survivedStart = false) =>
      answer(worker.backend.park(jobId, survivedStart, delayMs, lock)),
    giveBack: ({ jobId, lock }) => answer(worker.backend.giveBack(jobId, lock)),
    async extend({ jobId, lock }) {
      await worker.extendJobLocks([jobId], [lock], LOCK_MS);
    },
    async stall({ jobId }) {
      await redis.del(`${prefix}${jobId}:lock`);
      for (let look = 0; look < 2; look++) {
        await redis.del(`${prefix}stalled-check`);
        await worker.backend.moveStalledJobsToWait();
      }
    },
    async promote(jobId) {
      // By a stock client: Toril's own refuses a job that is only parked.
      await RedisQueueBackend.prototype.promote.call(worker.backend, jobId).catch(() => undefined);
    },
    deliverNext: (jobId) => worker.backend.deliverNext(jobId),
    async reprocess(jobId) {
      const job = await queue.getJob(jobId);
      return job === undefined ? 'refused' : answerOr(job.retry('failed'), 'refused');
    },
    async remove(jobId) {
      if ((await queue.getJob(jobId)) === undefined) return 'refused'; // BullMQ calls it done
      return (await queue.remove(jobId)) === 1 ? 'done' : 'refused';
    },
    async parkAhead() {
      const away = { perRankMs: 10, atLeastMs: LATER_MS, atMostMs: LATER_MS * 2 };
      await worker.backend.scheduleParked(KEY, await worker.backend.parkAhead(KEY), away);
    },
    setPaused: (paused) => (paused ? queue.pause() : queue.resume()),
    async state(jobIds) {
      return Promise.all(
        jobIds.map(async (jobId) => {
          const job = await queue.getJob(jobId);
          if (job === undefined) return 'unknown';
          const { attemptsMade, stalledCounter, finishedOn, failedReason } = job;
          // As BullMQ itself has it: a job that is parked is delayed there.
          const state = await RedisQueueBackend.prototype.getState.call(queue.backend, jobId);
          return [
            state,
            attemptsMade,
            stalledCounter,
            finishedOn !== undefined,
            failedReason ?? '',
          ];
        }),
      );
    },
    async close() {
      await worker.close();
      await queue.close();
      const left = await redis.keys(`${prefix}*`);
      if (left.length > 0) await redis.del(...left);
    },
  };
}

function answerOr(work: Promise<unknown>, otherwise: string): Promise<string> {
  return work.then(
    () => 'done',
    () => otherwise,
  );
}

async function walk(side: Side, seed: number): Promise<unknown[]> {
  const dice = new Dice(seed, 'bull');
  const jobIds: string[] = [];
  const hands: Handed[] = [];
  const transcript: unknown[] = [];
  for (let step = 0; step < STEPS; step++) {
    const hand = hands.length === 0 ? undefined : dice.pick(hands.slice(-6));
    const jobId = jobIds.length === 0 ? '1' : dice.pick(jobIds);
    const answer = await stepOn(side, dice, step, hand, jobId, jobIds, hands);
    transcript.push([step, answer, await side.state(jobIds)]);
  }
  return transcript;
}

async function stepOn(
  side: Side,
  dice: Dice,
  step: number,
  hand: Handed | undefined,
  jobId: string,
  jobIds: string[],
  hands: Handed[],
): Promise<unknown> {
  const choice = dice.below(20);
  if (choice < 4) {
    const added = await side.add(dice.chance(0.2), dice.pick([0, 0, LATER_MS]), dice.chance(0.5));
    jobIds.push(added);
    return `add ${added}`;
  }
  if (choice < 9 || hand === undefined) {
    const lock = `lock-${step}`;
    const fetched = await side.fetch(lock);
    if (fetched !== undefined) hands.push({ jobId: fetched, lock });
    return `fetch ${fetched}`;
  }
  switch (choice) {
    case 9:
      return ['complete', hand.jobId, await side.complete(hand)];
    case 10:
      return ['fail', hand.jobId, await side.fail(hand, dice.pick(['holds', 'left']))];
    case 11:
      return ['retry', hand.jobId, await side.retry(hand)];
    case 12:
    case 13:
      return ['park', hand.jobId, await side.park(hand, dice.pick([0, LATER_MS]))];
    case 14:
      return ['give back', hand.jobId, await side.giveBack(hand)];
    case 15:
      return ['stall', hand.jobId, await side.stall(hand)];
    case 16:
      return dice.chance(0.5)
        ? ['promote', jobId, await side.promote(jobId)]
        : ['deliver next', jobId, await side.deliverNext(jobId)];
    case 17:
      return ['reprocess', jobId, await side.reprocess(jobId)];
    case 18:
      return dice.chance(0.5)
        ? ['remove', jobId, await side.remove(jobId)]
        : ['park ahead', await side.parkAhead()];
    default:
      return dice.chance(0.5)
        ? ['extend', await side.extend(hand)]
        : ['pause', await side.setPaused(dice.chance(0.3))];
  }
}

describe('the simulated BullMQ', () => {
  let redis: Redis;
  beforeAll(() => {
    redis = new Redis(redisUrl());
  });
  afterAll(() => redis.quit());

  test('hears of a job that was survived also when its lock is gone', async () => {
    const side = await real(redis);
    try {
      const jobId = await side.add(false, 0, false);
      const lock = 'mine';
      await side.fetch(lock);
      await redis.del(`${side.prefix}${jobId}:lock`);
      expect(await side.park({ jobId, lock }, 1_000, true)).toBe('missing lock');
      expect(await redis.hget(`${side.prefix}${jobId}`, GIVEN_BACK_FIELD)).toBe('1');
    } finally {
      await side.close();
    }
  });

  test.each([1, 2, 3, 4, 5, 6, 7, 8])('does what BullMQ does, on walk %i', async (seed) => {
    const other = await real(redis);
    try {
      const expected = await walk(other, seed);
      const seen = await walk(simulated(), seed);
      for (const [step, one] of expected.entries()) expect(seen[step]).toEqual(one);
    } finally {
      await other.close();
    }
  });
});
