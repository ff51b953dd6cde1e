/** Whoever leaves a lane that has jobs leaves somebody who sees to it: they may all be snoozed, for minutes. */
import { describe, expect, it } from 'vitest';
import { lockName } from '../../../src/memcached/item-names.ts';
import type { MemoryLanes } from '../../../src/jobs/memory/memory-lanes.ts';
import { GateWorld, KEY } from '../../support/gate-world.ts';

/** Some holder who is never heard of again, once the first batch is acknowledged. */
function losingTheLease(world: GateWorld): (lanes: MemoryLanes) => MemoryLanes {
  return (lanes) => {
    const acknowledge = lanes.acknowledge.bind(lanes);
    lanes.acknowledge = async (commit) => {
      const answer = await acknowledge(commit);
      steal(world);
      return answer;
    };
    return lanes;
  };
}

function steal(world: GateWorld): void {
  const ours = world.store.peek(lockName(KEY));
  world.store.evict(lockName(KEY));
  const value = Buffer.from(String(ours?.value ?? 'nobody 60000').replace(/^\S+/, 'somebody'));
  world.store.add(lockName(KEY), { value, flags: ours?.flags ?? 0, ttlSeconds: 0 });
}

describe('a combiner that loses its lease behind a batch', () => {
  const options = { batchJobsMax: 1, batchesPerLease: 1 };

  it('has the next job delivered, if none waits here', async () => {
    const world = new GateWorld();
    const worker = world.worker(world.redis(), { ...options, wrap: losingTheLease(world) });
    const [one, two] = [worker.add('one'), worker.add('two')];
    expect((await world.clock.until(worker.deliver(one))).kind).toBe('decided');
    await world.clock.until(worker.gate.atRest());
    expect(world.cell()?.value).toEqual(['one']);
    expect(worker.woken).toEqual([two]);
  });

  it('leaves it to the job that waits here, which comes again soon', async () => {
    const world = new GateWorld();
    const worker = world.worker(world.redis(), { ...options, wrap: losingTheLease(world) });
    const [one, two] = [worker.add('one'), worker.add('two')];
    const later = worker.deliver(two);
    expect((await world.clock.until(worker.deliver(one))).kind).toBe('decided');
    expect((await world.clock.until(later)).kind).toBe('snoozed');
    await world.clock.until(worker.gate.atRest());
    expect(worker.woken).toEqual([]);
  });

  it('wakes nobody in a lane that is empty', async () => {
    const world = new GateWorld();
    const worker = world.worker(world.redis());
    expect((await worker.enqueue('one')).kind).toBe('decided');
    await world.clock.advance(1_000);
    expect(worker.woken).toEqual([]);
  });
});
