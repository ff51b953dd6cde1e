/** Jobs of several keys that meet cells which run ahead of their copies, or may still be written to by others. */
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { type CellContent, cellItem, decodeItem } from '../../../src/cells/envelope.ts';
import { COPY_GRACE_MS } from '../../../src/jobs/lanes.ts';
import type { MemoryJobs } from '../../../src/jobs/memory/memory-jobs.ts';
import type { MemoryLanes } from '../../../src/jobs/memory/memory-lanes.ts';
import { cellName } from '../../../src/memcached/item-names.ts';
import type { Item, NewItem } from '../../../src/memcached/server.ts';
import { defineTransaction } from '../../../src/updates/transaction.ts';
import { type AnyUpdate, defineUpdate } from '../../../src/updates/update.ts';
import { type GateWorker, GateWorld, KEY } from '../../support/gate-world.ts';

const OTHER = 'other';
const BOTH = [KEY, OTHER] as const;

/** Appends `who` to the values of both keys. */
const note: AnyUpdate = defineTransaction({
  name: 'note',
  keys: (_data: { who: string }) => BOTH,
  initial: (): string[] => [],
  apply: (values, { who }) => values.map((value) => [...value, who]) as [string[], string[]],
});

let world: GateWorld;
let jobs: MemoryJobs;
beforeEach(() => {
  world = new GateWorld();
  jobs = world.redis();
});

const workerOf = (redis: MemoryJobs): GateWorker =>
  world.worker(redis, { update: note, blockedMs: 50 });

function copyOf(redis: MemoryJobs, key: string): unknown {
  const { value } = redis.inspect(key, 0).copy;
  return typeof value === 'object' ? JSON.parse(value.json) : value;
}

function present(key: string): Item {
  const item = world.store.peek(cellName(key));
  if (item === undefined) throw new Error(`no cell of ${key}`);
  return item;
}

/** A cell as the commit of one key would leave it that nobody has acknowledged. */
function commitAhead(key: string, who: string): NewItem {
  const { copy, dataSet } = jobs.inspect(key, 0);
  const content: CellContent = decodeItem(present(key));
  const before = content.kind === 'envelope' ? (content.envelope.value as string[]) : [];
  return cellItem({
    valueJson: JSON.stringify([...before, who]),
    token: jobs.drawToken(),
    base: copy.token,
    watermark: copy.watermark,
    ...{ queue: 'bull:q', dataSet: dataSet.id, jobs: '', decisions: new Map(), expireMs: 0 },
  });
}

it('acknowledge what has landed in a cell before they build on it: readers have seen it', async () => {
  const worker = workerOf(jobs);
  await worker.enqueue('one', BOTH);
  const { value, flags } = commitAhead(OTHER, 'landed');
  world.store.put(cellName(OTHER), value, flags);
  expect((await worker.enqueue('two', BOTH)).kind).toBe('decided');
  expect(world.cell()?.value).toEqual(['one', 'two']);
  expect(world.cell(OTHER)?.value).toEqual(['one', 'landed', 'two']);
  expect(copyOf(jobs, OTHER)).toEqual(['one', 'landed', 'two']);
});

it.each([0, 1])(
  'let their copies go once the cells are written, if values expire after %d s',
  async (expireSeconds) => {
    const settled = vi.spyOn(jobs.joint, 'settled');
    const update: AnyUpdate = { ...note, ...(expireSeconds > 0 && { expireSeconds }) };
    const worker = world.worker(jobs, { update, blockedMs: 50 });
    expect((await worker.enqueue('one', BOTH)).kind).toBe('decided');
    const { token } = jobs.inspect(OTHER, 0).copy;
    expect(settled).toHaveBeenCalledExactlyOnceWith(token, expireSeconds === 0);
    await world.clock.advance(expireSeconds * 1_000 + COPY_GRACE_MS + 1);
    expect(jobs.inspect(OTHER, 0).copy.token).toBe(expireSeconds > 0 ? 0 : token);
  },
);

it.each(BOTH)(
  'close the cell of %s, whose lane has lost a job, to the commit of that job',
  async (key) => {
    const worker = workerOf(jobs);
    await worker.enqueue('one', BOTH);
    const removed = worker.add('removed', [key]);
    const { cas } = present(key);
    jobs.remove(removed);
    jobs.take({ key, cell: undefined, arrivals: [], jobsMax: 10, dataMax: 1_000 }); // which drops it
    const { joint } = jobs;
    const acknowledge = joint.acknowledge.bind(joint);
    const late: string[] = [];
    joint.acknowledge = (commit) => {
      const answer = acknowledge(commit);
      // Its holder had frozen just before it sent this.
      late.push(world.store.replace(cellName(key), commitAhead(key, 'removed'), cas).kind);
      return answer;
    };
    expect((await worker.enqueue('two', BOTH)).kind).toBe('decided');
    expect(late).toEqual(['refused']);
    expect(world.cell(key)?.value).toEqual(['one', 'two']);
  },
);

it('leave no key in hand whose job they were taken with, but did not decide', async () => {
  const worker = workerOf(jobs);
  const first = worker.add('one', BOTH);
  worker.add('two', [KEY, 'third']);
  jobs.paused = true; // as a limited queue: only what was delivered is applied
  expect((await world.clock.until(worker.deliver(first))).kind).toBe('decided');
  await world.clock.advance(1);
  expect(jobs.inHand('third')).toBeUndefined(); // else whoever takes the second one waits for half a second
});

it('are never acknowledged for one of their keys by a Redis that has forgotten them', async () => {
  await workerOf(jobs).enqueue('one', BOTH);
  const replica = world.redis();
  for (const key of BOTH) {
    const { copy, dataSet } = jobs.inspect(key, 0);
    replica.overwriteCopy({
      ...{ key, base: 0, token: copy.token, watermark: copy.watermark, value: copy.value },
      ...{ dataSet: dataSet.id, decided: 0, expireMs: 0, decisions: new Map(), paceMs: 0 },
    } as Parameters<MemoryJobs['overwriteCopy']>[0]);
  }
  await world.clock.advance(1_000);
  await workerOf(jobs).enqueue('forgotten', BOTH);
  world.evict(OTHER);
  const worker = workerOf(replica);
  await world.clock.advance(1_000);
  expect((await world.clock.until(worker.deliver(worker.add('after', BOTH)))).kind).toBe('snoozed');
  expect(new Set(worker.events('laneHeld').map(({ code }) => code))).toEqual(
    new Set(['REDIS_WENT_BACK']),
  );
  expect(BOTH.map((key) => copyOf(replica, key))).toEqual([['one'], ['one']]);
});

describe('a cell that a commit of several keys has not reached yet', () => {
  const THIRD = 'third';
  const ofOne: AnyUpdate = defineUpdate({
    name: 'note',
    key: () => OTHER,
    initial: (): string[] => [],
    apply: (value: string[], { who }: { who: string }) => [...value, who],
  });
  const ofTwo: AnyUpdate = { ...note, keys: () => [OTHER, THIRD] } as AnyUpdate;

  /** A worker that comes to the key by it. */
  const comesBy = {
    'a visit': async (): Promise<GateWorker> => {
      const worker = workerOf(jobs);
      await world.clock.until(worker.gate.bringUp(OTHER));
      return worker;
    },
    'a job of that key': async (): Promise<GateWorker> => applied(ofOne, [OTHER]),
    'a transaction': async (): Promise<GateWorker> => applied(ofTwo, [OTHER, THIRD]),
  };
  async function applied(update: AnyUpdate, keys: readonly string[]): Promise<GateWorker> {
    const worker = world.worker(jobs, { update });
    worker.add('c', keys.length === 1 ? OTHER : keys);
    worker.gate.visit(OTHER);
    await world.clock.until(worker.gate.atRest());
    expect(jobs.inspect(OTHER, 0).length).toBe(0);
    return worker;
  }
  const cases = Object.keys(comesBy).flatMap((name) =>
    (['missing', 'stale'] as const).map((found) => [name as keyof typeof comesBy, found] as const),
  );

  /** Calls it once the driver's commit is acknowledged, before it writes a cell. */
  function driver(meanwhile: () => Promise<void>): GateWorker {
    const wrap = (lanes: MemoryLanes): MemoryLanes => {
      const acknowledge = lanes.acknowledgeJoint.bind(lanes);
      lanes.acknowledgeJoint = async (commit) => {
        const answer = await acknowledge(commit);
        await meanwhile();
        return answer;
      };
      return lanes;
    };
    return world.worker(jobs, { update: note, blockedMs: 50, wrap });
  }

  it.each(cases)('was not lost by memcached: %s finds it %s', async (by, found) => {
    if (found === 'stale') await workerOf(jobs).enqueue('a', BOTH);
    let other: GateWorker | undefined;
    const first = driver(async () => {
      other ??= await comesBy[by]();
    });
    expect((await first.enqueue('b', BOTH)).kind).toBe('decided');
    const value = JSON.stringify(world.cell(OTHER)?.value);
    expect(value).toBe(JSON.stringify(copyOf(jobs, OTHER)));
    expect(value).toContain('b');
    expect([first, other as GateWorker].map((worker) => worker.events('cellRestored'))).toEqual([
      [],
      [],
    ]);
    const { token } = jobs.joint.behind()[0] ?? { token: 0 };
    expect(await world.clock.until(first.gate.behind.isSettled(token))).toBe(true);
    expect(jobs.joint.behind()).toEqual([]);
  });

  it.each(cases)('is restored once it was reached: %s finds it %s', async (by, found) => {
    await workerOf(jobs).enqueue('a', BOTH);
    const before = present(OTHER);
    await workerOf(jobs).enqueue('b', BOTH);
    if (found === 'missing') world.evict(OTHER);
    else world.store.put(cellName(OTHER), before.value, before.flags);
    const other = await comesBy[by]();
    expect(other.events('cellRestored')).toEqual([{ key: OTHER, found }]);
  });
});
