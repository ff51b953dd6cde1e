/** Reading several keys as of one moment. */
import { describe, expect, it } from 'vitest';
import {
  type AnyUpdate,
  DELETE_CELL,
  defineTransaction,
  defineUpdate,
  type TorilError,
} from '../../src/index.ts';
import { createTestBed } from '../../src/testing.ts';
import { type Stage, stage } from '../support/workers.ts';

const set = defineUpdate({
  name: 'set',
  key: ({ key }: { key: string; to?: unknown }) => key,
  initial: (): unknown => null,
  apply: (_, { to }) => (to === undefined ? DELETE_CELL : to),
});
const brief = defineUpdate({
  name: 'brief',
  key: ({ key }: { key: string; to: unknown }) => key,
  initial: (): unknown => null,
  apply: (_, { to }) => to,
  expireSeconds: 1,
});
const move = defineTransaction({
  name: 'move',
  keys: ({ from, to }: { from: string; to: string }) => [from, to],
  initial: () => 0,
  apply: ([from, to]) => [from - 1, to + 1],
});
const updates: AnyUpdate[] = [set, brief, move];

async function written(here: Stage, values: Readonly<Record<string, unknown>>): Promise<void> {
  const jobs = Object.entries(values).map(([key, to]) => ({
    update: set,
    data: { key: here.key(key), to },
  }));
  await here.finished(await here.queue.enqueueBulk(jobs));
}

const codeOf = (thrown: TorilError): string => `${thrown.code}: ${thrown.message}`;

describe('queue.snapshot', () => {
  it('tells value, token and watermark, as cells do', async () => {
    const here = stage({ updates });
    await here.worker();
    await written(here, { a: 1, b: { deep: [2] }, gone: 3 });
    await written(here, { gone: undefined });
    const [a, b, gone] = [here.key('a'), here.key('b'), here.key('gone')];
    const told = await here.queue.snapshot([a, b, gone, here.key('never'), a]);
    const read = await Promise.all([a, b, gone].map((key) => here.cells.read(key)));
    expect([...told.keys()]).toEqual([a, b, gone]);
    expect([...told.values()]).toEqual(
      read.map((state) => ({
        value: state?.value,
        token: state?.token,
        watermark: state?.watermark,
      })),
    );
    expect(told.get(gone)?.value).toBeUndefined();
  });

  it('never tells half of a transaction', async () => {
    const here = stage({ updates });
    await here.worker({ concurrency: 8 });
    const keys = [0, 1, 2, 3].map(here.key);
    const jobs = await here.queue.enqueueBulk(
      Array.from({ length: 200 }, (_, at) => ({
        update: move,
        data: { from: keys[at % 4] as string, to: keys[(at * 3 + 1) % 4] as string },
      })).filter(({ data }) => data.from !== data.to),
    );
    let isDone = false;
    const done = here.finished(jobs).then(() => (isDone = true));
    const sums: number[] = [];
    while (!isDone) {
      const told = await here.queue.snapshot<number>(keys);
      sums.push([...told.values()].reduce((sum, { value = 0 }) => sum + value, 0));
    }
    await done;
    expect(sums.length).toBeGreaterThan(3);
    expect(sums.filter((sum) => sum !== 0)).toEqual([]);
  });

  it('has what Redis has while memcached has lost it, and no value that has expired', async () => {
    const here = stage({ updates });
    await here.worker();
    const key = here.key('brief');
    await here.finished([await here.queue.enqueue(brief, { key, to: 1 })]);
    expect((await here.queue.snapshot([key])).get(key)?.value).toBe(1);
    await expect
      .poll(async () => (await here.queue.snapshot([key])).get(key), { timeout: 5_000 })
      .toMatchObject({ value: undefined });
  });

  it('says so where no copies are kept', async () => {
    const here = stage({ updates: [set] });
    await here.worker({ durableCopies: false });
    await written(here, { a: 1 });
    await expect(here.queue.snapshot([here.key('a')]).catch(codeOf)).resolves.toMatch(
      /^COPY_NOT_KEPT: .*"test-[^"]*-a"/,
    );
  });

  it('refuses keys that are none, and too many of them', async () => {
    const { queue } = stage({ updates });
    const many = Array.from({ length: 1_001 }, (_, at) => `key:${at}`);
    expect(await queue.snapshot([])).toEqual(new Map());
    expect((await queue.snapshot(many.slice(1))).size).toBe(0);
    expect(await queue.snapshot(many).catch(codeOf)).toMatch(/^INVALID_OPTIONS: .*1001 keys/);
    expect(await queue.snapshot(['']).catch(codeOf)).toMatch(/^INVALID_KEY: /);
    expect(await queue.snapshot([7 as never]).catch(codeOf)).toMatch(/^INVALID_KEY: .*number/);
    for (const none of ['ab', undefined, null, 7] as never[])
      expect(await queue.snapshot(none).catch(codeOf)).toMatch(/^INVALID_KEY: .*list of keys, not/);
  });

  it('refuses values that have more than 32 MiB together, and tells each of them alone', async () => {
    const here = stage({ updates });
    const value = 'x'.repeat(1_000_000);
    const keys = Array.from({ length: 34 }, (_, at) => here.key(at));
    for (const key of keys) {
      const copy = { t: 1, w: 1, v: `+"${value}"` };
      await here.redis.hset(here.ownKey(`copy:${key}`), copy);
    }
    expect(await here.queue.snapshot(keys).catch(codeOf)).toMatch(
      /^VALUE_TOO_LARGE: .*34 keys .*32 MiB.* first 33 /,
    );
    const told = await here.queue.snapshot(keys.slice(0, 33));
    expect([...told.values()].every((its) => its.value === value)).toBe(true);
  });

  it('is on a test bed, too', async () => {
    const bed = createTestBed({ updates });
    await bed.enqueue(set, { key: 'a', to: 5 });
    await bed.enqueue(move, { from: 'a', to: 'b' });
    await bed.drain();
    const told = await bed.asQueue().snapshot<number>(['a', 'b', 'c']);
    expect([...told].map(([key, { value }]) => [key, value])).toEqual([
      ['a', 4],
      ['b', 1],
    ]);
    expect(told.get('a')?.token).toBe(told.get('b')?.token);
  });
});
