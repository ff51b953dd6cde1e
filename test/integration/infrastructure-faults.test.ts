/**
 * Servers that go away, come back empty, lose things or cut connections cost no job an attempt: every
 * job here may be attempted once, and all of them complete, with exact values.
 */
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Job } from 'bullmq';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { GateEventName, Worker } from '../../src/index.ts';
import { RedisLanes } from '../../src/jobs/redis/redis-lanes.ts';
import { lockName } from '../../src/memcached/item-names.ts';
import { SocketConnection } from '../../src/memcached/socket/socket-connection.ts';
import { removeItem } from '../support/items.ts';
import { eventually } from '../support/memcached.ts';
import { startProcess } from '../support/processes.ts';
import { type PrivateServer, startMemcached, startRedis } from '../support/servers.ts';
import {
  enqueueLog,
  entries,
  expectExact,
  quickly,
  type Stage,
  stage,
} from '../support/workers.ts';

const KEYS = 5;
const JOBS_PER_KEY = 120;
/** Milliseconds that each update takes, so that faults come while jobs are applied. */
const TAKES_MS = 5;

let memcached: PrivateServer;
beforeAll(async () => {
  memcached = await startMemcached();
});
afterAll(() => memcached.stop());

const ownStage = (): Stage => stage({ memcached: quickly(memcached.address) });
const keysOf = (here: Stage): string[] => Array.from({ length: KEYS }, (_, n) => here.key(n));

/** Jobs of several keys in turn, each with one attempt. */
function enqueueMany(here: Stage): Promise<Job[]> {
  const all = keysOf(here).flatMap((key) => entries(key, JOBS_PER_KEY, { takesMs: TAKES_MS }));
  return enqueueLog(
    here,
    all.toSorted((a, b) => a.n - b.n),
    { attempts: 1 },
  );
}

async function expectUncharged(here: Stage, jobs: readonly Job[]): Promise<void> {
  const finished = await here.finished(jobs);
  expect(finished.filter((job) => job.failedReason != null)).toEqual([]);
  expect(new Set(finished.map((job) => job.attemptsMade))).toEqual(new Set([1]));
  for (const key of keysOf(here)) {
    const own = finished.filter(({ data }) => data.key === key);
    expect(await expectExact(here, key, own)).toEqual(own.map((_, n) => n));
  }
}

/** Some of the jobs have been applied, many have not. */
async function underWay(here: Stage): Promise<void> {
  await eventually(
    'some jobs are completed',
    async () => (await here.queue.getCompletedCount()) > 40,
  );
}

const count = (workers: readonly Worker[], name: GateEventName): number =>
  workers.reduce((sum, { counts }) => sum + (counts[name] ?? 0), 0);

/** Sends the server one line of the text protocol. */
async function tell(line: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const socket = connect(memcached.port, memcached.host, () => socket.write(`${line}\r\n`));
    socket.on('error', reject);
    socket.on('data', () => socket.end());
    socket.on('close', () => resolve());
  });
}

describe('memcached', () => {
  it.each([300, 10_000])('down for %d ms, and empty afterwards', async (downMs) => {
    const here = ownStage();
    const workers = [
      await here.worker({ concurrency: 16 }),
      await here.worker({ concurrency: 16 }),
    ];
    const jobs = await enqueueMany(here);
    await underWay(here);
    await memcached.kill();
    await sleep(downMs);
    expect(await here.queue.getFailedCount()).toBe(0);
    await memcached.start();
    await expectUncharged(here, jobs);
    expect(count(workers, 'cellRestored')).toBeGreaterThan(0);
  });

  it('restarted again and again, so that its CAS begins anew each time', async () => {
    const here = ownStage();
    for (let i = 0; i < 2; i++) await here.worker({ concurrency: 8 });
    const jobs = await enqueueMany(here);
    for (let i = 0; i < 5; i++) {
      await underWay(here);
      await memcached.kill();
      await memcached.start();
      await sleep(100);
    }
    await expectUncharged(here, jobs);
  });

  it('frozen for longer than the lease', async () => {
    const here = ownStage();
    for (let i = 0; i < 2; i++) await here.worker({ concurrency: 8 });
    const jobs = await enqueueMany(here);
    await underWay(here);
    memcached.freeze();
    await sleep(1_500);
    memcached.thaw();
    await expectUncharged(here, jobs);
  });

  it('flushed while jobs are applied', async () => {
    const here = ownStage();
    for (let i = 0; i < 2; i++) await here.worker({ concurrency: 8 });
    const jobs = await enqueueMany(here);
    for (let i = 0; i < 20; i++) {
      await tell('flush_all');
      await sleep(20);
    }
    await expectUncharged(here, jobs);
  });

  /** Deletes cells and locks in turn, while they are in use. */
  async function evict(here: Stage): Promise<void> {
    let deleted = 0;
    for (let i = 0; i < 40; i++) {
      for (const key of keysOf(here)) {
        if (await removeItem(i % 2 === 0 ? key : lockName(key), memcached.address)) deleted += 1;
      }
      await sleep(5);
    }
    expect(deleted).toBeGreaterThan(20);
  }

  it('evicting a cell, or a lock under its holder', async () => {
    const here = ownStage();
    for (let i = 0; i < 2; i++) await here.worker({ concurrency: 8 });
    const jobs = await enqueueMany(here);
    await underWay(here);
    await evict(here);
    await expectUncharged(here, jobs);
  });

  it('with connections that are cut', async () => {
    const here = ownStage();
    for (let i = 0; i < 2; i++) await here.worker({ concurrency: 8 });
    const jobs = await enqueueMany(here);
    let sent = 0;
    const real = SocketConnection.prototype.replace;
    const spy = vi.spyOn(SocketConnection.prototype, 'replace');
    spy.mockImplementation(function (this: SocketConnection, name, item, cas) {
      const outcome = real.call(this, name, item, cas);
      // Sent, and then cut, so that nobody knows whether it was carried out.
      if (++sent % 10 === 0) setTimeout(() => this.destroy(), 0);
      return outcome;
    });
    try {
      await expectUncharged(here, jobs);
    } finally {
      spy.mockRestore();
    }
    expect(sent).toBeGreaterThan(30);
  });
});

describe('the same without its guards', () => {
  it('loses values with memcached, if no copies are kept', async () => {
    const here = ownStage();
    const workers = [await here.worker({ concurrency: 16, durableCopies: false })];
    const jobs = await enqueueMany(here);
    await underWay(here);
    await memcached.kill();
    await memcached.start();
    await expect(expectUncharged(here, jobs)).rejects.toThrow(/^expected/);
    expect(count(workers, 'cellLost')).toBeGreaterThan(0);
  });

  // Whether two holders meet is up to chance: all jobs may be done before the locks are gone.
  it('loses or doubles updates, if a commit is stored and acknowledged whatever is there', {
    retry: 5,
  }, async () => {
    const replace = SocketConnection.prototype.replace;
    const spies = [
      vi.spyOn(SocketConnection.prototype, 'replace').mockImplementation(async function (
        this: SocketConnection,
        name,
        item,
        cas,
      ) {
        const now = await this.get(name);
        return replace.call(this, name, item, now.kind === 'done' ? now.value.cas : cas);
      }),
      vi.spyOn(RedisLanes.prototype, 'acknowledge').mockImplementation(async function (
        this: RedisLanes,
        commit,
      ) {
        await this.overwriteCopy(commit);
        return { accepted: true };
      }),
    ];
    try {
      const here = ownStage();
      for (let i = 0; i < 2; i++) await here.worker({ concurrency: 8 });
      const jobs = await enqueueMany(here);
      await underWay(here);
      for (let i = 0; i < 100; i++) {
        for (const key of keysOf(here)) await removeItem(lockName(key), memcached.address);
      }
      await expect(expectUncharged(here, jobs)).rejects.toThrow(/^expected/);
    } finally {
      spies.forEach((spy) => spy.mockRestore());
    }
  });
});

describe('a worker process', () => {
  it('frozen for longer than its lease finds that it has lost it', async () => {
    const here = ownStage();
    const frozen = await startProcess(here, { concurrency: 8 });
    const jobs = await enqueueMany(here);
    await underWay(here);
    frozen.freeze();
    const worker = await here.worker({ concurrency: 8 });
    await eventually(
      'the other worker has taken over',
      () => (worker.counts.leaseTakenOver ?? 0) > 0,
    );
    frozen.thaw();
    await expectUncharged(here, jobs);
  });
});

describe('Redis', () => {
  it('cutting the connections of its clients', async () => {
    const redis = await startRedis();
    const here = stage({ memcached: quickly(memcached.address), redis: redis.address });
    for (let i = 0; i < 2; i++) await here.worker({ concurrency: 8 });
    const jobs = await enqueueMany(here);
    for (let i = 0; i < 10; i++) {
      await here.redis.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
      await sleep(50);
    }
    await expectUncharged(here, jobs);
    await here.close();
    await redis.stop();
  });

  it('restarted, with everything that it acknowledged on disk', async () => {
    const redis = await startRedis({ flags: ['--appendonly', 'yes', '--appendfsync', 'always'] });
    const here = stage({ memcached: quickly(memcached.address), redis: redis.address });
    for (let i = 0; i < 2; i++) await here.worker({ concurrency: 8 });
    const jobs = await enqueueMany(here);
    await underWay(here);
    await redis.kill();
    await sleep(300);
    await redis.start();
    await expectUncharged(here, jobs);
    await here.close();
    await redis.stop();
  });
});
