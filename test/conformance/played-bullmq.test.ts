/**
 * The BullMQ that the test bed and the simulation play must do what BullMQ does. Random walks through everything that
 * they use, on both: the same answers, and the same state of every job after each step.
 */
import { randomUUID } from 'node:crypto';
import { type Job, Queue, UnrecoverableError, Worker, RedisQueueBackend } from 'bullmq';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { torilBackend, type TorilBackend } from '../../src/jobs/bullmq/bull-backend.ts';
import { BullDeliveries, BullDelivery } from '../../src/jobs/bullmq/bull-deliveries.ts';
import { MemoryJobs } from '../../src/jobs/memory/memory-jobs.ts';
import { ALONE_FIELD } from '../../src/jobs/redis/scripts/script.ts';
import { bullState } from '../../src/testing/app/bed-job.ts';
import type { BedDeduplication } from '../../src/testing/bullmq/job-options.ts';
import { JobQueue } from '../../src/testing/bullmq/job-queue.ts';
import { Dice } from '../simulation/dice.ts';
import { redisUrl } from '../support/servers.ts';

const STEPS = 150;
const LOCK_MS = 60_000;
const LATER_MS = 1_000_000;
const KEY = 'lane';
const DEDUPLICATIONS = [{}, { replace: true }, { keepLastIfActive: true }, { reschedule: true }];

interface Handed {
  readonly jobId: string;
  readonly lock: string;
  /** Which of the deliveries under this lock it is, counted from 0; undefined: the last one. */
  readonly nth?: number;
}

interface Added {
  readonly delay?: number;
  readonly backoff?: number;
  readonly priority?: number;
  readonly lifo?: boolean;
  readonly removeOnComplete?: boolean;
  readonly removeOnFail?: boolean;
  readonly deduplication?: BedDeduplication;
}

/** What both sides can do; each answers with a word. */
interface Side {
  add(options: Added, lane: boolean): Promise<string>;
  fetch(lock: string): Promise<string | undefined>;
  complete(job: Handed): Promise<string>;
  fail(job: Handed, why: 'holds' | 'left'): Promise<string>;
  retry(job: Handed): Promise<string>;
  snooze(job: Handed, delayMs: number, survived?: readonly number[]): Promise<string>;
  giveBack(job: Handed): Promise<string>;
  extend(job: Handed): Promise<void>;
  stall(job: Handed): Promise<void>;
  promote(jobId: string): Promise<void>;
  deliverNext(jobId: string): Promise<void>;
  reprocess(jobId: string): Promise<string>;
  remove(jobId: string): Promise<string>;
  snoozeAhead(): Promise<void>;
  setPaused(paused: boolean): Promise<void>;
  /** Per job: state, attempts made, stalls, whether it is finished, why it failed. */
  state(jobIds: readonly string[]): Promise<unknown[]>;
}

function played(): Side {
  /** By lock. */
  const handed = new Map<string, number[]>();
  const told = ({ lock, nth = -1 }: Handed): { delivery: number | undefined } => ({
    delivery: handed.get(lock)?.at(nth),
  });
  let nowMs = 0;
  const clock = { ...systemClock, monotonicMs: () => nowMs };
  const jobs = new MemoryJobs(clock);
  const bull = new JobQueue(jobs, clock, { lockMs: LOCK_MS });
  const later = (delayMs: number): number => clock.wallMs() + delayMs;
  return {
    async add(options, lane) {
      const job = { name: 'update', data: '{}', key: KEY, enters: lane };
      return bull.add({ ...job, options: { attempts: 1_000, ...options } }).job.id;
    },
    async fetch(lock) {
      const fetched = bull.delivered.fetch(lock, clock.wallMs());
      if (fetched !== undefined) handed.set(lock, [...(handed.get(lock) ?? []), fetched.delivery]);
      return fetched?.jobId;
    },
    complete: async (job) => bull.delivered.complete(job.jobId, job.lock, '1', told(job)),
    fail: async (job, why) =>
      bull.delivered.fail(job.jobId, job.lock, new Error('for good'), { why, ...told(job) }),
    async retry(job) {
      const { backoff = 0 } = bull.record(job.jobId)?.options ?? {};
      const once = new Error('once');
      return bull.delivered.retry(job.jobId, job.lock, once, Number(backoff), told(job));
    },
    snooze: async ({ jobId, lock }, delayMs, survived = []) =>
      bull.delivered.snooze(jobId, lock, later(delayMs), survived),
    giveBack: async ({ jobId, lock }) => bull.delivered.giveBack(jobId, lock),
    extend: async ({ jobId, lock }) => bull.delivered.extend(new Map([[jobId, lock]])),
    async stall({ jobId }) {
      bull.delivered.stall(jobId);
    },
    promote: async (jobId) => bull.promote(jobId),
    deliverNext: async (jobId) => bull.deliverNext(jobId),
    reprocess: async (jobId) => (bull.reprocess(jobId) ? 'done' : 'refused'),
    async remove(jobId) {
      if (!bull.remove(jobId)) return 'refused';
      bull.wake(jobs.leaveIfGone(KEY, jobId));
      return 'done';
    },
    snoozeAhead: async () => bull.snoozeAhead(KEY, 10, LATER_MS, LATER_MS * 2),
    setPaused: async (paused) => bull.setPaused(paused),
    async state(jobIds) {
      nowMs += 1;
      return jobIds.map((jobId) => {
        const job = jobs.get(jobId);
        const record = bull.record(jobId);
        if (job === undefined || record === undefined) return 'unknown';
        const { attemptsMade, stalls, finishedOn, failedReason = '' } = job;
        return [bullState(record), attemptsMade, stalls, finishedOn !== undefined, failedReason];
      });
    },
  };
}

interface Real extends Side {
  readonly prefix: string;
  readonly deliveries: BullDeliveries;
  delivery(lock: string): BullDelivery;
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
  /** By lock. */
  const handed = new Map<string, Job[]>();
  const jobOf = ({ lock, nth = -1 }: Handed): Job => handed.get(lock)?.at(nth) as Job;
  const answer = (work: Promise<unknown>): Promise<string> =>
    work.then(
      () => 'done',
      () => 'missing lock',
    );
  return {
    prefix,
    deliveries: new BullDeliveries(worker.backend),
    delivery: (lock) => new BullDelivery(jobOf({ jobId: '', lock }), lock, worker.backend),
    async add(options, lane) {
      const job = await queue.add('update', lane ? { lane } : {}, { attempts: 1_000, ...options });
      return job.id as string;
    },
    async fetch(lock) {
      const job = (await worker.getNextJob(lock, { block: false })) as Job | undefined;
      if (job !== undefined) handed.set(lock, [...(handed.get(lock) ?? []), job]);
      return job?.id;
    },
    complete: (job) => answer(jobOf(job).moveToCompleted(1, job.lock, false)),
    fail(job, why) {
      if (why === 'holds') worker.backend.keepWhenFailed(job.jobId);
      else worker.backend.forgetWhenFailed(job.jobId);
      return answer(jobOf(job).moveToFailed(new UnrecoverableError('for good'), job.lock, false));
    },
    retry(job) {
      worker.backend.noteDelivery(jobOf(job));
      return answer(jobOf(job).moveToFailed(new Error('once'), job.lock, false));
    },
    snooze(job, delayMs, survived = []) {
      const { jobId, lock } = job;
      const { attemptsMade } = jobOf(job);
      return answer(worker.backend.snooze(jobId, survived, delayMs, lock, attemptsMade));
    },
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
      // By a stock client: Toril's own refuses a job that is only snoozed.
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
    async snoozeAhead() {
      const away = { perRankMs: 10, atLeastMs: LATER_MS, atMostMs: LATER_MS * 2 };
      await worker.backend.scheduleSnoozed(KEY, await worker.backend.snoozeAhead(KEY), away);
    },
    setPaused: (paused) => (paused ? queue.pause() : queue.resume()),
    async state(jobIds) {
      return Promise.all(
        jobIds.map(async (jobId) => {
          const job = await queue.getJob(jobId);
          if (job === undefined) return 'unknown';
          const { attemptsMade, stalledCounter, finishedOn, failedReason } = job;
          // As BullMQ itself has it: a job that is snoozed is delayed there.
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
  const priorities = dice.pick([[0], [0, 0, 1, 2]]);
  const transcript: unknown[] = [];
  for (let step = 0; step < STEPS; step++) {
    const hand = hands.length === 0 ? undefined : dice.pick(hands.slice(-6));
    const jobId = jobIds.length === 0 ? '1' : dice.pick(jobIds);
    const answer = await stepOn(side, dice, step, hand, jobId, jobIds, hands, priorities);
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
  priorities: readonly number[],
): Promise<unknown> {
  const choice = dice.below(20);
  if (choice < 4) {
    const delay = dice.chance(0.2) ? LATER_MS : 0;
    const backoff = dice.pick([0, 0, LATER_MS]);
    const priority = dice.pick(priorities);
    const options = {
      ...(delay > 0 && { delay }),
      ...(backoff > 0 && { backoff }),
      ...(priority > 0 && { priority }),
      ...(dice.chance(0.2) && { lifo: true }),
      ...(dice.chance(0.3) && { removeOnComplete: true }),
      ...(dice.chance(0.3) && { removeOnFail: true }),
      ...(dice.chance(0.2) && { deduplication: { id: 'same', ...dice.pick(DEDUPLICATIONS) } }),
    };
    const added = await side.add(options, dice.chance(0.5));
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
      return ['snooze', hand.jobId, await side.snooze(hand, dice.pick([0, LATER_MS]))];
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
        : ['snooze ahead', await side.snoozeAhead()];
    default:
      return dice.chance(0.5)
        ? ['extend', await side.extend(hand)]
        : ['pause', await side.setPaused(dice.chance(0.3))];
  }
}

/** A job is back in its slot, and so under the same lock, when copies arrive of what was said of its first delivery. */
async function latecomers(side: Side, end: 'retry' | 'fail'): Promise<unknown[]> {
  const jobId = await side.add({}, true);
  const slot = { jobId, lock: 'slot' };
  await side.fetch(slot.lock);
  const said = [end === 'retry' ? await side.retry(slot) : await side.fail(slot, 'left')];
  await side.reprocess(jobId);
  await side.fetch(slot.lock);
  const first = { ...slot, nth: 0 };
  said.push(await side.retry(first), await side.fail(first, 'left'), await side.complete(first));
  return [said, await side.state([jobId]), await side.complete(slot)];
}

/** While the second of two jobs is being worked on, the first is removed, or the second is to be delivered next. It gives its slot back, twice. */
async function givenBack(side: Side, way: 'remove' | 'deliverNext'): Promise<unknown[][]> {
  const [first, second] = [await side.add({}, true), await side.add({}, true)];
  await side.fetch('first');
  await side.snooze({ jobId: first, lock: 'first' }, LATER_MS);
  const seen: unknown[][] = [];
  for (const lock of ['second', 'again']) {
    const fetched = await side.fetch(lock);
    if (fetched === undefined) break;
    if (lock === 'second') await side[way](way === 'remove' ? first : second);
    await side.snooze({ jobId: second, lock }, LATER_MS);
    seen.push(...((await side.state([second])) as unknown[][]));
  }
  return seen;
}

describe('the played BullMQ', () => {
  let redis: Redis;
  beforeAll(() => {
    redis = new Redis(redisUrl());
  });
  afterAll(() => redis.quit());

  test('hears of a job that was survived also when its lock is gone', async () => {
    const side = await real(redis);
    try {
      const jobId = await side.add({}, false);
      const lock = 'mine';
      await side.fetch(lock);
      await redis.del(`${side.prefix}${jobId}:lock`);
      expect(await side.snooze({ jobId, lock }, 1_000, [7])).toBe('missing lock');
      expect(await redis.hget(`${side.prefix}${jobId}`, ALONE_FIELD)).toBe('0 0 +7');
    } finally {
      await side.close();
    }
  });

  const failed = new Error('no');
  const endings: Record<string, (of: Real, job: BullDelivery) => Promise<unknown>> = {
    fails: ({ deliveries }, job) => deliveries.fail(job, failed, [7]),
    'is to be tried again': ({ deliveries }, job) => deliveries.retry(job, failed, [7]),
    'has met a rate limit': ({ deliveries }, job) => deliveries.waitForLimit(job, 1_000, [7]),
    'is given back': ({ deliveries }, job) => deliveries.giveBack(job, [7]),
  };
  test.each(Object.keys(endings))('hears of one that was survived and %s', async (how) => {
    const side = await real(redis);
    try {
      const jobId = await side.add({}, false);
      await side.fetch('mine');
      await redis.set(`${side.prefix}limiter`, '1', 'PX', 60_000);
      await expect(endings[how]?.(side, side.delivery('mine'))).rejects.toThrow();
      expect(await redis.hget(`${side.prefix}${jobId}`, ALONE_FIELD)).toBe('0 0 +7');
    } finally {
      await side.close();
    }
  });

  test.each(['retry', 'fail'] as const)(
    'hears nothing of a former delivery under the same lock, after %s',
    { tags: 'imitation' },
    async (end) => {
      const other = await real(redis);
      try {
        const expected = await latecomers(other, end);
        const [said, , ended] = expected;
        expect(said).toEqual(['done', 'missing lock', 'missing lock', 'missing lock']);
        expect(ended).toBe('done');
        expect(await latecomers(played(), end)).toEqual(expected);
      } finally {
        await other.close();
      }
    },
  );

  test.each([
    // Its lane may go on since it was delivered.
    ['is not snoozed', 'remove', ['waiting', 'delayed']],
    // It has a reason of its own, and would be delivered without a pause.
    ['is snoozed', 'deliverNext', ['delayed']],
  ] as const)('%s: a job that gives its slot back behind %s', async (_, way, states) => {
    const other = await real(redis);
    try {
      const expected = await givenBack(other, way);
      expect(expected.map(([first]) => first)).toEqual(states);
      expect(await givenBack(played(), way)).toEqual(expected);
    } finally {
      await other.close();
    }
  });

  test.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16])(
    'does what BullMQ does, on walk %i',
    { tags: 'imitation' },
    async (seed) => {
      const other = await real(redis);
      try {
        const expected = await walk(other, seed);
        const seen = await walk(played(), seed);
        for (const [step, one] of expected.entries()) expect(seen[step]).toEqual(one);
      } finally {
        await other.close();
      }
    },
  );
});
