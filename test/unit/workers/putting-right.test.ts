/** What readers see once a commit was refused: never for long what is not, or no longer, acknowledged. */
import { beforeEach, describe, expect, it } from 'vitest';
import { redisFailed } from '../../../src/errors.ts';
import type { MemoryJobs } from '../../../src/jobs/memory/memory-jobs.ts';
import { defineUpdate } from '../../../src/updates/update.ts';
import { cellName, lockName } from '../../../src/memcached/item-names.ts';
import { gate } from '../../support/gate.ts';
import { type GateWorker, GateWorld, KEY } from '../../support/gate-world.ts';

let world: GateWorld;
let jobs: MemoryJobs;
beforeEach(() => {
  world = new GateWorld();
  jobs = world.redis();
});

const loseAll = (): void => {
  world.evict();
  world.store.evict(lockName(KEY));
};

/**
 * One worker restores the lost cell and is slow; memcached loses cell and lock, another one commits, memcached
 * loses the cell once more, and the slow one commits by an `add`, which lands: the last commit is the copy's.
 */
async function staleCommit(
  slow: GateWorker,
  open: () => void,
  fast = world.worker(jobs),
): Promise<void> {
  await fast.enqueue('a');
  loseAll();
  const jobId = slow.add('b');
  void slow.deliver(jobId);
  await world.clock.advance(10);
  loseAll();
  await fast.enqueue('c');
  world.evict();
  open();
}

const slowly = (): { update: ReturnType<typeof defineUpdate>; open: () => void } => {
  const { opened, open } = gate();
  const update = defineUpdate({
    name: 'note',
    key: () => KEY,
    initial: (): string[] => [],
    apply: async (value: string[], { who }: { who: string }) => {
      await opened;
      return [...value, who];
    },
  });
  return { update: update as ReturnType<typeof defineUpdate>, open };
};

const copyValue = (): unknown => {
  const { value } = jobs.inspect(KEY, 0).copy;
  return typeof value === 'object' ? JSON.parse(value.json) : value;
};

describe('a commit that Redis refuses', () => {
  it('does not stay in the cell, also if the lane is empty by then', async () => {
    const { update, open } = slowly();
    const slow = world.worker(jobs, { update });
    await staleCommit(slow, open);
    await world.clock.until(slow.gate.atRest());
    expect(slow.events('acknowledgementRefused')).toHaveLength(1);
    expect(slow.events('cellRestored')).toContainEqual({ key: KEY, found: 'stale' });
    expect(copyValue()).toEqual(['a', 'b', 'c']);
    expect(world.cell()?.value).toEqual(['a', 'b', 'c']);
  });

  it('is replaced by what the copy says, so that a Redis that goes back behind it is noticed', async () => {
    const { update, open } = slowly();
    const slow = world.worker(jobs, { update });
    await staleCommit(slow, open);
    await world.clock.until(slow.gate.atRest());
    const { token, watermark } = jobs.inspect(KEY, 0).copy;
    expect(world.cell()).toMatchObject({ token, base: token, watermark, jobs: '' });
    expect((await world.worker(jobs).enqueue('d')).kind).toBe('decided');
    expect(world.cell()).toMatchObject({ base: token, value: ['a', 'b', 'c', 'd'] });
  });

  it('is taken away where no copies are kept', async () => {
    const { update, open } = slowly();
    const durableCopies = false;
    const slow = world.worker(jobs, { update, durableCopies });
    await staleCommit(slow, open, world.worker(jobs, { durableCopies }));
    await world.clock.until(slow.gate.atRest());
    expect(copyValue()).toBe('not-kept');
    expect(world.cell()).toBeUndefined();
  });

  it('does not stay in the cell of a worker that closes meanwhile, either', async () => {
    const { update, open } = slowly();
    const slow = world.worker(jobs, { update });
    await staleCommit(slow, () => {});
    const closed = slow.gate.close(1_000);
    open();
    await world.clock.until(closed);
    expect(slow.events('acknowledgementRefused')).toHaveLength(1);
    expect(world.cell()?.value).toEqual(['a', 'b', 'c']);
  });

  it('is looked at again when Redis is there again, if its answer is missing', async () => {
    const { update, open } = slowly();
    let refusing = false;
    const slow = world.worker(jobs, {
      update,
      blockedMs: 50,
      wrap: (lanes) => {
        const acknowledge = lanes.acknowledge.bind(lanes);
        lanes.acknowledge = (commit) =>
          refusing
            ? Promise.reject(redisFailed(new Error('Connection is closed.')))
            : acknowledge(commit);
        return lanes;
      },
    });
    refusing = true;
    await staleCommit(slow, open);
    await world.clock.advance(120);
    expect(slow.events('unavailable').length).toBeGreaterThan(0);
    refusing = false;
    await world.clock.until(slow.gate.atRest());
    expect(world.cell()?.value).toEqual(['a', 'b', 'c']);
  });
});

describe('a stale cell that somebody else left', () => {
  /** As it was after the first commit. */
  async function oldCell(): Promise<GateWorker> {
    const worker = world.worker(jobs);
    await worker.enqueue('a');
    const old = world.store.peek(cellName(KEY));
    await worker.enqueue('b');
    world.store.put(cellName(KEY), old?.value as Buffer, old?.flags);
    expect(world.cell()?.value).toEqual(['a']);
    return worker;
  }

  it('is put right by a visit, without any job', async () => {
    const worker = await oldCell();
    worker.gate.visit(KEY);
    await world.clock.until(worker.gate.atRest());
    expect(world.cell()?.value).toEqual(['a', 'b']);
  });

  it('is put right before anything else, though its next update is slow', async () => {
    await oldCell();
    const { update, open } = slowly();
    const slow = world.worker(jobs, { update });
    const waiting = slow.deliver(slow.add('c'));
    await world.clock.advance(10);
    expect(world.cell()?.value).toEqual(['a', 'b']);
    open();
    await world.clock.until(waiting);
    expect(world.cell()?.value).toEqual(['a', 'b', 'c']);
  });

  it('gives way to nothing if memcached has no room for the right one', async () => {
    const worker = await oldCell();
    const take = jobs.take.bind(jobs);
    jobs.take = (request) => {
      world.store.full(true); // the lease is held by then
      return take(request);
    };
    worker.gate.visit(KEY);
    await world.clock.advance(100);
    expect(world.cell()).toBeUndefined();
  });

  it('is left to whoever changes it meanwhile', async () => {
    const worker = await oldCell();
    const changes = jobs.take.bind(jobs);
    let other: Buffer | undefined;
    jobs.take = (request) => {
      const taken = changes(request);
      if (other === undefined) {
        other = Buffer.from('by somebody else');
        world.store.put(cellName(KEY), other);
      }
      return taken;
    };
    worker.gate.visit(KEY);
    await world.clock.advance(100);
    expect(world.store.peek(cellName(KEY))?.value.toString()).toBe('by somebody else');
  });

  it('is no reason to write if it is right, or only missing', async () => {
    const worker = world.worker(jobs);
    await worker.enqueue('a');
    const { cas } = world.store.peek(cellName(KEY)) ?? {};
    worker.gate.visit(KEY);
    await world.clock.until(worker.gate.atRest());
    expect(world.store.peek(cellName(KEY))?.cas).toBe(cas);
    world.evict();
    worker.gate.visit(KEY);
    await world.clock.until(worker.gate.atRest());
    expect(world.cell()).toBeUndefined();
  });
});
