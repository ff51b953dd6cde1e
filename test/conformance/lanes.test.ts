import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ownPrefixOf } from '../../src/redis/own-keys.ts';
import { systemClock } from '../../src/base/clock.ts';
import { seededFraction } from '../../src/base/random.ts';
import { MemoryJobs } from '../../src/jobs/memory/memory-jobs.ts';
import type { MemoryJob } from '../../src/jobs/memory/memory-job.ts';
import { type Acknowledgement, COPY_GRACE_MS, COPY_IN_USE_MS } from '../../src/jobs/lanes.ts';
import { MemoryLaneViews } from '../../src/jobs/memory/memory-lane-views.ts';
import { MemoryLanes } from '../../src/jobs/memory/memory-lanes.ts';
import { isKnownBullMQ } from '../../src/jobs/bullmq/state/known-bullmq.ts';
import { Queue } from '../../src/jobs/queue.ts';
import {
  LANE_FIELD,
  LATE_FIELD,
  OUTCOME_FIELD,
  SNOOZED_FIELD,
} from '../../src/jobs/redis/scripts/script.ts';
import { REINDEX } from '../../src/jobs/redis/index/lane-index.ts';
import { RedisHistory } from '../../src/jobs/redis/redis-history.ts';
import { redisUrl } from '../support/servers.ts';
import { historySuite } from './history.suite.ts';
import { jointHistorySuite } from './joint-history.suite.ts';
import { jointLanesSuite } from './joint-lanes.suite.ts';
import { LaneScript } from './lane-script.ts';
import { committing, type JobFacts, lanesSuite, type Stage, taking } from './lanes.suite.ts';

const PLAIN: JobFacts = {
  name: 'update',
  data: '{}',
  attemptsMade: 0,
  stalls: 0,
  finished: 'no',
  failedReason: '',
  outcome: '',
  snoozedAtAttempt: 0,
  dueMs: 0,
};
/** BullMQ keeps the delayed jobs by due time, times this, plus a counter. */
const DELAYED_SCORE = 4096;

async function inMemory(): Promise<Stage> {
  const jobs = new MemoryJobs(systemClock);
  jobs.promote = (jobId) => {
    const job = jobs.get(jobId);
    // With a BullMQ that is unknown, no script promotes.
    if (job !== undefined && isKnownBullMQ()) job.state = 'waiting';
  };
  return {
    lanes: new MemoryLanes(jobs, systemClock),
    other: new MemoryLanes(jobs, systemClock),
    views: new MemoryLaneViews(jobs, systemClock),
    history: jobs.history,
    async addJob(jobId, facts) {
      const { name, data, dueMs, ...later } = { ...PLAIN, ...facts };
      const job = jobs.add({ id: jobId, name, data, ...(dueMs > 0 && { dueMs }) });
      if (job !== undefined) changeInMemory(job, later);
    },
    async addToLane(jobId) {
      jobs.add({ id: jobId, name: PLAIN.name, data: PLAIN.data, lane: taking().key });
    },
    async changeJob(jobId, facts) {
      const job = jobs.get(jobId);
      if (job !== undefined) changeInMemory(job, facts);
    },
    async removeJob(jobId) {
      jobs.remove(jobId);
    },
    async forgetEntry(jobId) {
      jobs.forgetEntry(jobId);
    },
    async mayRemove(jobId) {
      if (jobs.mayBeApplied(jobId)) return false;
      jobs.remove(jobId);
      jobs.leaveIfGone(taking().key, jobId);
      return true;
    },
    async pauseQueue() {
      jobs.paused = true;
    },
    async delayed() {
      const delayed = [...jobs.all()].filter(({ state }) => state === 'delayed');
      return delayed.toSorted((a, b) => a.dueMs - b.dueMs).map(({ id }) => id);
    },
    sleep: (ms) => sleep(ms),
    async close() {},
  };
}

function changeInMemory(job: MemoryJob, facts: Partial<JobFacts>): void {
  const { attemptsMade, stalls, finished = 'no', failedReason = '' } = facts;
  const { snoozedAtAttempt, outcome } = facts;
  if (outcome !== undefined) job.outcome = outcome;
  if (snoozedAtAttempt !== undefined) job.snoozedAtAttempt = snoozedAtAttempt;
  if (attemptsMade !== undefined) job.attemptsMade = attemptsMade;
  if (stalls !== undefined) job.stalls = stalls;
  if (failedReason !== '') job.failedReason = failedReason;
  if (finished === 'no') return;
  job.finishedOn = Date.now();
  job.state = finished;
}

let redis: Redis;
beforeAll(() => {
  redis = new Redis(redisUrl());
});
afterAll(() => redis.quit());

async function inRedis(): Promise<Stage> {
  const name = `lanes-${randomUUID()}`;
  const prefix = `bull:${name}:`;
  const connection = { url: redisUrl() };
  const queues = [new Queue(name, { connection }), new Queue(name, { connection })] as const;
  return {
    lanes: queues[0].inRedis.lanes,
    other: queues[1].inRedis.lanes,
    views: queues[1].inRedis.views,
    history: new RedisHistory(queues[1].backend.queueScripts()),
    async addJob(jobId, facts) {
      const all = { ...PLAIN, ...facts };
      await redis.hset(prefix + jobId, hashOf(all));
      if (all.dueMs > 0) await redis.zadd(`${prefix}delayed`, all.dueMs * DELAYED_SCORE, jobId);
    },
    async addToLane(jobId) {
      const { key } = taking();
      const { nextToken } = await queues[0].inRedis.lanes.inspect(key, 0);
      const own = ownPrefixOf(prefix);
      await redis.hset(prefix + jobId, { ...hashOf(PLAIN), [LANE_FIELD]: key });
      await redis.zadd(`${own}lane:${key}`, nextToken, jobId);
      await redis.set(`${own}sequence`, nextToken);
      await queues[0].backend.queueScripts().run(REINDEX, [key]);
    },
    async changeJob(jobId, facts) {
      await redis.hset(prefix + jobId, hashOf(facts));
    },
    async removeJob(jobId) {
      await redis.del(prefix + jobId);
      await redis.zrem(`${prefix}delayed`, jobId);
    },
    async forgetEntry(jobId) {
      const lane = await redis.hget(prefix + jobId, LANE_FIELD);
      await redis.zrem(`${ownPrefixOf(prefix)}lane:${lane}`, jobId);
      await redis.hdel(prefix + jobId, LANE_FIELD, LATE_FIELD);
      if (lane !== null) await queues[1].backend.queueScripts().run(REINDEX, [lane]);
    },
    mayRemove: async (jobId) => (await queues[1].remove(jobId)) === 1,
    async pauseQueue() {
      await redis.hset(`${prefix}meta`, 'paused', '1');
    },
    delayed: () => redis.zrange(`${prefix}delayed`, '0', '-1'),
    sleep: (ms) => sleep(ms),
    async close() {
      await Promise.all(queues.map((queue) => queue.close()));
      const left = await redis.keys(`${prefix}*`);
      if (left.length > 0) await redis.del(...left);
    },
  };
}

/** As BullMQ writes it; fields that it leaves out are left out. */
function hashOf(facts: Partial<JobFacts>): Record<string, string | number> {
  const { name, data, attemptsMade = 0, stalls = 0, finished = 'no', failedReason = '' } = facts;
  return {
    ...(name !== undefined && { name }),
    ...(data !== undefined && { data }),
    ...(attemptsMade > 0 && { atm: attemptsMade }),
    ...(stalls > 0 && { stc: stalls }),
    ...(failedReason !== '' && { failedReason }),
    ...(finished !== 'no' && { finishedOn: Date.now() }),
    ...(finished === 'completed' && { returnvalue: 'null' }),
    ...(facts.outcome !== undefined && { [OUTCOME_FIELD]: facts.outcome }),
    ...(facts.snoozedAtAttempt !== undefined && { [SNOOZED_FIELD]: facts.snoozedAtAttempt }),
  };
}

lanesSuite('lanes in memory', inMemory);
jointLanesSuite('lanes in memory', inMemory);
lanesSuite('lanes in Redis', inRedis);
jointLanesSuite('lanes in Redis', inRedis);
historySuite('history in memory', inMemory);
historySuite('history in Redis', inRedis);
jointHistorySuite('joint commits in the history in memory', inMemory);
jointHistorySuite('joint commits in the history in Redis', inRedis);

describe('both engines', () => {
  test.each(['one', 'two', 'three', 'four'])('answer script "%s" alike', async (seed) => {
    const stages = [await inMemory(), await inRedis()];
    const transcripts = [];
    for (const stage of stages) {
      transcripts.push(await new LaneScript(stage, seededFraction(seed)).run(150));
      await stage.close();
    }
    expect(transcripts[0]).toEqual(transcripts[1]);
  });
});

describe('a copy in Redis', () => {
  test.each([0, 1_000])(
    'of a transaction goes with its value once the cells are written: value of %d ms',
    async (expireMs) => {
      const name = `lanes-${randomUUID()}`;
      const queue = new Queue(name, { connection: { url: redisUrl() } });
      const { lanes } = queue.inRedis;
      const pttl = (): Promise<number> =>
        redis.pttl(`${ownPrefixOf(`bull:${name}:`)}copy:${taking().key}`);
      const keys = [taking().key, 'another'];
      await redis.hset(`bull:${name}:job`, hashOf(PLAIN));
      await lanes.enterJoint('job', keys);
      const { token, entries, dataSet } = await lanes.take(taking());
      const watermark = entries[0]?.sequence ?? 0;
      const each = { base: 0, watermark, jobIds: ['job'], value: { json: '1' }, expireMs };
      const acknowledged = await lanes.acknowledgeJoint({
        ...{ at: taking().key, dataSet: dataSet.id, token, paceMs: 1 },
        decisions: new Map([['job', 'a']]),
        keys: keys.map((key) => ({ key, ...each })),
      });
      expect(acknowledged).toEqual({ accepted: true, onward: [] });
      const beforeMs = await pttl();
      await lanes.settled(token, expireMs === 0);
      expect(await lanes.behind()).toEqual([]);
      const afterMs = await pttl();
      if (expireMs === 0) expect([beforeMs, afterMs]).toEqual([-1, -1]);
      else
        expect([beforeMs > COPY_IN_USE_MS, afterMs <= COPY_GRACE_MS + expireMs]).toEqual([
          true,
          true,
        ]);
      await queue.obliterate({ force: true });
      await queue.close();
    },
  );

  test('stays while a commit may be built on it, though its value is deleted', async () => {
    const name = `lanes-${randomUUID()}`;
    const queue = new Queue(name, { connection: { url: redisUrl() } });
    const copyKey = `${ownPrefixOf(`bull:${name}:`)}copy:${taking().key}`;
    const dayMs = 86_400_000;
    const committed = async (value: Acknowledgement['value']): Promise<number> => {
      await redis.hset(`bull:${name}:job`, hashOf(PLAIN));
      const taken = await queue.inRedis.lanes.take(taking({ arrivals: ['job'] }));
      const { token, copy, entries, dataSet } = taken;
      const takenMs = await redis.pttl(copyKey);
      const watermark = entries[0]?.sequence ?? 0;
      const commit = committing({ dataSet: dataSet.id, base: copy.token, token, watermark, value });
      expect(await queue.inRedis.lanes.acknowledge(commit)).toMatchObject({ accepted: true });
      await redis.del(`bull:${name}:job`);
      return takenMs;
    };
    expect(await committed('deleted')).toBe(-2); // there is none
    expect(await redis.pttl(copyKey)).toBeLessThan(dayMs);
    expect(await committed('deleted')).toBeGreaterThan(dayMs);
    expect(await redis.pttl(copyKey)).toBeLessThan(dayMs);
    expect(await committed({ json: '1' })).toBeGreaterThan(dayMs);
    expect(await redis.pttl(copyKey)).toBe(-1); // it does not expire
    await queue.inRedis.lanes.take(taking());
    expect(await redis.pttl(copyKey)).toBe(-1);
    await queue.obliterate({ force: true });
    await queue.close();
  });
});
