/**
 * A slow, held or unreachable key does not stop the others. Completion latencies are measured beside
 * the same traffic without it, in the same run; what is compared are medians, as the promise says.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Job } from 'bullmq';
import { describe, expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { systemRandom } from '../../src/base/random.ts';
import { openServers } from '../../src/memcached/open-servers.ts';
import { startLockPerJob } from '../support/lock-per-job.ts';
import { eventually } from '../support/memcached.ts';
import { startProcess } from '../support/processes.ts';
import { startMemcached } from '../support/servers.ts';
import { type Entry, log, logOr } from '../support/updates.ts';
import { enqueueLog, entries, nextEvent, quickly, stage, type Stage } from '../support/workers.ts';

const FLOOD = 5_000;
const FLOOD_TAKES_MS = 100;
const OTHERS = 1_000;
/** Where the figure itself is shown elsewhere in this file. */
const FEWER_OTHERS = 300;
const EVERY_MS = 5;
/** Milliseconds by which a median may differ without a meaning: timers, and other people's load. */
const NOISE_MS = 10;
/** Other people's load comes and goes. */
const MEASURED = { retry: 2 };
/** Where BullMQ is unknown, each job of the flood is delivered and snoozed by calls of its own. */
const BY_IMITATION = { ...MEASURED, tags: 'imitation' };

/** As in production, except that closing does not wait long. */
const production = {
  concurrency: 16,
  leaseMs: 10_000,
  blockedMs: 1_000,
  lockDuration: 30_000,
  stalledInterval: 30_000,
  closeMs: 200,
};

const others = (here: Stage, count = OTHERS): Entry[] =>
  Array.from({ length: count }, (_, n) => ({ key: here.key(`other-${n}`), n }));

/** What disturbs: many jobs of one key. */
const flood = (here: Stage, key: string, takesMs: number): Promise<unknown> =>
  enqueueLog(here, entries(here.key(key), FLOOD, { takesMs }));

/** Jobs of other keys, one every few milliseconds. */
async function arriveSteadily(
  here: Stage,
  all: readonly Entry[] = others(here),
): Promise<number[]> {
  const firstMs = performance.now();
  const jobs: Promise<Job>[] = [];
  for (const [n, data] of all.entries()) {
    await sleep(Math.max(0, firstMs + n * EVERY_MS - performance.now()));
    jobs.push(here.queue.enqueue(log, data));
  }
  return latencies(here, await Promise.all(jobs));
}

/** Milliseconds from enqueueing to completion, as BullMQ notes them, in ascending order. */
async function latencies(here: Stage, jobs: readonly Job[]): Promise<number[]> {
  const finished = await here.finished(jobs);
  return finished
    .map(({ finishedOn = 0, timestamp }) => finishedOn - timestamp)
    .toSorted((a, b) => a - b);
}

const at = (sorted: readonly number[], share: number): number =>
  sorted[Math.floor((sorted.length - 1) * share)] as number;

function expectUndisturbed(
  what: string,
  alone: readonly number[],
  beside: readonly number[],
): void {
  const shown = (all: readonly number[]): string =>
    `median ${at(all, 0.5)} ms, 95 % within ${at(all, 0.95)} ms`;
  console.log(`${what}: ${shown(beside)}; without: ${shown(alone)}`);
  expect(at(beside, 0.5)).toBeLessThanOrEqual(2 * at(alone, 0.5) + NOISE_MS);
}

describe('jobs of other keys finish as if 5,000 jobs of one other key were not there', () => {
  it('that take 100 ms each and wait: 1,000 jobs of 1,000 keys', MEASURED, async () => {
    const quiet = stage();
    await quiet.worker(production);
    const alone = await arriveSteadily(quiet);
    const here = stage();
    await here.worker(production);
    await flood(here, 'slow', FLOOD_TAKES_MS);
    expectUndisturbed('beside a slow key', alone, await arriveSteadily(here));
  });

  it('that take 100 ms each, with two worker processes', BY_IMITATION, async () => {
    const quiet = stage();
    for (let i = 0; i < 2; i++) await startProcess(quiet, production);
    const alone = await arriveSteadily(quiet, others(quiet, FEWER_OTHERS));
    const here = stage();
    for (let i = 0; i < 2; i++) await startProcess(here, production);
    await flood(here, 'slow', FLOOD_TAKES_MS);
    expectUndisturbed(
      'beside a slow key, 2 processes',
      alone,
      await arriveSteadily(here, others(here, FEWER_OTHERS)),
    );
  });

  it('that wait behind a job that holds their lane', BY_IMITATION, async () => {
    const quiet = stage();
    await quiet.worker(production);
    const alone = await arriveSteadily(quiet, others(quiet, FEWER_OTHERS));
    const here = stage();
    const held = nextEvent(await here.worker(production), 'laneHeld');
    await here.queue.enqueue(logOr.hold, { key: here.key('held'), n: -1, failures: 9 });
    await held;
    await flood(here, 'held', 0);
    expectUndisturbed(
      'beside a held lane',
      alone,
      await arriveSteadily(here, others(here, FEWER_OTHERS)),
    );
  });

  it(
    'that take 100 ms each and were enqueued before them: 1,000 jobs of 1,000 keys',
    BY_IMITATION,
    async () => {
      const enqueueBoth = async (here: Stage, first: readonly Entry[]): Promise<number[]> => {
        await enqueueLog(here, first);
        const jobs = await enqueueLog(here, others(here));
        await here.worker(production);
        return latencies(here, jobs);
      };
      const quiet = stage();
      const alone = await enqueueBoth(quiet, []);
      const here = stage();
      const slow = entries(here.key('slow'), FLOOD, { takesMs: FLOOD_TAKES_MS });
      expectUndisturbed('right behind a slow key', alone, await enqueueBoth(here, slow));
    },
  );
});

describe('jobs of keys on one memcached finish', () => {
  it('as if 300 keys on another memcached were not there, which is down', MEASURED, async () => {
    const [living, dead] = [await startMemcached(), await startMemcached()];
    const memcached = quickly([living.address, dead.address]);
    const routing = openServers(memcached, systemClock, systemRandom);
    onTestFinished(async () => {
      await routing.close();
      await living.stop();
      await dead.stop();
    });
    const on = (here: Stage, { address }: { address: string }): Entry[] =>
      others(here, 3 * FEWER_OTHERS)
        .filter(({ key }) => routing.serverFor(key).address === address)
        .slice(0, FEWER_OTHERS);
    const quiet = stage({ memcached });
    await quiet.worker(production);
    const alone = await arriveSteadily(quiet, on(quiet, living));
    const here = stage({ memcached });
    await here.worker(production);
    await dead.kill();
    const stranded = await enqueueLog(here, on(here, dead), { attempts: 1 });
    const beside = await arriveSteadily(here, on(here, living));
    expectUndisturbed('beside a dead server', alone, beside);
    await dead.start();
    const finished = await here.finished(stranded);
    expect(new Set(finished.map((job) => job.attemptsMade))).toEqual(new Set([1]));
    await quiet.close();
    await here.close();
  });
});

describe('a lock per job', () => {
  it('lets the others wait until the slow key is done', async () => {
    const here = stage();
    const peer = startLockPerJob(here.name, here.redisUrl, here.memcached, production.concurrency);
    onTestFinished(() => peer.close());
    await enqueueLog(here, entries(here.key('slow'), 50, { takesMs: FLOOD_TAKES_MS }));
    await eventually(
      'it is busy',
      async () => (await here.queue.getActiveCount()) === production.concurrency,
    );
    const beside = await arriveSteadily(here, others(here, 50));
    expect(at(beside, 0.5)).toBeGreaterThan(1_000);
  });
});
