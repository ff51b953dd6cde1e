/** An operator's word on jobs of several keys: whatever is done is done at all their keys. */
import { describe, expect, test } from 'vitest';
import { defineTransaction } from '../../src/updates/transaction.ts';
import { defineUpdate } from '../../src/updates/update.ts';
import { why } from '../../src/jobs/reports/why.ts';
import { cellName } from '../../src/memcached/item-names.ts';
import { removeItem } from '../support/items.ts';
import { eventually } from '../support/memcached.ts';
import type { Worker } from '../../src/workers/worker.ts';
import { nextEvent, type Stage, stage } from '../support/workers.ts';
import { torilHere } from './cli-runner.ts';

interface PairData {
  readonly keys: readonly [string, string];
  /** Attempts that fail. */
  readonly failures?: number;
}

const add = defineUpdate({
  name: 'add',
  key: ({ key }: { key: string }) => key,
  initial: (): string[] => [],
  apply: (log: string[], _, { jobId }) => [...log, jobId],
});
const pairThat = (onExhausted: 'hold' | 'cascade') =>
  defineTransaction({
    name: `pair-${onExhausted}`,
    keys: ({ keys }: PairData) => keys,
    initial: (): string[] => [],
    apply: ([a, b], { failures = 0 }, { jobId, attempt }) => {
      if (attempt <= failures) throw new Error(`attempt ${attempt}`);
      return [
        [...a, jobId],
        [...b, jobId],
      ];
    },
    onExhausted,
  });
const [pair, cascading] = [pairThat('hold'), pairThat('cascade')];
const impatient = defineTransaction({
  name: 'impatient',
  keys: ({ keys }: PairData) => keys,
  initial: (): string[] => [],
  apply: (values) => values,
  onBlocked: { failAfterMs: 30_000 },
});
const updates = [add, pair, cascading, impatient];

const CASCADED = 'an earlier job of the same key failed for good';

interface Scene {
  readonly here: Stage;
  readonly a: string;
  readonly b: string;
}

const scene = (): Scene => {
  const here = stage({ updates });
  return { here, a: here.key('a'), b: here.key('b') };
};
const valueOf = async ({ here }: Scene, key: string): Promise<unknown> =>
  (await here.cells.read(key))?.value;

/** Job 1 holds two lanes, in which jobs 2 and 3 wait. */
async function held({ here, a, b }: Scene): Promise<Worker> {
  const worker = await here.worker();
  await here.queue.enqueue(pair, { keys: [a, b], failures: 1 });
  await here.queue.enqueue(add, { key: a });
  await here.queue.enqueue(add, { key: b });
  await eventually('it is held', async () => (await here.queue.laneCounts()).held === 2);
  await eventually('BullMQ knows', async () => (await here.queue.getFailedCount()) === 1);
  return worker;
}

const empty = ({ here }: Scene): Promise<void> =>
  eventually('all is done', async () => (await here.queue.laneCounts()).keys === 0);

/** What is kept with job 4, as if it had waited for a minute when a worker died. */
async function longAgo({ here }: Scene): Promise<string> {
  const [sequence, sinceMs, failAfterMs] = (
    (await here.redis.hget(here.redisKey('4'), 'torilBlocked')) ?? ''
  ).split(' ');
  return `${sequence} ${Number(sinceMs) - 60_000} ${failAfterMs}`;
}

test("a transaction's other keys are told of its job in a lane, and of its commit at each key", async () => {
  const at = scene();
  const { here, a, b } = at;
  await here.queue.enqueue(pair, { keys: [a, b] });
  await here.queue.enqueue(add, { key: b });
  expect((await torilHere(['lane', b, '-q', here.name])).stdout).toContain(`pair-hold with ${a} `);
  await here.worker({ history: 'on' });
  await empty(at);
  for (const key of [a, b]) {
    const { entries } = await here.queue.inRedis.history.latest(key, 5);
    expect(entries.at(-1)).toMatchObject({ key, jobs: [{ jobId: '1', keys: [a, b] }] });
  }
  expect((await torilHere(['lane', a, '-q', here.name])).stdout).toContain(`, 1 job, with ${b} `);
});

describe('a transaction that holds its lanes', () => {
  test.each([
    ['retry', ['1', '2'], ['1', '3']],
    ['skip', ['2', '1'], ['3', '1']],
    ['drop', ['2'], ['3']],
  ] as const)('is told to %s at one of its keys, and does so at all', async (what, atA, atB) => {
    const at = scene();
    const { here, a, b } = at;
    await held(at);
    const { lanes } = await here.queue.lanes({ state: 'held' });
    expect(lanes.map(({ jobId, keys }) => [jobId, keys])).toEqual([
      ['1', [a, b]],
      ['1', [a, b]],
    ]);
    const said = await torilHere(['lane', b, '-q', here.name, `--${what}`, '--as', 'ada']);
    expect(said).toMatchObject({ code: 0 });
    expect(said.stderr).toContain(`${a}, ${b}`);
    await empty(at);
    expect([await valueOf(at, a), await valueOf(at, b)]).toEqual([atA, atB]);
    const [act] = (await here.queue.audit.read({ key: a })).acts;
    expect(act).toMatchObject({
      ...{ who: 'ada', what, key: b, jobId: '1', keys: [a, b], end: { kind: 'done' } },
    });
  });

  test('is not told at a lane that only waits for it: where it is told, it says', async () => {
    const at = scene();
    const { here, a, b } = at;
    const c = here.key('c');
    await held(at);
    await here.queue.enqueue(pair, { keys: [c, b] });
    const said = await torilHere(['lane', c, '-q', here.name, '--drop']);
    expect(said).toMatchObject({ code: 4, stdout: '' });
    expect(said.stderr).toContain(`which has not failed, but waits for the lane of "${b}"`);
    expect(said.stderr).not.toContain('go on');
    expect((await here.queue.lane(a).report()).heldBy).toBe('1');
  });

  test('is one of many that are dropped at once, and once', async () => {
    const at = scene();
    const { here, a, b } = at;
    await held(at);
    const many = ['lanes', '-q', here.name, '--held', '--drop'];
    const dry = await torilHere([...many, '--dry-run']);
    expect(dry.stdout).toBe(`would drop job 1 of ${a}, ${b}\n`);
    expect(await torilHere(many)).toMatchObject({
      stdout: `drop job 1 of ${a}, ${b}\n`,
      stderr: '',
    });
    await empty(at);
    expect((await here.queue.audit.read()).acts).toMatchObject([{ what: 'drop', keys: [a, b] }]);
  });

  test('fails those that wait at any of its keys, if it cascades', async () => {
    const at = scene();
    const { here, a, b } = at;
    const c = here.key('c');
    await here.queue.enqueue(cascading, { keys: [a, b], failures: 1 });
    await here.queue.enqueue(add, { key: b });
    await here.queue.enqueue(cascading, { keys: [a, c] });
    await here.queue.enqueue(add, { key: c });
    await here.worker();
    await empty(at);
    const reasons = await Promise.all(
      ['1', '2', '3', '4'].map(async (id) => {
        await eventually('it is finished', async () => {
          const state = await (await here.queue.getJob(id))?.getState();
          return state === 'failed' || state === 'completed';
        });
        return (await here.queue.getJob(id))?.failedReason?.split(',')[0];
      }),
    );
    expect(reasons).toEqual(['attempt 1', CASCADED, CASCADED, undefined]);
    expect([await valueOf(at, a), await valueOf(at, c)]).toEqual([undefined, ['4']]);
  });
});

test('a transaction that may not wait for ever says when it fails, and the time counts on in another worker', async () => {
  const at = scene();
  const { here, a, b } = at;
  const worker = await held(at);
  const c = here.key('c');
  const job = await here.queue.enqueue(impatient, { keys: [c, b] });
  await eventually('it waits', async () => {
    const { state } = await here.queue.lane(c).report();
    return state.kind === 'other-lane' && state.failsInMs !== undefined;
  });
  const { sentence, at: where } = why(await here.queue.lane(c).report());
  expect(sentence).toMatch(
    /^impatient \(job 4\) waits for \S+-b, where job 1 \(pair-hold\) and 1 more are before it since .*, and fails in [12]\d s; \S+-b: held by job 1/,
  );
  expect(where).toBe(b);
  await worker.close();
  await here.redis.hset(here.redisKey('4'), 'torilBlocked', await longAgo(at));
  await here.worker();
  const [failed] = await here.finished([job]);
  expect(failed?.failedReason).toMatch(/^it has waited at "\S+-c" for [6-9]\d{4} ms/);
  expect((await here.queue.lane(a).report()).heldBy).toBe('1');

  // Tried again, it begins to wait anew.
  await failed?.retry('failed');
  await eventually('it waits again', async () => {
    const { state } = await here.queue.lane(c).report();
    return state.kind === 'other-lane' && (state.failsInMs ?? 0) > 0;
  });
});

test('a transaction that is missing in one of its lanes is shown, and dropped', async () => {
  const at = scene();
  const { here, a, b } = at;
  await here.queue.enqueue(pair, { keys: [a, b] });
  await here.queue.enqueue(add, { key: a });
  await here.redis.zrem(here.ownKey(`lane:${b}`), '1');
  const worker = here.startWorker();
  expect(await nextEvent(worker, 'laneHeld')).toMatchObject({ key: a, code: 'LANES_APART' });
  const { state } = await here.queue.lane(a).report();
  expect(state).toEqual({ kind: 'lanes-apart', jobId: '1', keys: [a, b], missingIn: b });
  await expect(here.queue.lane(a).skip()).rejects.toMatchObject({ code: 'LANE_NOT_HELD' });
  expect(await here.queue.lane(a).drop()).toBe('1');
  await empty(at);
  expect(await valueOf(at, a)).toEqual(['2']);
  await eventually('it failed', async () => (await here.queue.getFailedCount()) === 1);
  expect((await here.queue.getJob('1'))?.failedReason).toMatch(/^an operator dropped this job/);
});

describe('a commit of several keys that Redis has forgotten', () => {
  /** Job 2 is in both cells, and in no copy; job 3 waits. */
  async function forgotten({ here, a, b }: Scene): Promise<void> {
    const worker = await here.worker();
    await here.finished([await here.queue.enqueue(pair, { keys: [a, b] })]);
    const copies = [a, b].map((key) => here.ownKey(`copy:${key}`));
    const before = await Promise.all(copies.map((copy) => here.redis.hgetall(copy)));
    await here.finished([await here.queue.enqueue(pair, { keys: [a, b] })]);
    await worker.close();
    for (const [at, copy] of copies.entries()) {
      await here.redis.del(copy);
      await here.redis.hset(copy, before[at] ?? {});
    }
    await here.queue.enqueue(add, { key: a });
  }

  test.each([
    ['copy', ['1', '3'], ['1']],
    ['cell', ['1', '2', '3'], ['1', '2']],
  ] as const)('is settled at all of them by --trust %s of one', async (which, atA, atB) => {
    const at = scene();
    const { here, a, b } = at;
    await forgotten(at);
    const said = await torilHere(['lane', b, '-q', here.name, '--trust', which]);
    expect(said).toMatchObject({ code: 0 });
    expect(said.stderr).toContain(`${b}, ${a} are settled together`);
    expect((await here.queue.audit.read({ key: a })).acts).toMatchObject([
      { what: `trust-${which}`, key: b, keys: [b, a] },
    ]);
    await here.worker();
    await empty(at);
    await here.queue.enqueue(add, { key: b }); // restores the cell, if it was deleted
    await empty(at);
    expect([await valueOf(at, a), await valueOf(at, b)]).toEqual([atA, [...atB, '4']]);
  });

  test('is not taken from one cell where another has lost it', async () => {
    const at = scene();
    const { here, a, b } = at;
    await forgotten(at);
    expect(await removeItem(cellName(b))).toBe(true);
    const said = await torilHere(['lane', a, '-q', here.name, '--trust', 'cell']);
    expect(said.stderr).toContain('error LANES_APART: ');
    expect((await here.queue.lane(a).report()).copy).toEqual(['1']);
  });
});

describe('a worker that does not know a transaction', () => {
  test('leaves it alone, and all that is behind it, until one comes that does', async () => {
    const at = scene();
    const { here, a, b } = at;
    const ignorant = here.startWorker({ updates: [add] });
    const unknown = nextEvent(ignorant, 'updateUnknown');
    await here.queue.enqueue(add, { key: a });
    await here.queue.enqueue(pair, { keys: [a, b] });
    await here.queue.enqueue(add, { key: a });
    await here.queue.enqueue(add, { key: b });
    await unknown;
    await eventually('the first is done', async () => (await here.queue.getCompletedCount()) === 1);
    const lengths = [a, b].map(async (key) => (await here.queue.lane(key).report()).length);
    expect(await Promise.all(lengths)).toEqual([2, 2]);
    await here.worker();
    await empty(at);
    expect([await valueOf(at, a), await valueOf(at, b)]).toEqual([
      ['1', '2', '3'],
      ['2', '4'],
    ]);
  });

  test("carries out an operator's word at all its keys", async () => {
    const at = scene();
    const { here, a, b } = at;
    const knowing = await here.worker();
    await here.queue.enqueue(pair, { keys: [a, b], failures: 1 });
    await here.queue.enqueue(add, { key: b });
    await eventually('it is held', async () => (await here.queue.getFailedCount()) === 1);
    await knowing.close();
    await here.worker({ updates: [add] });
    await here.queue.lane(a).drop();
    await empty(at);
    expect([await valueOf(at, a), await valueOf(at, b)]).toEqual([undefined, ['2']]);
  });
});
