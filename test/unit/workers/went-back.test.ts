/**
 * A Redis that lost its last writes, and whose clock is behind, gives out numbers that it gave out before: no job
 * ever leaves its lane with a commit that was not its own.
 */
import { describe, expect, it } from 'vitest';
import type { MemoryJobs } from '../../../src/jobs/memory/memory-jobs.ts';
import { type GateWorker, GateWorld, KEY } from '../../support/gate-world.ts';

const BEHIND_MS = 10_000;

interface Scene {
  readonly world: GateWorld;
  /** What was promoted: it has all but the last commit. */
  readonly replica: MemoryJobs;
  readonly worker: GateWorker;
  readonly held: () => string[];
}

/** Two commits that both know, and one of `lost` jobs that only the primary and the cell know. */
async function afterFailover(lost: readonly string[], aheadMs = -BEHIND_MS): Promise<Scene> {
  const world = new GateWorld();
  const primary = world.redis();
  const replica = world.redis('data set', aheadMs);
  const before = world.worker(primary);
  for (const who of ['one', 'two']) await before.enqueue(who);
  const { copy } = primary.inspect(KEY, 0);
  const { dataSet } = primary.inspect(KEY, 0);
  replica.overwriteCopy({
    key: KEY,
    dataSet: dataSet.id,
    base: 0,
    token: copy.token,
    watermark: copy.watermark,
    decided: 0,
    value: { json: '["one","two"]' },
    expireMs: 0,
    decisions: new Map(),
    paceMs: 0,
  });
  replica.renumber(KEY, copy.watermark + 1);
  await world.clock.advance(1_000);
  const jobIds = lost.map((who) => before.add(who));
  await world.clock.until(Promise.all(jobIds.map((jobId) => before.deliver(jobId))));
  await world.clock.until(before.gate.atRest());
  expect(world.cell()?.value).toEqual(['one', 'two', ...lost]);
  const worker = world.worker(replica, { blockedMs: 50 });
  return { world, replica, worker, held: () => worker.events('laneHeld').map(({ code }) => code) };
}

describe.each([[['lost']], [['lost', 'too']]])('after the loss of %j', (lost) => {
  it('a job that got one of their numbers is not taken for one of them', async () => {
    const { world, replica, worker, held } = await afterFailover(lost);
    const jobId = worker.add('after'); // the replica's clock is behind: it gets a number of before
    expect(replica.inspect(KEY, 1).head[0]?.sequence).toBeLessThan(
      world.cell()?.watermark as number,
    );
    const early = await world.clock.until(worker.deliver(jobId));
    expect(early.kind).toBe('snoozed');
    expect(held()).toEqual(['REDIS_WENT_BACK']);
    await world.clock.advance(2 * BEHIND_MS); // and catches up
    const late = await world.clock.until(worker.deliver(jobId));
    expect(late.kind).toBe('snoozed');
    expect(held()).toEqual(['REDIS_WENT_BACK', 'REDIS_WENT_BACK']);
    expect(replica.inspect(KEY, 1).head.map((job) => job.jobId)).toEqual([jobId]);
  });

  it('goes on behind them by itself once the numbers are past theirs', async () => {
    const { world, worker, held } = await afterFailover(lost);
    await world.clock.advance(2 * BEHIND_MS);
    expect((await worker.enqueue('after')).kind).toBe('decided');
    expect(held()).toEqual([]);
    expect(world.cell()?.value).toEqual(['one', 'two', ...lost, 'after']);
    expect(worker.events('commitRecovered')).toHaveLength(1);
  });

  it('goes on behind them at once if the clock is right', async () => {
    const { world, worker } = await afterFailover(lost, 0);
    await world.clock.advance(1);
    expect((await worker.enqueue('after')).kind).toBe('decided');
    expect(world.cell()?.value).toEqual(['one', 'two', ...lost, 'after']);
  });
});

it('an acknowledgement that arrives at the replica takes nobody along', async () => {
  const { replica, worker, world } = await afterFailover(['lost']);
  const { token = 0, base = 0, watermark = 0 } = world.cell() ?? {};
  const jobId = worker.add('after');
  const commit = {
    ...{ key: KEY, dataSet: 'data set', base, token, watermark, decided: 1 },
    ...{ value: { json: '7' }, expireMs: 0, decisions: new Map(), paceMs: 0 },
  };
  expect(replica.acknowledge(commit)).toEqual({ accepted: false, wentBack: true });
  await world.clock.advance(2 * BEHIND_MS);
  replica.drawToken();
  expect(replica.acknowledge(commit)).toEqual({ accepted: false, wentBack: true });
  expect(replica.inspect(KEY, 1).head.map((job) => job.jobId)).toEqual([jobId]);
});
