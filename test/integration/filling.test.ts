/** A worker fills its free slots in few calls, and holds no job that it does not work on. */
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { Worker } from '../../src/index.ts';
import { SlotFiller } from '../../src/jobs/slot-filler.ts';
import { eventually } from '../support/memcached.ts';
import { enqueueLog, type Stage, stage } from '../support/workers.ts';

/** Free slots for which jobs were fetched, call by call. */
function slotsFilled(afterwards: () => void = () => undefined): number[] {
  const slots: number[] = [];
  const fill = SlotFiller.prototype.fill;
  const spy = vi.spyOn(SlotFiller.prototype, 'fill').mockImplementation(async function (
    this: SlotFiller,
    token,
    next,
  ) {
    slots.push(1 + next.length);
    const first = await fill.call(this, token, next);
    afterwards();
    return first;
  });
  onTestFinished(() => spy.mockRestore());
  return slots;
}

/** Jobs that went back from active to waiting. */
async function wentBack({ redis, redisKey }: Stage): Promise<number> {
  const events = await redis.xrange(redisKey('events'), '-', '+');
  return events.filter(
    ([, fields]) => fields.join(' ').includes('event waiting') && fields.includes('active'),
  ).length;
}

const differentKeys = (here: Stage, count: number, takesMs: number) =>
  Array.from({ length: count }, (_, n) => ({ key: here.key(n), n, takesMs }));

describe('a worker with free slots', () => {
  it('has them filled together, and each job is begun', async () => {
    const here = stage();
    const slots = slotsFilled();
    const jobs = await enqueueLog(here, differentKeys(here, 200, 20));
    await here.worker({ concurrency: 20 });
    expect(await here.finished(jobs)).toHaveLength(200);
    expect(slots[0]).toBe(20);
    expect(slots.length).toBeLessThan(40);
    expect(await wentBack(here)).toBe(0);
  });

  it.each([
    ['paused', (worker: Worker) => worker.pause(true), 19],
    ['closed', (worker: Worker) => worker.close(), 20], // the one that BullMQ had already, too
  ])(
    'gives back what was fetched for slots that are not filled, when it is %s',
    async (_, stop, back) => {
      const here = stage();
      let stopping: Promise<void> | undefined;
      const first = await here.worker({ concurrency: 20, autorun: false });
      slotsFilled(() => {
        stopping ??= stop(first);
      });
      const jobs = await enqueueLog(here, differentKeys(here, 100, 20));
      void first.run();
      await eventually('it stops', () => stopping !== undefined);
      await stopping;
      await eventually('nothing is active', async () => (await here.queue.getActiveCount()) === 0);
      expect(await wentBack(here)).toBe(back);
      await here.worker({ concurrency: 20 });
      const finished = await here.finished(jobs);
      expect(new Set(finished.map((job) => job.attemptsMade))).toEqual(new Set([1]));
    },
  );
});
