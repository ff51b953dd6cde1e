/** What becomes of a transaction that fails where it was not delivered, while nobody has its delivery. */
import { Worker as BullWorker } from 'bullmq';
import { expect, it } from 'vitest';
import { type AnyUpdate, defineTransaction, defineUpdate } from '../../src/index.ts';
import { type Stage, stage } from '../support/workers.ts';

interface Move {
  readonly from: string;
  readonly to: string;
  /** Attempts that fail before one succeeds. */
  readonly failures?: number;
}

/** Milliseconds for which the dead worker's delivery counts as alive. */
const LOCK_MS = 2_000;

/** Somebody who is delivered the queue's next job, and dies with it. */
async function dieWithNextJob(here: Stage): Promise<string | undefined> {
  const doomed = new BullWorker(here.name, undefined, {
    connection: { url: here.redisUrl },
    lockDuration: LOCK_MS,
    autorun: false,
  });
  const job = await doomed.getNextJob('doomed');
  await doomed.close(true);
  return job?.id;
}

it('is called by few, and charged once, when it is delivered again', async () => {
  const calls: number[] = [];
  const move = defineTransaction({
    name: 'move',
    keys: ({ from, to }: Move) => [from, to],
    initial: (): string[] => [],
    apply: ([from, to], { failures = 0 }, { jobId, attempt }) => {
      if (failures > 0) calls.push(attempt);
      if (attempt <= failures) throw new Error(`attempt ${attempt}`);
      return [
        [...from, jobId],
        [...to, jobId],
      ];
    },
  });
  const note = defineUpdate({
    name: 'note',
    key: ({ key }: { key: string }) => key,
    initial: (): string[] => [],
    apply: (value, _, { jobId }) => [...value, jobId],
  });
  const updates: AnyUpdate[] = [move, note];
  const here = stage({ updates });
  const [a, b, c, d] = [here.key('a'), here.key('b'), here.key('c'), here.key('d')];
  const failing = await here.queue.enqueue(move, { from: a, to: b, failures: 1 }, { attempts: 2 });
  expect(await dieWithNextJob(here)).toBe(failing.id);
  for (let workers = 0; workers < 3; workers++) await here.worker({ concurrency: 4 });
  const others = await here.queue.enqueueBulk(
    Array.from({ length: 6 }, () => [
      { update: move, data: { from: c, to: a } },
      { update: move, data: { from: b, to: d } },
      { update: note, data: { key: a } },
      { update: note, data: { key: b } },
    ]).flat(),
  );
  const jobs = [failing, ...others];
  const finished = await here.finished(jobs);
  expect(finished.map(({ attemptsMade }) => attemptsMade)).toEqual([2, ...others.map(() => 1)]);
  for (const key of [a, b, c, d]) {
    const its = jobs.filter(({ data }) => Object.values(data).includes(key));
    expect((await here.cells.read(key))?.value).toEqual(its.map(({ id }) => id));
  }
  // One per worker that meets it before it is marked, and its own two attempts; 140 in 4 s before there was a mark.
  expect(calls.at(-1)).toBe(2);
  expect(calls.length).toBeLessThanOrEqual(10);
});
