/** Workers that run each update three times (`verifyUpdates`). */
import { expect, it } from 'vitest';
import { defineUpdate } from '../../src/index.ts';
import { enqueueLog, entries, expectExact, nextEvent, stage } from '../support/workers.ts';
import { log } from '../support/updates.ts';

interface Named {
  readonly key: string;
  list?: number[];
}

const clocked = defineUpdate({
  name: 'clocked',
  key: ({ key }: Named) => key,
  initial: () => ({ at: 0 }),
  apply: () => ({ at: Date.now() }),
});
const greedy = defineUpdate({
  name: 'greedy',
  key: ({ key }: Named) => key,
  initial: () => 0,
  apply: (sum: number, { list = [] }: Named) => sum + (list.pop() ?? 0),
});

it('fails the job of an update that tells the time, and names it', async () => {
  const here = stage({ updates: [clocked, log] });
  await here.worker({ verifyUpdates: true });
  const jobs = await here.queue.enqueueBulk([{ update: clocked, data: { key: here.key('a') } }]);
  const [finished] = await here.finished(jobs);
  expect(finished?.failedReason).toContain('the update "clocked" gave first {"at":');
  expect(await here.cells.get(here.key('a'))).toBeUndefined();
  // Whatever gives the same again, works as ever.
  const logged = await here.finished(await enqueueLog(here, entries(here.key('b'), 20)));
  await expectExact(here, here.key('b'), logged);
});

it('tells of an update that changes the data of its job', async () => {
  const here = stage({ updates: [greedy] });
  const worker = await here.worker({ verifyUpdates: true });
  const told = nextEvent(worker, 'updateChangesData');
  const data = { key: here.key(), list: [1, 2, 3] };
  const jobs = await here.queue.enqueueBulk([{ update: greedy, data }]);
  expect(await told).toEqual({ key: here.key(), jobId: jobs[0].id, name: 'greedy' });
  await here.finished(jobs);
  expect(await here.cells.get(here.key())).toBe(3);
});
