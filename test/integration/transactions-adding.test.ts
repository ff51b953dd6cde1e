/** However a transaction is added, it is applied as one that was enqueued. And what it is told, and told again. */
import { FlowProducer } from 'bullmq';
import { describe, expect, it, onTestFinished } from 'vitest';
import * as z from 'zod';
import { type AnyUpdate, defineCell, defineTransaction, defineUpdate } from '../../src/index.ts';
import { type Stage, stage } from '../support/workers.ts';

interface Move {
  readonly from: string;
  readonly to: string;
}

const move = defineTransaction({
  name: 'move',
  keys: ({ from, to }: Move) => [from, to],
  initial: (): string[] => [],
  apply: ([from, to], _data, { jobId }) => [
    [...from, `-${jobId}`],
    [...to, `+${jobId}`],
  ],
  result: ([from, to]) => [from?.length, to?.length],
});
const note = defineUpdate({
  name: 'note',
  key: ({ to }: { to: string }) => to,
  initial: (): string[] => [],
  apply: (value, _data, { jobId }) => [...value, jobId],
});
const updates: AnyUpdate[] = [move, note];

const valuesOf = (here: Stage, ...keys: string[]): Promise<unknown[]> =>
  Promise.all(keys.map((key) => here.cells.get(key)));

describe('a transaction that is added', () => {
  it('by a flow is applied behind its children, and before its parent', async () => {
    const here = stage({ updates });
    await here.worker({ concurrency: 4 });
    const flows = new FlowProducer({ connection: { url: here.redisUrl } });
    onTestFinished(() => flows.close());
    const [a, b] = [here.key('a'), here.key('b')];
    const job = (name: string, jobId: string, data: object, children: object[] = []) => ({
      ...{ name, queueName: here.name, data, opts: { jobId }, children },
    });
    const tree = job('move', 'last', { from: b, to: a }, [
      job('move', 'middle', { from: a, to: b }, [job('note', 'first', { to: b })]),
    ]);
    const { job: parent } = await flows.add(tree as Parameters<FlowProducer['add']>[0]);
    const [done] = await here.finished([parent]);
    expect(done?.returnvalue).toEqual([3, 2]);
    expect(await valuesOf(here, a, b)).toEqual([
      ['-middle', '+last'],
      ['first', '+middle', '-last'],
    ]);
  });

  it('by a scheduler is applied each time', async () => {
    const here = stage({ updates });
    await here.worker();
    const [a, b] = [here.key('a'), here.key('b')];
    const data = { from: a, to: b };
    await here.queue.upsertJobScheduler(
      'standing',
      { every: 50, limit: 3 },
      { name: 'move', data },
    );
    await expect
      .poll(async () => (await here.cells.get<string[]>(b))?.length, { timeout: 20_000 })
      .toBe(3);
    const [from, to] = (await valuesOf(here, a, b)) as [string[], string[]];
    expect(from.map((id) => id.replace('-', '+'))).toEqual(to);
  });

  it('twice with one id is applied once, whatever else is in its bulk', async () => {
    const here = stage({ updates });
    const [a, b] = [here.key('a'), here.key('b')];
    const one = { update: move, data: { from: a, to: b }, options: { jobId: 'once' } };
    const jobs = await here.queue.enqueueBulk([
      one,
      { update: note, data: { to: a } },
      { ...one, data: { from: b, to: a } },
    ]);
    await here.worker({ concurrency: 4 });
    await here.finished(jobs);
    expect(await valuesOf(here, a, b)).toEqual([['-once', jobs[1].id], ['+once']]);
  });

  it('by a plain producer enters all its lanes when it is delivered', async () => {
    const here = stage({ updates });
    await here.worker({ concurrency: 4 });
    const [a, b] = [here.key('a'), here.key('b')];
    const options = { jobId: 'plain', attempts: 2, removeOnComplete: false };
    const job = await here.plainQueue().add('move', { from: a, to: b }, options);
    const [done] = await here.finished([job]);
    expect(done?.returnvalue).toEqual([1, 1]);
    expect(await valuesOf(here, a, b)).toEqual([['-plain'], ['+plain']]);
  });
});

describe('a transaction whose data are changed', () => {
  it('keeps its place if they name the same keys', async () => {
    const here = stage({ updates });
    const [a, b] = [here.key('/a\u007f'), here.key('/b')]; // Redis writes both in JSON as nobody else does
    const data = { from: a, to: b };
    const jobs = await here.queue.enqueueBulk([
      { update: move, data },
      { update: move, data },
      { update: move, data },
    ]);
    await jobs[0].updateData(data);
    await jobs[1].updateData({ from: b, to: a });
    await here.worker();
    await here.finished(jobs);
    expect(await valuesOf(here, a, b)).toEqual([
      ['-1', '+2', '-3'],
      ['+1', '-2', '+3'],
    ]);
  });

  it('goes to the ends of the lanes that they name', async () => {
    const here = stage({ updates });
    const [a, b, c] = [here.key('a'), here.key('b'), here.key('c')];
    const jobs = await here.queue.enqueueBulk([
      { update: move, data: { from: a, to: b } },
      { update: note, data: { to: b } },
      { update: move, data: { from: c, to: b } },
    ]);
    await jobs[0].updateData({ from: c, to: a });
    await here.worker();
    await here.finished(jobs);
    expect(await valuesOf(here, a, b, c)).toEqual([['+1'], ['2', '+3'], ['-3', '-1']]);
  });

  it('stays in its lanes for a producer to which it is an update of one key', async () => {
    const here = stage({ updates });
    const [a, b] = [here.key('a'), here.key('b')];
    const job = await here.queue.enqueue(move, { from: a, to: b });
    const other = stage({ name: here.name, updates: [{ ...note, name: 'move' }] });
    await (await other.queue.getJob(job.id as string))?.updateData({ from: a, to: b });
    await here.worker();
    await here.finished([job]);
    expect(await valuesOf(here, a, b)).toEqual([['-1'], ['+1']]);
  });
});

describe('the cells of a transaction', () => {
  it('name its keys to readers, until a job of one key alone has changed them', async () => {
    const here = stage({ updates });
    await here.worker();
    const [a, b] = [here.key('a'), here.key('b')];
    await here.finished([await here.queue.enqueue(move, { from: a, to: b })]);
    const [one, two] = [await here.cells.read(a), await here.cells.read(b)];
    expect(one?.keys?.toSorted()).toEqual([a, b].toSorted());
    expect(two?.keys?.toSorted()).toEqual([a, b].toSorted());
    expect(two?.token).toBe(one?.token);
    await here.finished([await here.queue.enqueue(note, { to: a })]);
    expect(await here.cells.read(a)).not.toHaveProperty('keys');
    expect((await here.cells.read(b))?.keys).toHaveLength(2);
  });
});

describe('with verifyUpdates', () => {
  it('a transaction is called again with the same keys, places, chance and names', async () => {
    const seen = defineTransaction({
      name: 'seen',
      keys: ({ from, to }: Move) => [from, to],
      initial: (_key, place): unknown => place,
      apply: (values, _data, { keys, random, id, now }) => [
        [values[0], keys.length, random(), now],
        [values[1], id()],
      ],
      result: (_values, _data, { random }) => random(),
    });
    const here = stage({ updates: [seen] });
    await here.worker({ verifyUpdates: true });
    const [a, b] = [here.key('a'), here.key('b')];
    const [done] = await here.finished([await here.queue.enqueue(seen, { from: a, to: b })]);
    expect(done?.failedReason).toBeUndefined();
    expect(done?.returnvalue).toEqual(expect.any(Number));
    expect(await valuesOf(here, a, b)).toEqual([
      [0, 2, expect.any(Number), expect.any(Number)],
      [1, expect.any(String)],
    ]);
  });

  it('one that gives something else each time fails', async () => {
    const dice = defineTransaction({
      name: 'dice',
      keys: ({ from, to }: Move) => [from, to],
      initial: () => 0,
      apply: ([from]) => [from, Math.random()],
    });
    const here = stage({ updates: [dice] });
    await here.worker({ verifyUpdates: true });
    const [a, b] = [here.key('a'), here.key('b')];
    const [failed] = await here.finished([await here.queue.enqueue(dice, { from: a, to: b })]);
    expect(failed?.failedReason).toMatch(/the update "dice" gave first .* and then/);
    expect(await valuesOf(here, a, b)).toEqual([undefined, undefined]);
  });
});

it('a transaction of a cell keeps to its schema, for each of its keys', async () => {
  const account = defineCell({
    name: 'account',
    key: (id: string) => id,
    schema: z.object({ cents: z.number().min(0) }),
    initial: () => ({ cents: 10 }),
  });
  const transfer = account.transaction({
    name: 'transfer',
    ids: ({ from, to }: Move & { cents: number }) => [from, to],
    apply: ([from, to], { cents }) => [{ cents: from.cents - cents }, { cents: to.cents + cents }],
  });
  const here = stage({ updates: [transfer] });
  await here.worker();
  const [a, b] = [here.key('a'), here.key('b')];
  const jobs = await here.queue.enqueueBulk(
    [4, 7].map((cents) => ({ update: transfer, data: { from: a, to: b, cents } })),
  );
  const [, failed] = await here.finished(jobs);
  expect(failed?.failedReason).toMatch(
    `under "${a}" does not fit the schema of the cell "account"`,
  );
  expect(await here.cells.get(account, a)).toEqual({ cents: 6 });
  expect((await here.queue.snapshot([a, b])).get(b)?.value).toEqual({ cents: 14 });
});
