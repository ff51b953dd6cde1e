/** What a process that has lived through beginning a job alone says of it, and when: before somebody takes it for dead. */
import { describe, expect, it } from 'vitest';
import type { Delivery, Deliveries } from '../../../src/jobs/deliveries.ts';
import { lockName } from '../../../src/memcached/item-names.ts';
import { defineUpdate } from '../../../src/updates/update.ts';
import { UpdateRegistry } from '../../../src/updates/update-registry.ts';
import type { Arrival, Settlement } from '../../../src/workers/deliveries/arrival.ts';
import { Intake } from '../../../src/workers/deliveries/intake.ts';
import type { Gate } from '../../../src/workers/gate/gate.ts';
import { WorkerMemory } from '../../../src/workers/gate/worker-memory.ts';
import { GateWorld, KEY } from '../../support/gate-world.ts';

const update = defineUpdate({ name: 'note', key: () => KEY, initial: () => 0, apply: (n) => n });

describe('a start alone that its process has lived through', () => {
  it('is told as soon as the lease is over, not when the delivery ends', async () => {
    const world = new GateWorld();
    const jobs = world.redis();
    const told: string[] = [];
    const losing = defineUpdate({
      name: 'note',
      key: () => KEY,
      initial: () => 0,
      async apply(n: number) {
        world.store.evict(lockName(KEY));
        await new Promise((resolve) => void world.clock.after(400, () => resolve(undefined)));
        return n + 1;
      },
    });
    const worker = world.worker(jobs, {
      ...{ update: losing, leaseMs: 600, patienceMs: 60_000 },
      wrap(lanes) {
        const noteSurvived = lanes.noteSurvived.bind(lanes);
        lanes.noteSurvived = (jobId, tokens) => {
          told.push(`${jobId} survived ${tokens.length}`);
          return noteSurvived(jobId, tokens);
        };
        return lanes;
      },
    });
    const jobId = worker.add('who');
    const job = jobs.get(jobId);
    if (job !== undefined) job.stalls = 1;
    const settled = worker.deliver(jobId, { stalls: 1 }).then(() => void told.push('settled'));
    await world.clock.advance(600);
    expect(told[0]).toBe(`${jobId} survived 1`);
    void worker.gate.close(0);
    await world.clock.until(settled);
  });

  it('is told at the end of each delivery, until the job is decided', async () => {
    const memory = new WorkerMemory();
    const told: (readonly number[])[] = [];
    const endings: Settlement[] = [
      { kind: 'snoozed', delayMs: 5 },
      { kind: 'superseded' }, // it may be applied right now
      { kind: 'returned' },
      { kind: 'decided', outcome: { kind: 'applied', result: '' } },
      { kind: 'returned' },
    ];
    const gate = {
      memory,
      arrive: (_key: string, { settle }: Arrival) => settle(endings.shift() as Settlement),
    } as unknown as Gate;
    const tell = (_job: Delivery, ...more: unknown[]): void =>
      void told.push(more.find(Array.isArray) as readonly number[]);
    const deliveries = {
      complete: tell,
      snooze: tell,
      giveBack: tell,
    } as unknown as Deliveries<Delivery, void>;
    const intake = new Intake<Delivery, void>({
      ...{ gate, deliveries, registry: new UpdateRegistry([update]), clock: new GateWorld().clock },
      ...{ report: () => {}, blockedMs: 1_000 },
    });
    const job = { jobId: 'a', name: 'note', data: {}, lane: KEY, outcome: '', stalls: 1 };
    memory.isolatedStarts.begin('a', 7);
    for (let n = endings.length; n > 0; n--) await intake.handle(job as unknown as Delivery);
    expect(told).toEqual([[7], [], [7], undefined, []]);
  });
});
