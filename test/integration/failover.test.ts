/**
 * A replica is promoted that has missed the primary's last writes, and whose clock is behind (played by moving the
 * primary's counter): numbers come again. A key goes on rightly, or stops; a job that completes is in its value.
 */
import type { Job } from 'bullmq';
import type { Redis } from 'ioredis';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Worker } from '../../src/index.ts';
import { eventually } from '../support/memcached.ts';
import { redisClient } from '../support/redis.ts';
import { startRedis } from '../support/servers.ts';
import { trust } from '../support/trust.ts';
import type { Line } from '../support/updates.ts';
import { enqueueLog, nextEvent, type Stage, stage } from '../support/workers.ts';

const BEHIND_MS = 4_000;

interface Pair {
  /** Works with the primary. */
  readonly before: Stage;
  /** Works with what was promoted. */
  readonly after: Stage;
  readonly worker: Worker;
  /** The replica's link is cut, and the primary's clock is ahead of its own from now on. */
  part(): Promise<void>;
  /** The primary dies; who has worked with it is gone. */
  promote(): Promise<Worker>;
}

async function pair(): Promise<Pair> {
  const [primary, replica] = await Promise.all([startRedis(), startRedis()]);
  const urlOf = ({ host, port }: typeof primary): string => `redis://${host}:${port}`;
  onTestFinished(async () => {
    await Promise.all([primary.stop(), replica.stop()]);
  });
  const link: Redis = redisClient(urlOf(replica));
  await redisClient(urlOf(primary)).config('SET', 'repl-diskless-sync-delay', '0');
  await link.replicaof(primary.host, primary.port);
  const before = stage({ redis: urlOf(primary) });
  const worker = await before.worker();
  await eventually(
    'the replica has all that there is',
    async () => (await link.info('replication')).includes('master_link_status:up'),
    15_000,
  );
  const after = stage({ redis: urlOf(replica), name: before.name });
  return {
    before,
    after,
    worker,
    async part() {
      await eventually('the replica has the last write', async () => {
        const [here, there] = [before.redis, link].map((one) => one.get(before.ownKey('sequence')));
        return (await here) === (await there);
      });
      await link.replicaof('NO', 'ONE');
      const counter = before.ownKey('sequence');
      const drawn = Number(await before.redis.get(counter));
      await before.redis.set(counter, String(drawn + BEHIND_MS * 1_000));
    },
    async promote() {
      await worker.close();
      return after.worker();
    },
  };
}

async function commits(here: Stage, key: string, ...numbers: readonly number[]): Promise<void> {
  for (const n of numbers) await here.finished(await enqueueLog(here, [{ key, n }]));
}

const numbersIn = async ({ cells }: Stage, key: string): Promise<number[]> =>
  ((await cells.get<Line[]>(key)) ?? []).map(([n]) => n);

async function deliveries(worker: Worker, { id }: Job, times: number): Promise<void> {
  await new Promise<void>((resolve) => {
    worker.on('active', (job) => {
      if (job.id === id && --times === 0) resolve();
    });
  });
}

describe('a replica with a clock behind is promoted', () => {
  it('and nobody completes with the outcome of a job whose number he got', async () => {
    const { before, after, part, promote } = await pair();
    const keys = ['lost', 'clean', 'new'].map(before.key);
    const [lost, clean, fresh] = keys as [string, string, string];
    for (const key of [lost, clean]) await commits(before, key, 0, 1);
    await part();
    for (const key of [lost, fresh]) await commits(before, key, 2);
    const worker = await promote();
    const heldKeys = new Set<string>();
    worker.on('laneHeld', ({ key, code }) => {
      expect(code).toBe('REDIS_WENT_BACK');
      heldKeys.add(key);
    });
    const jobs: Job[] = [];
    for (const key of keys) jobs.push(...(await enqueueLog(after, [{ key, n: 9 }])));
    await after.finished([jobs[1] as Job]); // nothing of it is lost
    expect(await numbersIn(after, clean)).toEqual([0, 1, 9]);
    await eventually('both others stand', async () => heldKeys.size === 2);
    expect([...heldKeys].toSorted()).toEqual([lost, fresh].toSorted());
    // The clock catches up, and they still stand: each waits under a number that another job has had.
    await eventually(
      'the numbers are past those of before',
      async () => {
        await commits(after, after.key('other'), 0);
        const cell = await after.cells.read(lost);
        return Number(await after.redis.get(after.ownKey('sequence'))) > (cell?.token ?? 0);
      },
      3 * BEHIND_MS,
    );
    // Delivered once more and then again: the first time came to nothing.
    const standing = [jobs[0], jobs[2]] as Job[];
    await Promise.all(standing.map((job) => deliveries(worker, job, 2)));
    for (const job of standing) expect(await job.isCompleted()).toBe(false);
    // Both ways out: what the lost commits did stays, or goes.
    expect(await trust(after, lost, 'cell')).toMatchObject({ kind: 'cell-trusted' });
    const [kept] = await after.finished([jobs[0] as Job]);
    expect(kept).toMatchObject({ returnvalue: 3, attemptsMade: 1 });
    expect(await numbersIn(after, lost)).toEqual([0, 1, 2, 9]);
  });

  it('and a key goes on at once from the copy if an operator says so, with tokens above all that were used', async () => {
    const { before, after, part, promote } = await pair();
    const key = before.key();
    await commits(before, key, 0, 1);
    await part();
    await commits(before, key, 2);
    const used = (await before.cells.read(key))?.token ?? 0;
    const worker = await promote();
    const held = nextEvent(worker, 'laneHeld');
    const [job] = await enqueueLog(after, [{ key, n: 9 }]);
    await held;
    expect(await trust(after, key, 'copy')).toMatchObject({ kind: 'copy-trusted' });
    await after.finished([job as Job]);
    expect(await numbersIn(after, key)).toEqual([0, 1, 9]);
    expect((await after.cells.read(key))?.token).toBeGreaterThan(used);
  });

  it('and jobs of which nothing is known any more fail, when the cell is trusted', async () => {
    const { before, after, part, promote } = await pair();
    const key = before.key();
    await commits(before, key, 0, 1);
    await part();
    await commits(before, key, 2, 3);
    const worker = await promote();
    const held = nextEvent(worker, 'laneHeld');
    const jobs = await enqueueLog(
      after,
      [8, 9].map((n) => ({ key, n })),
    );
    await held;
    expect(await trust(after, key, 'cell')).toMatchObject({ kind: 'cell-trusted' });
    const finished = await after.finished(jobs);
    for (const job of finished) {
      expect(job.failedReason).toMatch(/whether this job is in its value is not known/);
    }
    await commits(after, key, 10);
    expect(await numbersIn(after, key)).toEqual([0, 1, 2, 3, 10]);
  });
});
