/**
 * Lanes that stand still, one way after the other, on real servers: what `why` says of each, and that `toril why` says the
 * same. What takes minutes to come about (a frozen worker, a lost Redis) is put there by hand.
 */
import { Worker as BullWorker } from 'bullmq';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { CELL_FLAGS, encodeEnvelope, type NewEnvelope } from '../../src/cells/envelope.ts';
import { defineUpdate, openInspector, why } from '../../src/index.ts';
import { defineTransaction } from '../../src/updates/transaction.ts';
import { systemClock } from '../../src/base/clock.ts';
import { RedisLanes } from '../../src/jobs/redis/redis-lanes.ts';
import { LOCK_FLAGS } from '../../src/lock/lock-item.ts';
import { cellName, lockName } from '../../src/memcached/item-names.ts';
import { writeItem } from '../support/items.ts';
import { eventually } from '../support/memcached.ts';
import { memcachedAddresses, type PrivateServer, startMemcached } from '../support/servers.ts';
import { allUpdates, log, logOr } from '../support/updates.ts';
import { enqueueLog, entries, quickly, type Stage, stage } from '../support/workers.ts';
import { torilHere } from './cli-runner.ts';

const v2 = defineUpdate({
  name: 'v2',
  key: (entry: { key: string }) => entry.key,
  initial: () => 0,
  apply: (value: number) => value,
});

const both = defineTransaction({
  name: 'both',
  keys: ({ keys }: { keys: [string, string] }) => keys,
  initial: () => 0,
  apply: ([a, b]) => [a + 1, b + 1],
});

/** Before it is asked why the key `k` of a stage stands. */
type Setting = (here: Stage, key: string) => Promise<unknown>;

/** A worker that says it lives, and works on nothing. */
async function living(
  here: Stage,
  id = 'w1',
  updates = ['log', 'log-hold', 'both'],
): Promise<void> {
  await here.queue.inRedis.workers.tell({
    ...{ id, host: 'h', pid: 1, bullmq: '', node: '', updates, concurrency: 1, leaseMs: 10_000 },
    ...{ memcached: '', fastPathOff: [] },
  });
}

/** The same, last heard of 6 s ago. */
async function frozen(here: Stage, id = 'w1'): Promise<void> {
  await living(here, id);
  const seen = here.ownKey('workersSeen');
  await here.redis.zadd(seen, Number(await here.redis.zscore(seen, id)) - 6_000, id);
}

const waiting: Setting = (here, key) => enqueueLog(here, entries(key, 2));

async function alive(here: Stage, key: string): Promise<void> {
  await living(here);
  await waiting(here, key);
}

/** One job is in the value: there are a cell and a copy. */
async function committed(here: Stage, key: string): Promise<void> {
  const worker = await here.worker();
  await here.finished(await enqueueLog(here, entries(key, 1)));
  await worker.close();
}

async function failed(here: Stage, key: string): Promise<void> {
  const worker = await here.worker();
  await here.queue.enqueue(logOr.hold, { key, n: 1, failures: 9 });
  await eventually('it is held', async () => (await here.queue.laneCounts()).held === 1);
  await eventually('BullMQ knows', async () => (await here.queue.getFailedCount()) === 1);
  await worker.close();
  await living(here);
}

/** Another key's update hangs, and its worker has no other slot. */
async function busy(here: Stage): Promise<void> {
  await here.worker({ closeMs: 50 });
  await here.queue.enqueue(log, { key: here.key('other'), n: 0, hangs: true });
  await eventually('it hangs', async () => (await here.queue.getActiveCount()) === 1);
}

/** A cell with an envelope that says something else than what was committed. */
function cell(changes: Partial<NewEnvelope> | string): Setting {
  return async (here, key) => {
    await committed(here, key);
    await alive(here, key);
    const { token, dataSet } = await here.queue.inRedis.lanes.inspect(key, 0).then((lane) => ({
      token: lane.copy.token,
      dataSet: lane.dataSet.id,
    }));
    const plain: NewEnvelope = {
      ...{ valueJson: '[]', token, base: 0, watermark: 0, queue: here.queue.qualifiedName },
      ...{ dataSet, decisions: new Map(), expireMs: 0 },
    };
    const bytes =
      typeof changes === 'string' ? Buffer.from(changes) : encodeEnvelope({ ...plain, ...changes });
    await writeItem(cellName(key), bytes.toString('latin1'), CELL_FLAGS);
  };
}

/** A job of this key and another one, which is held: nobody can go on. */
async function behindHeld(here: Stage, key: string): Promise<void> {
  const other = here.key('other');
  const worker = await here.worker();
  await here.queue.enqueue(logOr.hold, { key: other, n: 1, failures: 9 });
  await eventually('it is held', async () => (await here.queue.getFailedCount()) === 1);
  const waits = new Promise((resolve) => worker.on('laneWaits', resolve));
  await here.queue.enqueue(both, { keys: [key, other] });
  await waits;
}

/** Somebody has taken it out of the lane of its other key. */
async function apart(here: Stage, key: string): Promise<void> {
  await living(here);
  await here.queue.enqueue(both, { keys: [key, here.key('other')] });
  await here.redis.zrem(here.ownKey(`lane:${here.key('other')}`), '1');
}

/** Moves the first job, by hand, to where BullMQ would have it. */
async function active(here: Stage, key: string, lock: boolean): Promise<void> {
  await alive(here, key);
  const jobId = await here.redis.rpoplpush(here.redisKey('wait'), here.redisKey('active'));
  if (lock) await here.redis.set(here.redisKey(`${jobId}:lock`), 'token');
}

const ROWS: readonly (readonly [what: string, setting: Setting, sentence: RegExp])[] = [
  ['nothing was ever added', async () => undefined, /^nothing waits$/],
  ['everything is done', committed, /^nothing waits$/],
  ['nobody works', waiting, /^no worker of the queue lives$/],
  [
    'all workers are frozen',
    async (here, key) => [await waiting(here, key), await frozen(here)],
    /^no worker of the queue lives$/,
  ],
  [
    'the queue is paused',
    async (here, key) => [await alive(here, key), await here.queue.pause()],
    /^paused$/,
  ],
  [
    'the only slot is taken',
    async (here, key) => [await busy(here), await waiting(here, key)],
    /^waits for a free worker slot, 0 jobs before it: job 2$/,
  ],
  [
    'its update takes long',
    async (here, key) => {
      const worker = await here.worker({ closeMs: 50 });
      await here.queue.enqueue(log, { key, n: 0, hangs: true });
      await eventually('it hangs', async () => {
        const { state } = await here.queue.lane(key).report();
        return state.kind === 'working' && state.worker === worker.id;
      });
    },
    /^worker [\w-]+ works on it since \d+ m?s$/,
  ],
  [
    'its worker is frozen',
    async (here, key) => {
      await waiting(here, key);
      const lanes = new RedisLanes(here.queue.backend.queueScripts(), systemClock, {
        id: 'w1',
        finisher: () => undefined,
        concurrency: 1,
      });
      await lanes.take({ key, cell: undefined, arrivals: [], jobsMax: 10, dataMax: 1_000 });
      await writeItem(lockName(key), 'somebody 10000', LOCK_FLAGS);
      await frozen(here);
    },
    /^waits for the lease of worker w1, silent since 6 s, takeover in [45] s$/,
  ],
  [
    'its first job waits for its backoff',
    async (here, key) => {
      const worker = await here.worker();
      await enqueueLog(here, entries(key, 1, { failures: 1 }), { attempts: 2, backoff: 60_000 });
      await eventually('it failed', async () => (await here.queue.getDelayedCount()) === 1);
      await worker.close();
      await living(here);
    },
    /^waits for the backoff of job 1, due in 59 s; attempt 1 failed: attempt 1 of job 0$/,
  ],
  [
    'the rate is limited',
    async (here, key) => [await here.queue.rateLimit(30_000), await alive(here, key)],
    /^limited: the queue's rate limit is reached, for (29|30) s$/,
  ],
  [
    'too many jobs are active',
    async (here, key) => {
      await here.queue.setGlobalConcurrency(1);
      await busy(here);
      await waiting(here, key);
    },
    /^limited: as many jobs are active as the queue allows \(1\)$/,
  ],
  [
    'nobody knows its update',
    async (here, key) => [await living(here), await here.queue.enqueue(v2, { key })],
    /^its update v2 is known to no living worker \(job 1; 1 asked\)$/,
  ],
  [
    'its first job waits for another key, which is held',
    behindHeld,
    /^both \(job 2\) waits for \S+-other, where job 1 \(log-hold\) is before it since \d+ m?s; \S+-other: held by job 1, which failed for good \d+ m?s ago: attempt 1 of job 1$/,
  ],
  [
    'its first job is missing in another lane',
    apart,
    /^job 1 changes several keys, and is missing in the lane of \S+-other, .* \(LANES_APART\)$/,
  ],
  [
    'another key of its first job has a value of somebody else',
    async (here, key) => [
      await living(here),
      await here.queue.enqueue(both, { keys: [key, here.key('other')] }),
      await writeItem(cellName(here.key('other')), '5'),
    ],
    /^the cell of \S+-other cannot be used \(FOREIGN_VALUE\)/,
  ],
  [
    'its first job has children',
    async (here, key) => {
      await alive(here, key);
      const jobId = (await here.redis.rpop(here.redisKey('wait'))) as string;
      await here.redis.zadd(here.redisKey('waiting-children'), 1, jobId);
    },
    /^waits for job 1, whose children are not done$/,
  ],
  [
    'its first job has failed for good',
    failed,
    /^held by job 1, which failed for good \d+ m?s ago: attempt 1 of job 1$/,
  ],
  [
    'its first job is to be dropped',
    async (here, key) => [await failed(here, key), await here.queue.lane(key).drop()],
    /^job 1 is told to be dropped/,
  ],
  [
    'its first job is to be skipped',
    async (here, key) => [await failed(here, key), await here.queue.lane(key).skip()],
    /^job 1 is told to be skipped/,
  ],
  [
    'its first job was deleted',
    async (here, key) => [await alive(here, key), await here.redis.del(here.redisKey('1'))],
    /^its first job 1 is gone/,
  ],
  [
    'a plain worker has completed its first job',
    async (here, key) => {
      await living(here);
      await enqueueLog(here, entries(key, 1));
      const stock = new BullWorker(here.name, async () => 1, {
        connection: { url: here.redisUrl },
      });
      await eventually('it is completed', async () => (await here.queue.getCompletedCount()) === 1);
      await stock.close();
    },
    /^its first job 1 was completed by somebody who is no worker of Toril's/,
  ],
  [
    'its first job has stalled',
    (here, key) => active(here, key, false),
    /^the worker that had job 1 has died or frozen/,
  ],
  [
    'its first job is just delivered',
    (here, key) => active(here, key, true),
    /^job 1 is with a worker, about to begin$/,
  ],
  [
    'somebody keeps a value under its name',
    async (here, key) => [await alive(here, key), await writeItem(cellName(key), '5')],
    /^the cell cannot be used \(FOREIGN_VALUE\)/,
  ],
  [
    'somebody wrote over its cell',
    async (here, key) => [
      await committed(here, key),
      await alive(here, key),
      await writeItem(cellName(key), '5'),
    ],
    /^the cell cannot be used \(FOREIGN_VALUE\): something other than this queue/,
  ],
  [
    'somebody keeps something in the place of its lock',
    async (here, key) => [await alive(here, key), await writeItem(lockName(key), '5', 7)],
    /^the cell cannot be used \(FOREIGN_VALUE\): the item "toril:lock:/,
  ],
  ['its cell is damaged', cell('{"toril":1,'), /^the cell cannot be used \(ENVELOPE_DAMAGED\)/],
  [
    'its cell is of a newer version',
    cell('{"toril":99}'),
    /^the cell cannot be used \(ENVELOPE_NEWER\)/,
  ],
  [
    'its cell is of another queue',
    cell({ queue: 'bull:others' }),
    /^the cell cannot be used \(CELL_OF_ANOTHER_QUEUE\)/,
  ],
  [
    'its cell is of another Redis',
    cell({ dataSet: 'another', token: 8e15 }),
    /^the cell cannot be used \(CELL_OF_ANOTHER_REDIS\)/,
  ],
  [
    'Redis has gone back',
    cell({ token: 8e15 }),
    /^the cell cannot be used \(REDIS_WENT_BACK\): Redis has forgotten that it gave out the number/,
  ],
  [
    'its workers use other servers',
    async (here, key) => [
      await alive(here, key),
      await here.queue.inRedis.servers.replace('elsewhere'),
    ],
    /^the workers use the memcached servers elsewhere, but .* were asked$/,
  ],
];

let away: PrivateServer;
beforeAll(async () => {
  away = await startMemcached();
  await away.kill();
});
afterAll(() => away.stop());

async function said(here: Stage, key: string, memcached = memcachedAddresses()): Promise<string> {
  const inspector = openInspector(here.queue, quickly(memcached));
  onTestFinished(() => inspector.close());
  return why(await inspector.inspect(key)).sentence;
}

/** Numbers of time differ between two looks. */
const untimed = (text: string): string => text.replaceAll(/\d+ (ms|s|min)/g, '#');

describe('a key stands still since', () => {
  test.each(ROWS)('%s', async (_, setting, sentence) => {
    const here = stage({ updates: [...allUpdates, v2, both] });
    const key = here.key('k');
    await setting(here, key);
    const first = await said(here, key);
    expect(first).toMatch(sentence);
    const { stdout } = await torilHere(['why', key, '-q', here.name, '--json']);
    const { sentence: second } = JSON.parse(stdout) as { sentence: string };
    expect(untimed(second)).toBe(untimed(first));
  });

  test('its memcached is away', async () => {
    const here = stage();
    const key = here.key('k');
    await alive(here, key);
    const address = `${away.host}:${away.port}`;
    expect(await said(here, key, [address])).toMatch(
      new RegExp(`^memcached ${address} cannot be used \\(MEMCACHED_UNREACHABLE\\): `),
    );
    const { code, stdout } = await torilHere(['why', key, '-q', here.name, '--memcached', address]);
    expect(code).toBe(1);
    expect(stdout).toContain('go on as soon as it answers');
  });
});
