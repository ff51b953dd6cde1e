/**
 * The history that workers write: it is what was committed, and enough to make every value again,
 * whatever happened on the way.
 */
import { describe, expect, it, onTestFinished } from 'vitest';
import { type AnyUpdate, DELETE_CELL, defineUpdate, replay } from '../../src/index.ts';
import { RedisLanes } from '../../src/jobs/redis/redis-lanes.ts';
import { removeItem, writeItem } from '../support/items.ts';
import { eventually } from '../support/memcached.ts';
import { startProcess } from '../support/processes.ts';
import { type Entry, log, logOr } from '../support/updates.ts';
import type { Step } from '../support/worker-process.ts';
import { commitsOf, expectReplayable, recorded, replayed } from '../support/stage-history.ts';
import {
  enqueueLog,
  entries,
  expectExact,
  nextEvent,
  type Stage,
  type StageWorkerOptions,
  stage,
} from '../support/workers.ts';

const RECORDING = {
  history: 'on',
  checkpointEvery: 5,
  concurrency: 8,
} satisfies StageWorkerOptions;

describe('a history', () => {
  it('makes every value again: many keys, several workers, jobs that fail, retry, skip and cascade', async () => {
    const here = stage();
    const kinds = [log, logOr.skip, logOr.cascade, logOr.skipCascade];
    const jobs = await here.queue.enqueueBulk(
      Array.from({ length: 120 }, (_, n) => ({
        update: kinds[n % kinds.length] as typeof log,
        // Kinds have keys of their own, so that what cascades does not fail everything.
        data: {
          key: here.key(`${n % kinds.length}-${n % 3}`),
          n,
          failures: n % 20 === 7 ? 1 : n % 60 === 9 ? 9 : 0,
        },
        options: { attempts: 2, backoff: 5 },
      })),
    );
    await Promise.all([here.worker(RECORDING), here.worker(RECORDING), here.worker(RECORDING)]);
    await here.finished(jobs);
    const report = await expectReplayable(here);
    expect(report.keys).toHaveLength(12);
    const decided = (await commitsOf(here)).flatMap((commit) => commit.jobs);
    const applied = decided.filter(({ outcome }) => outcome === undefined);
    expect(new Set(applied.map(({ id }) => id)).size).toBe(applied.length);
    expect(applied.filter(({ attempt }) => attempt === 2).length).toBeGreaterThan(2);
    const kindsOfOutcome = new Set(decided.map(({ outcome }) => outcome?.kind));
    expect(kindsOfOutcome).toEqual(new Set([undefined, 'failed', 'withdrawn']));
  });

  const GAPS: readonly Step[] = ['taken', 'folded', 'committed', 'acknowledged', 'completing'];

  it.each(GAPS)('is whole though a worker died (%s)', async (at) => {
    const here = stage();
    const key = here.key();
    const jobs = await enqueueLog(here, entries(key, 40), { attempts: 1 });
    const options = { ...RECORDING, batchJobsMax: 10, batchesPerLease: 1 };
    const dying = await startProcess(here, {
      ...options,
      fault: { at, nth: 2, signal: 'SIGKILL' },
    });
    await dying.exited();
    await here.worker(options);
    await expectExact(here, key, await here.finished(jobs));
    const report = await expectReplayable(here);
    expect(report.jobs).toBe(40);
    const recovered = (await commitsOf(here)).filter((commit) => commit.recovered);
    expect(recovered).toHaveLength(at === 'committed' ? 1 : 0);
  });

  it('rebuilds a value from nothing else, after memcached was wiped and without durable copies', async () => {
    const here = stage();
    const key = here.key();
    const options = { ...RECORDING, durableCopies: false, batchJobsMax: 7 };
    const worker = await here.worker(options);
    await here.finished(await enqueueLog(here, entries(key, 60)));
    const before = await here.cells.read(key);
    await removeItem(key);
    expect(await here.cells.get(key)).toBeUndefined();

    const { keys } = await replay(await recorded(here), here.updates);
    expect(keys[0]?.last).toEqual({ token: before?.token, json: JSON.stringify(before?.value) });

    // What comes then begins with nothing, and the history knows that.
    await here.finished(await enqueueLog(here, entries(key, 5)));
    expect(worker.counts.cellLost).toBe(1);
    expect((await expectReplayable(here)).keys).toMatchObject([{ restarts: 1 }]);
    const commits = await commitsOf(here);
    expect(commits.filter(({ origin }) => origin === 'nothing').map(({ base }) => base)).toEqual([
      0,
      before?.token,
    ]);
  });

  it('knows that a value was lost even if whoever found that out died of it', async () => {
    const here = stage();
    const key = here.key();
    const options = { ...RECORDING, durableCopies: false };
    const worker = await here.worker(options);
    await here.finished(await enqueueLog(here, entries(key, 3)));
    await worker.close();
    await removeItem(key);
    const jobs = await enqueueLog(here, entries(key, 3));
    const fault = { at: 'committed', nth: 1, signal: 'SIGKILL' } as const;
    await (await startProcess(here, { ...options, fault })).exited();
    await here.worker(options);
    await here.finished(jobs);
    await expectReplayable(here);
    expect(await commitsOf(here)).toMatchObject([{}, { origin: 'nothing', recovered: true }]);
  });

  it('goes through deletion and expiry', async () => {
    const counting = (name: string, more: object): AnyUpdate =>
      defineUpdate({
        name,
        key: ({ key }: Entry) => key,
        initial: () => 0,
        apply: (count: number, { n }: Entry) =>
          n < 0 ? (DELETE_CELL as typeof DELETE_CELL) : count + n,
        ...more,
      });
    const updates = [counting('kept', {}), counting('brief', { expireSeconds: 3 })];
    const here = stage({ updates });
    await here.worker(RECORDING);
    const apply = async (name: string, n: number): Promise<void> => {
      await here.finished([await here.queue.add(name, { key: here.key(name), n })]);
    };
    for (const n of [1, 2, -1, 3]) await apply('kept', n);
    await apply('brief', 5);
    const brief = here.key('brief');
    // An item of 3 s lives for 1 to 3, its copy for 3: the next update would begin with that.
    await eventually(
      'cell and copy expire',
      async () => {
        const { copy } = await here.queue.inRedis.lanes.inspect(brief, 0);
        return copy.value === 'deleted' && (await here.cells.get(brief)) === undefined;
      },
      10_000,
    );
    await apply('brief', 7);
    expect(await here.cells.get(brief)).toBe(7);
    await expectReplayable(here);
  });

  it('begins with the value that was adopted', async () => {
    const adopting = { ...log, adopt: (foreign: Buffer) => JSON.parse(foreign.toString()) as [] };
    const here = stage({ updates: [adopting] });
    const key = here.key();
    await writeItem(key, '[[100,1,1]]');
    await here.worker(RECORDING);
    await here.finished(await here.queue.enqueueBulk([{ update: adopting, data: { key, n: 0 } }]));
    await expectReplayable(here);
    expect(await commitsOf(here)).toMatchObject([{ origin: { adopted: [[100, 1, 1]] } }]);
  });

  it('tells of a job that was removed before its commit was acknowledged', async () => {
    const here = stage();
    const key = here.key();
    const { acknowledge } = RedisLanes.prototype;
    onTestFinished(() => void (RedisLanes.prototype.acknowledge = acknowledge));
    RedisLanes.prototype.acknowledge = async function (this: RedisLanes, commit) {
      await here.redis.del(here.redisKey('2'));
      return acknowledge.call(this, commit);
    };
    const jobs = await enqueueLog(here, entries(key, 3));
    await here.worker(RECORDING);
    await here.finished(jobs.toSpliced(1, 1));
    RedisLanes.prototype.acknowledge = acknowledge;
    await here.finished(await enqueueLog(here, entries(key, 3)));
    const report = await replayed(here);
    expect(report).toMatchObject({ verdict: 'not-checked', unchecked: { 'job-gone': 1 } });
    expect(report.keys).toMatchObject([
      {
        verdict: 'unchecked',
        gaps: [{ reason: 'job-gone', job: { id: '2' } }],
        live: { kind: 'same' },
      },
    ]);
  });
});

describe('what is recorded', () => {
  const streams = (here: Stage): Promise<number> => here.redis.exists(here.ownKey('history'));

  it('is nothing by default', async () => {
    const here = stage();
    await here.worker();
    await here.finished(await enqueueLog(here, entries(here.key(), 10)));
    expect(await streams(here)).toBe(0);
    await expect(recorded(here)).rejects.toMatchObject({ code: 'NOTHING_RECORDED' });
  });

  it('is what some updates did, if only they are named', async () => {
    const here = stage();
    await here.worker({ ...RECORDING, history: ['log'] });
    const add = (update: typeof log, key: string): Promise<unknown> =>
      here.queue
        .enqueueBulk([{ update, data: { key: here.key(key), n: 0 } }])
        .then((jobs) => here.finished(jobs));
    await add(log, 'a');
    await add(logOr.hold, 'b');
    for (const update of [log, logOr.hold, log, log]) await add(update, 'mixed');
    const commits = await commitsOf(here);
    expect(commits.map(({ key }) => key.split('-').at(-1))).toEqual([
      'a',
      'mixed',
      'mixed',
      'mixed',
    ]);
    const report = await replayed(here);
    expect(report).toMatchObject({ verdict: 'not-checked', complete: false });
    expect(report.keys[1]).toMatchObject({ gaps: [{ reason: 'commits-missing' }], checked: 2 });
  });

  it('begins where it was switched on, with a value to begin behind', async () => {
    const here = stage();
    const key = here.key();
    const silent = await here.worker();
    await here.finished(await enqueueLog(here, entries(key, 10)));
    await silent.close();
    await here.worker({ ...RECORDING, historyValueMax: 0, checkpointEvery: 1000 });
    for (let n = 0; n < 3; n++) await here.finished(await enqueueLog(here, entries(key, 2)));
    const commits = await commitsOf(here);
    expect(commits.map(({ value }) => value !== undefined)).toEqual([
      true,
      ...commits.slice(1).map(() => false),
    ]);
    expect(await replayed(here)).toMatchObject({
      ...{ verdict: 'not-checked', unchecked: { 'before-start': 1 } },
      keys: [{ start: 'checkpoint', gapsCount: 0, live: { kind: 'same' } }],
    });
  });

  it('has values in full as often as it was told', async () => {
    const here = stage();
    const key = here.key();
    await here.worker({ ...RECORDING, historyValueMax: 0, checkpointEvery: 3 });
    for (let n = 0; n < 8; n++) await here.finished(await enqueueLog(here, entries(key, 1)));
    const commits = await commitsOf(here);
    expect(commits.map(({ value }) => (value === undefined ? '-' : 'V')).join('')).toBe('---V--V-');
    await here.queue.obliterate({ force: true });
    expect(await here.redis.exists(here.ownKey('history'), here.ownKey('historyFirst'))).toBe(0);
  });

  it('is the value behind a strict commit, which no replay runs again', async () => {
    const strict = { ...log, name: 'log-strict', strict: true };
    const here = stage({ updates: [log, strict] });
    const key = here.key();
    await here.worker({ ...RECORDING, historyValueMax: 0, checkpointEvery: 1000 });
    for (const update of [log, strict, log, log]) {
      await here.finished(await here.queue.enqueueBulk([{ update, data: { key, n: 0 } }]));
    }
    expect((await commitsOf(here)).map(({ value }) => value !== undefined)).toEqual([
      ...[false, true, false, false],
    ]);
    expect(await replayed(here)).toMatchObject({
      ...{ verdict: 'not-checked', checked: 3, unchecked: { 'strict-update': 1 } },
    });
  });

  it('is whole even if it could not be written for a while', async () => {
    const here = stage();
    const key = here.key();
    await here.redis.set(here.ownKey('history'), 'of somebody else');
    const worker = await here.worker(RECORDING);
    const failing = nextEvent(worker, 'unavailable');
    const jobs = await enqueueLog(here, entries(key, 20));
    expect((await failing).cause.message).toContain('WRONGTYPE');
    await here.redis.del(here.ownKey('history'));
    await expectExact(here, key, await here.finished(jobs));
    const report = await expectReplayable(here);
    expect(report.jobs).toBe(20);
  });

  it('goes on across an operator who trusts the cell', async () => {
    const here = stage();
    const key = here.key();
    const worker = await here.worker(RECORDING);
    await here.finished(await enqueueLog(here, entries(key, 3)));
    const backup = await here.redis.dumpBuffer(here.ownKey(`copy:${key}`));
    await here.finished(await enqueueLog(here, entries(key, 3)));
    await here.finished(await enqueueLog(here, entries(key, 3)));
    await here.redis.restore(here.ownKey(`copy:${key}`), 0, backup as Buffer, 'REPLACE');
    const held = nextEvent(worker, 'laneHeld');
    const jobs = await enqueueLog(here, entries(key, 3));
    expect((await held).code).toBe('REDIS_WENT_BACK');
    const cell = await here.cells.read(key);
    await here.queue.inRedis.lanes.overwriteCopy({
      key,
      dataSet: (await here.queue.inRedis.lanes.inspect(key, 0)).dataSet.id,
      base: 0,
      token: cell?.token ?? 0,
      watermark: cell?.watermark ?? 0,
      decided: 100,
      value: { json: JSON.stringify(cell?.value) },
      expireMs: 0,
      decisions: new Map(),
      paceMs: 0,
    });
    await here.finished(jobs);
    const report = await replayed(here);
    expect(report).toMatchObject({ agrees: true, keys: [{ live: { kind: 'same' } }] });
  });
});
