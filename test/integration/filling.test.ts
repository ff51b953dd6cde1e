/**
 * A worker fills its free slots in few calls, and holds no job that it does not work on.
 *
 * @module-tag imitation
 */
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { defineUpdate, type Worker } from '../../src/index.ts';
import { TorilBackend } from '../../src/jobs/bullmq/bull-backend.ts';
import { SlotFiller } from '../../src/jobs/bullmq/fast-path/slot-filler.ts';
import { gate } from '../support/gate.ts';
import { eventually } from '../support/memcached.ts';
import { allUpdates, type Entry } from '../support/updates.ts';
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

/** Jobs are not snoozed before they are released. */
function snoozingHeld() {
  const { opened, open } = gate();
  const { snooze } = TorilBackend.prototype;
  const spy = vi.spyOn(TorilBackend.prototype, 'snooze').mockImplementation(async function (
    this: TorilBackend,
    ...args
  ) {
    await opened;
    return snooze.apply(this, args);
  });
  onTestFinished(() => spy.mockRestore());
  return { release: open, count: () => spy.mock.calls.length };
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

  it('begins every job, also where slots whose jobs were snoozed ask again while others are free', async () => {
    const unknown = defineUpdate({
      name: 'unknown to the worker',
      key: ({ key }: Entry) => `${key} of its own`,
      apply: () => 1,
    });
    const here = stage({ updates: [...allUpdates, unknown] });
    const snoozing = snoozingHeld();
    const lastingMs = 60_000; // whatever is not begun lies for longer than the test waits
    await here.worker({
      ...{ updates: allUpdates, concurrency: 100 },
      ...{ lockDuration: lastingMs, stalledInterval: lastingMs, blockedMs: lastingMs },
    });
    await here.queue.enqueueBulk(
      differentKeys(here, 10, 0).map((data) => ({ update: unknown, data })),
    );
    await eventually('all of them are about to be snoozed', () => snoozing.count() === 10);
    const adding = enqueueLog(here, differentKeys(here, 400, 1));
    snoozing.release();
    expect(await here.finished(await adding, 10_000)).toHaveLength(400);
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
      const starts = async (): Promise<Set<number>> => {
        const waiting = await here.queue.getWaiting();
        return new Set(waiting.map((job) => job.attemptsStarted));
      };
      // What the worker has never begun was not started.
      if (_ === 'paused') expect(await starts()).toEqual(new Set([0]));
      await here.worker({ concurrency: 20 });
      const finished = await here.finished(jobs);
      expect(new Set(finished.map((job) => job.attemptsMade))).toEqual(new Set([1]));
    },
  );

  it('starts each job once beside a job scheduler, whose next job is added in between', async () => {
    const here = stage();
    const template = { name: 'log', data: { key: here.key('scheduled'), n: 0 } };
    await here.queue.upsertJobScheduler('s', { every: 60_000 }, template);
    const jobs = await enqueueLog(here, differentKeys(here, 40, 5));
    await here.worker({ concurrency: 16 });
    const finished = await here.finished(jobs);
    expect(new Set(finished.map((job) => job.attemptsStarted))).toEqual(new Set([1]));
    expect(await wentBack(here)).toBe(0);
  });

  it('starts each job once where slots become free while the queue is found empty', async () => {
    const here = stage();
    await here.worker({ concurrency: 8 });
    const jobs = [];
    for (let round = 0; round < 30; round++)
      jobs.push(...(await enqueueLog(here, differentKeys(here, 1 + (round % 12), round % 3))));
    const finished = await here.finished(jobs);
    expect(new Set(finished.map((job) => job.attemptsStarted))).toEqual(new Set([1]));
    expect(await wentBack(here)).toBe(0);
  });
});
