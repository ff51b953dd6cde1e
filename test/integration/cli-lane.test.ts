/** `toril lane`: an operator's word on lanes that stand still. */
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { ownPrefixOf } from '../../src/redis/own-keys.ts';
import { systemClock } from '../../src/base/clock.ts';
import { systemRandom } from '../../src/base/random.ts';
import { type LaneReport, Queue, Worker } from '../../src/index.ts';
import type { CellStanding } from '../../src/workers/inspecting/cell-standing.ts';
import { MemcachedLeaseLocks } from '../../src/lock/lease-locks.ts';
import { lockName } from '../../src/memcached/item-names.ts';
import type { Item } from '../../src/memcached/server.ts';
import { clientOf, eventually, newItem, valueOf } from '../support/memcached.ts';
import { redisClient } from '../support/redis.ts';
import { memcachedAddresses, redisUrl } from '../support/servers.ts';
import { torilHere, unique } from './cli-runner.ts';
import updates from './cli-updates.ts';

let queueName = '';
let account = '';
let queue: Queue;

beforeEach(() => {
  queueName = unique('lane');
  account = unique('account');
  queue = new Queue(queueName, { connection: { url: redisUrl() }, updates });
  return () => queue.close();
});

const deposit = (cents: number): Promise<unknown> => queue.add('deposit', { account, cents });

const isEmpty = ({ length }: LaneReport): boolean => length === 0;
const isHeld = ({ heldBy }: LaneReport): boolean => heldBy !== undefined;

/** Works until the lane is as it should be, then stops. */
async function work(until: (report: LaneReport) => boolean = isEmpty): Promise<void> {
  const worker = new Worker(queueName, {
    connection: { url: redisUrl() },
    memcached: [...memcachedAddresses()],
    updates,
    blockedMs: 50,
  });
  worker.on('error', () => undefined);
  try {
    await eventually(
      'the lane is as it should be',
      async () => until(await queue.lane(account).report()),
      20_000,
    );
  } finally {
    await worker.close();
  }
}

/** One commit for each. */
async function commit(...amounts: readonly number[]): Promise<void> {
  for (const cents of amounts) {
    await deposit(cents);
    await work();
  }
}

type LaneJson = LaneReport & { readonly cell: CellStanding };

async function lane(): Promise<LaneJson> {
  const { code, stdout } = await torilHere(['lane', account, '-q', queueName, '--json']);
  expect(code).toBe(0);
  return JSON.parse(stdout) as LaneJson;
}

const say = (...flags: readonly string[]): ReturnType<typeof torilHere> =>
  torilHere(['lane', account, '-q', queueName, ...flags]);

async function value(): Promise<unknown> {
  const { stdout } = await torilHere(['get', account]);
  return stdout === '' ? undefined : JSON.parse(stdout);
}

describe('a lane held by a job that has failed for good', () => {
  beforeEach(async () => {
    await deposit(-5);
    await deposit(7);
    await work(isHeld);
  });

  test('is shown', async () => {
    expect(await lane()).toMatchObject({ length: 2, heldBy: '1' });
    const { stdout } = await say();
    expect(stdout).toContain('there is not enough money');
    expect(stdout).toContain('job 1');
  });

  test('goes on after --drop, and then there is nothing to drop', async () => {
    expect(await say('--drop')).toMatchObject({ code: 0 });
    await work();
    expect(await value()).toEqual({ cents: 7, jobs: 1 });
    const { code, stderr } = await say('--drop');
    expect(code).toBe(4);
    expect(stderr).toContain('error LANE_NOT_HELD: ');
  });

  test('goes on after --skip, and the job is tried again behind the others', async () => {
    expect(await say('--skip')).toMatchObject({ code: 0 });
    await work();
    expect(await value()).toEqual({ cents: 2, jobs: 2 });
  });

  test('tries again after --retry', async () => {
    expect(await say('--retry')).toMatchObject({ code: 0 });
    expect(await lane()).not.toHaveProperty('heldBy');
    await work(isHeld);
    expect(await lane()).toMatchObject({ length: 2, jobs: [{ attemptsMade: 2 }, {}] });
  });
});

describe('--trust', () => {
  const copyKey = (): string => `${ownPrefixOf(`bull:${queueName}:`)}copy:${account}`;

  /** Redis forgets all commits but the first, as after a failover. */
  async function goBack(): Promise<void> {
    const redis = redisClient();
    await commit(1);
    const old = await redis.hgetall(copyKey());
    await commit(2, 4);
    await redis.del(copyKey());
    await redis.hset(copyKey(), old);
    await deposit(8);
    expect((await lane()).cell).toMatchObject({ standing: 'refused', code: 'REDIS_WENT_BACK' });
  }

  /** The item under the key, and a way to write over it as any client could. */
  async function item(): Promise<{
    read(): Promise<Item>;
    overwrite(text: string): Promise<void>;
  }> {
    const server = clientOf(memcachedAddresses()[0] ?? '');
    onTestFinished(() => server.close());
    const connection = await server.connection();
    return {
      read: async () => valueOf(await connection.get(account)),
      overwrite: async (text) => {
        const { cas } = valueOf(await connection.get(account));
        valueOf(await connection.replace(account, newItem(text), cas));
      },
    };
  }

  test('cell: goes on from memcached, with everything in it', async () => {
    await goBack();
    const { code, stdout } = await say('--trust', 'cell', '--json');
    expect({ code, told: JSON.parse(stdout) }).toMatchObject({
      code: 0,
      told: { key: account, kind: 'cell-trusted' },
    });
    expect((await lane()).cell.standing).toBe('clean');
    await work();
    expect(await value()).toEqual({ cents: 15, jobs: 4 });
  });

  test('copy: goes on from Redis, without what it has forgotten', async () => {
    await goBack();
    expect(await say('--trust', 'copy')).toMatchObject({ code: 0 });
    expect((await lane()).cell.standing).toBe('missing');
    await work();
    expect(await value()).toEqual({ cents: 9, jobs: 2 });
  });

  test('copy: restores a cell that something else wrote over', async () => {
    await commit(1, 2);
    const cell = await item();
    await cell.overwrite('scribble');
    await deposit(4);
    expect((await lane()).cell).toMatchObject({ standing: 'refused', code: 'FOREIGN_VALUE' });
    const refused = await say('--trust', 'cell');
    expect(refused.code).toBe(5);
    expect(refused.stderr).toContain('error FOREIGN_VALUE: ');
    expect((await cell.read()).value.toString()).toBe('scribble');
    expect(await say('--trust', 'copy')).toMatchObject({ code: 0 });
    await work();
    expect(await value()).toEqual({ cents: 7, jobs: 3 });
  });

  test('copy: leaves a cell alone that Redis could not restore', async () => {
    await commit(1);
    await redisClient().del(copyKey());
    const { code, stderr } = await say('--trust', 'copy');
    expect(code).toBe(4);
    expect(stderr).toContain('Redis has no value to restore');
    expect(await value()).toEqual({ cents: 1, jobs: 1 });
  });

  test('cell: never takes Redis back to an older state', async () => {
    await commit(1);
    const { code, stderr } = await say('--trust', 'cell');
    expect(code).toBe(4);
    expect(stderr).toContain('as new as the cell or newer');
  });

  test('says so if there is no cell', async () => {
    for (const which of ['cell', 'copy']) {
      const { code, stderr } = await say('--trust', which);
      expect(code).toBe(4);
      expect(stderr).toContain('there is no cell');
    }
    expect(await value()).toBeUndefined();
  });

  test('waits for the lease, and touches nothing without it', async () => {
    await goBack();
    const server = clientOf(memcachedAddresses()[0] ?? '');
    const locks = new MemcachedLeaseLocks({ clock: systemClock, random: systemRandom });
    onTestFinished(async () => {
      await locks.close();
      await server.close();
    });
    const held = await locks.attempt(server, lockName(account), () => undefined);
    expect(held.kind).toBe('held');

    const refused = await say('--trust', 'copy', '--wait-ms', '300');
    expect(refused.code).toBe(6);
    expect(refused.stderr).toContain('error LEASE_TIMED_OUT: ');
    expect((await lane()).cell).toMatchObject({ standing: 'refused' });

    const asked = vi.spyOn(MemcachedLeaseLocks.prototype, 'attempt');
    const waiting = say('--trust', 'copy');
    await eventually('it has met the lock, and asks again', () => asked.mock.calls.length > 1);
    asked.mockRestore();
    if (held.kind === 'held') await held.lease.release();
    expect(await waiting).toMatchObject({ code: 0 });
  });
});
