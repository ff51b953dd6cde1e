/**
 * A memcached that goes away, comes back empty, loses things or cuts connections costs no job an attempt: every
 * job here may be attempted once, and all of them complete, with exact values.
 */
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Job } from 'bullmq';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { RedisLanes } from '../../src/jobs/redis/redis-lanes.ts';
import { lockName } from '../../src/memcached/item-names.ts';
import { SocketConnection } from '../../src/memcached/socket/socket-connection.ts';
import {
  count,
  enqueueMany,
  enqueueMore,
  expectUncharged,
  goesOn,
  keysOf,
  underWay,
} from '../support/faulty-load.ts';
import { removeItem } from '../support/items.ts';
import { type PrivateServer, startMemcached } from '../support/servers.ts';
import { quickly, type Stage, stage } from '../support/workers.ts';

let memcached: PrivateServer;
beforeAll(async () => {
  memcached = await startMemcached();
});
afterAll(() => memcached.stop());

const ownStage = (): Stage => stage({ memcached: quickly(memcached.address) });

/** Sends the server one line of the text protocol. */
async function tell(line: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const socket = connect(memcached.port, memcached.host, () => socket.write(`${line}\r\n`));
    socket.on('error', reject);
    socket.on('data', () => socket.end());
    socket.on('close', () => resolve());
  });
}

/** Deletes cells and locks while they are in use: jobs come in until enough are gone. */
async function evict(
  here: Stage,
  jobs: Job[],
  atLeast: { cells: number; locks: number },
): Promise<void> {
  const evicted = { cells: 0, locks: 0 };
  while (evicted.cells < atLeast.cells || evicted.locks < atLeast.locks) {
    await enqueueMore(here, jobs);
    for (const key of keysOf(here)) {
      if (atLeast.cells > 0 && (await removeItem(key, memcached.address))) evicted.cells += 1;
      if (await removeItem(lockName(key), memcached.address)) evicted.locks += 1;
    }
  }
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
      await goesOn(here);
      await memcached.kill();
      await memcached.start();
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

  it('evicting a cell, or a lock under its holder', async () => {
    const here = ownStage();
    for (let i = 0; i < 2; i++) await here.worker({ concurrency: 8 });
    const jobs = await enqueueMany(here);
    await underWay(here);
    await evict(here, jobs, { cells: 20, locks: 20 });
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

  it('loses or doubles updates, if a commit is stored and acknowledged whatever is there', async () => {
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
      await evict(here, jobs, { cells: 0, locks: 60 });
      await expect(expectUncharged(here, jobs)).rejects.toThrow(/^expected/);
    } finally {
      spies.forEach((spy) => spy.mockRestore());
    }
  });
});
