/** Values under a key that Toril did not write. */
import { type Job } from 'bullmq';
import { describe, expect, it } from 'vitest';
import { type AnyUpdate, defineUpdate } from '../../src/index.ts';
import { CELL_FLAGS } from '../../src/cells/envelope.ts';
import { removeItem, writeItem } from '../support/items.ts';
import { enqueueLog, entries, expectExact, nextEvent, stage } from '../support/workers.ts';

const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );

describe('a value that Toril did not write', () => {
  it('holds its lane until it is deleted', async () => {
    const here = stage();
    const key = here.key();
    await writeItem(key, 'mine');
    const jobs = await enqueueLog(here, entries(key, 3));
    const worker = here.startWorker();
    expect(await nextEvent(worker, 'laneHeld')).toMatchObject({ key, code: 'FOREIGN_VALUE' });
    expect(await failure(here.cells.get(key))).toMatchObject({ code: 'FOREIGN_VALUE' });
    await removeItem(key);
    const finished = await here.finished(jobs);
    expect(await expectExact(here, key, finished)).toEqual([0, 1, 2]);
    expect(finished.map((job) => job.attemptsMade)).toEqual([1, 1, 1]);
  });

  const adopting = (adopt: (foreign: Buffer) => number): AnyUpdate =>
    defineUpdate({
      name: 'adding',
      key: ({ key }: { key: string; by: number }) => key,
      initial: () => 0,
      apply: (sum: number, { by }) => sum + by,
      adopt,
    });

  it('is taken over by an update that knows how', async () => {
    const update = adopting((foreign) => Number(foreign.toString()));
    const here = stage({ updates: [update] });
    await writeItem(here.key(), '40');
    await here.worker();
    await here.finished([await here.queue.enqueue(update, { key: here.key(), by: 2 })]);
    expect(await here.cells.get(here.key())).toBe(42);
  });

  it.each([
    ['undefined', () => undefined],
    ['NaN', () => Number.NaN],
    ['a Date', () => new Date()],
    [
      'an error',
      () => {
        throw new Error('cannot read it');
      },
    ],
  ])('holds its lane if what was adopted is %s', async (_, adopt) => {
    const update = adopting(adopt as unknown as () => number);
    const here = stage({ updates: [update] });
    await writeItem(here.key(), '40');
    const job = await here.queue.enqueue(update, { key: here.key(), by: 2 });
    const worker = here.startWorker();
    expect(await nextEvent(worker, 'laneHeld')).toMatchObject({
      code: 'FOREIGN_VALUE',
      reason: expect.stringMatching(/"adopt" of the update "adding"/),
    });
    await removeItem(here.key());
    await here.finished([job]);
  });

  it('holds its lane also if it was written over a cell, and is replaced from the copy once deleted', async () => {
    const here = stage();
    const key = here.key();
    const worker = await here.worker();
    const first = await here.finished(await enqueueLog(here, entries(key, 3)));
    await writeItem(key, 'mine');
    const held = nextEvent(worker, 'laneHeld');
    const [second] = await enqueueLog(here, [{ key, n: 3 }]);
    expect(await held).toMatchObject({ key, code: 'FOREIGN_VALUE' });
    await removeItem(key);
    const finished = await here.finished([second as Job]);
    expect(await expectExact(here, key, [...first, ...finished])).toEqual([0, 1, 2, 3]);
  });

  it.each([
    ['of a newer version', '{"toril":2,"val":1}', 'ENVELOPE_NEWER'],
    ['that is damaged', '{"toril":1,"token":"x"', 'ENVELOPE_DAMAGED'],
    ['without numbers', '{"toril":1,"token":-1,"base":0.5}', 'ENVELOPE_DAMAGED'],
    [
      'of another queue',
      '{"toril":1,"token":5,"base":4,"watermark":3,"queue":"bull:other","value":1}',
      'CELL_OF_ANOTHER_QUEUE',
    ],
  ])('holds its lane if it is an envelope %s', async (_, text, code) => {
    const here = stage();
    const key = here.key();
    await writeItem(key, text, CELL_FLAGS);
    const jobs = await enqueueLog(here, entries(key, 2));
    const worker = here.startWorker();
    expect(await nextEvent(worker, 'laneHeld')).toMatchObject({ key, code });
    await removeItem(key);
    expect(await expectExact(here, key, await here.finished(jobs))).toEqual([0, 1]);
  });
});
