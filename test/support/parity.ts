/**
 * What an application does with a queue, as a table: each row runs on real servers and on a test bed, and what
 * comes of it must be the same (test/integration/bed-parity.test.ts).
 */
import type { Job, JobsOptions } from 'bullmq';
import { z } from 'zod';
import { type AnyUpdate, DELETE_CELL, defineUpdate, type Queue } from '../../src/index.ts';

interface Entry {
  readonly key: string;
  readonly who: string;
  /** Attempts that fail. */
  readonly failures?: number;
}

const key = (entry: Entry): string => entry.key;
const initial = (): string[] => [];

function failing({ who, failures = 0 }: Entry, attempt: number): void {
  if (attempt <= failures) throw new Error(`${who} fails (${attempt})`);
}

const apply = (list: string[], entry: Entry, { attempt }: { attempt: number }): string[] => {
  failing(entry, attempt);
  return [...list, entry.who];
};
const result = (list: string[] | undefined, { who }: Entry): unknown => `${who}:${list?.length}`;
const noting = (name: string, more: object = {}): AnyUpdate =>
  defineUpdate({ name, key, initial, apply, result, ...more } as never) as AnyUpdate;

/** Kinds of updates; the table tries each of them in several ways. */
const KINDS: readonly AnyUpdate[] = [
  noting('plain'),
  noting('skip', { onFailure: 'skip' }),
  noting('cascade', { onExhausted: 'cascade' }),
  noting('strict', { strict: true }),
  noting('immutable', { immutable: true }),
  noting('no-result', { result: undefined }),
  noting('large-result', { result: () => 'x'.repeat(5_000) }),
  noting('async', {
    apply: async (list: string[], entry: Entry, { attempt }: { attempt: number }) => {
      await Promise.resolve();
      failing(entry, attempt);
      return [...list, entry.who];
    },
  }),
  noting('changing', {
    apply: (list: string[], entry: Entry, { attempt }: { attempt: number }) => {
      list.push(entry.who);
      failing(entry, attempt);
      return list;
    },
  }),
  noting('schema', {
    schema: z.object({ key: z.string(), who: z.string(), failures: z.number().optional() }),
  }),
  noting('brief', { expireSeconds: 3_600 }),
  noting('seeded', {
    apply: (list: string[], { who }: Entry, { key: of }: { key: string }) => [
      ...list,
      who,
      of.slice(-1),
    ],
  }),
];

/** Updates that end in one way only. */
const ODD: readonly AnyUpdate[] = [
  noting('delete', { apply: () => DELETE_CELL }),
  noting('no-initial', { initial: undefined }),
  noting('returns-nothing', { apply: () => undefined }),
  noting('returns-date', { apply: () => [new Date(0)] }),
  noting('returns-nan', { apply: () => [Number.NaN] }),
  noting('throws-text', {
    apply: () => {
      // oxlint-disable-next-line typescript/only-throw-error -- what users do
      throw 'text';
    },
  }),
  noting('throws-nothing', {
    apply: () => {
      // oxlint-disable-next-line typescript/only-throw-error -- what users do
      throw undefined;
    },
  }),
  noting('unrecoverable', {
    apply: () => {
      throw Object.assign(new Error('never again'), { name: 'UnrecoverableError' });
    },
  }),
  noting('bad-result', {
    result: () => {
      throw new Error('no result');
    },
  }),
  noting('hold', { onExhausted: 'hold' }),
  noting('slow', { timeoutMs: 30, apply: () => new Promise(() => {}) }),
];

export const parityUpdates: readonly AnyUpdate[] = [...KINDS, ...ODD];

export interface World {
  readonly queue: Queue;
  /** Waits until these are done. */
  readonly done: (jobs: readonly Job[]) => Promise<void>;
  /** A key of this row's own. */
  readonly key: (name?: string) => string;
}

export interface Row {
  readonly name: string;
  /** Keys whose values are compared; default: `k`. */
  readonly keys?: readonly string[];
  run(world: World): Promise<unknown>;
}

/** A mistake of the table's own, which would come out alike on both sides. */
export class TableError extends Error {}

function update(name: string): AnyUpdate {
  const found = parityUpdates.find((one) => one.name === name);
  if (found === undefined) throw new TableError(`the table has no update "${name}"`);
  return found;
}

type Draft = readonly [who: string, failures?: number | undefined, options?: JobsOptions];

/** Adds them in one call, and waits. */
async function all(
  { queue, done, key: named }: World,
  name: string,
  drafts: readonly Draft[],
): Promise<void> {
  const jobs = await queue.enqueueBulk(
    drafts.map(([who, failures, options = {}]) => ({
      update: update(name),
      data: { key: named(), who, ...(failures !== undefined && { failures }) },
      options,
    })),
  );
  await done(jobs as Job[]);
}

const twice: JobsOptions = { attempts: 2 };
const PATTERNS: readonly (readonly [string, readonly Draft[]])[] = [
  ['three jobs', [['a'], ['b'], ['c']]],
  ['the second needs two attempts', [['a'], ['b', 1, twice], ['c']]],
  ['the second fails for good', [['a'], ['b', 9, twice], ['c']]],
  ['the first fails for good, with backoff', [['a', 9, { attempts: 3, backoff: 5 }], ['b']]],
];

const ofKinds: Row[] = KINDS.flatMap(({ name }) =>
  PATTERNS.map(
    ([pattern, drafts]): Row => ({
      name: `${name}: ${pattern}`,
      run: (world) => all(world, name, drafts),
    }),
  ),
);

const ofOdd: Row[] = ODD.map(({ name }) => ({
  name: `${name}, between others`,
  async run(world) {
    await all(world, 'plain', [['a']]);
    await all(world, name, [['b', undefined, twice]]);
    await all(world, 'plain', [['c']]);
  },
}));

/** One job, and what the call says to it. */
const one = (name: string, options: JobsOptions, more: Partial<Row> = {}): Row => ({
  name,
  async run(world) {
    const job = await world.queue.enqueue(update('plain'), { key: world.key(), who: 'a' }, options);
    await world.done([job as Job]);
  },
  ...more,
});

const refused = (name: string, call: (world: World) => Promise<unknown>): Row => ({
  name: `refused: ${name}`,
  run: call,
});

const withOptions = (name: string, options: object): Row =>
  refused(name, ({ queue, key: named }) =>
    queue.enqueue(update('plain'), { key: named(), who: 'a' }, options as JobsOptions),
  );

const ofOptions: Row[] = [
  one('removeOnComplete', { removeOnComplete: true }),
  one('removeOnFail, keepLogs, stackTraceLimit', {
    removeOnFail: 100,
    keepLogs: 5,
    stackTraceLimit: 1,
  }),
  one('lifo and a timestamp', { lifo: true, timestamp: 5 }),
  one('a priority', { priority: 3 }),
  one('a short delay', { delay: 20 }),
  one('an exponential backoff with jitter', {
    attempts: 3,
    backoff: { type: 'exponential', delay: 2, jitter: 0.5 },
  }),
  one('a size limit that suffices', { sizeLimit: 10_000 }),
  one('options for parents that it has not', { failParentOnFailure: true }),
  one('an id with two colons', { jobId: 'a:b:c' }),
  one('an empty id', { jobId: '' }),
  one('deduplication', { deduplication: { id: 'x' } }),
  {
    name: 'the same id twice',
    async run({ queue, key: named, done }) {
      const add = (who: string): Promise<Job> =>
        queue.enqueue(
          update('plain'),
          { key: named(), who },
          { jobId: `${named()}-id` },
        ) as Promise<Job>;
      const jobs = [await add('a'), await add('b')];
      await done(jobs);
      await done([await add('c')]);
      return jobs[0]?.id === jobs[1]?.id;
    },
  },
  {
    name: 'the same id again, after its job was removed',
    async run({ queue, key: named, done }) {
      for (const who of ['a', 'b']) {
        const options = { jobId: `${named()}-id`, removeOnComplete: true };
        await done([(await queue.enqueue(update('plain'), { key: named(), who }, options)) as Job]);
      }
    },
  },
  {
    name: 'deduplicated while the first one waits, and not once it is done',
    async run({ queue, key: named, done }) {
      const add = (who: string): Promise<Job> => {
        const options = { delay: 100, deduplication: { id: named() } };
        return queue.enqueue(update('plain'), { key: named(), who }, options) as Promise<Job>;
      };
      const jobs = [await add('a'), await add('b')];
      await done(jobs);
      await done([await add('c')]);
      return jobs[0]?.id === jobs[1]?.id;
    },
  },
  {
    name: 'deduplicated for a time, beyond its end',
    async run({ queue, key: named, done }) {
      const add = (who: string): Promise<Job> => {
        const options = { deduplication: { id: named(), ttl: 3_600_000 } };
        return queue.enqueue(update('plain'), { key: named(), who }, options) as Promise<Job>;
      };
      await done([await add('a')]);
      await done([await add('b')]);
    },
  },
  {
    name: 'a delayed job that is replaced',
    async run({ queue, key: named, done }) {
      const add = (who: string): Promise<Job> => {
        const options = { delay: 100, deduplication: { id: named(), replace: true } };
        return queue.enqueue(update('plain'), { key: named(), who }, options) as Promise<Job>;
      };
      await add('a');
      await done([await add('b')]);
    },
  },
  {
    name: 'a delayed job comes after one that is not',
    async run({ queue, key: named, done }) {
      const jobs = [
        await queue.enqueue(update('plain'), { key: named(), who: 'late' }, { delay: 100 }),
        await queue.enqueue(update('plain'), { key: named(), who: 'soon' }),
      ];
      await done(jobs as Job[]);
    },
  },
  {
    name: 'two keys, by name and in bulk',
    keys: ['k', 'l'],
    async run({ queue, key: named, done }) {
      const jobs = await queue.addBulk([
        { name: 'plain', data: { key: named(), who: 'a' } },
        { name: 'plain', data: { key: named('l'), who: 'b', failures: 1 } },
        { name: 'skip', data: { key: named('l'), who: 'c', failures: 1 }, opts: twice },
      ]);
      await done([
        ...(jobs as Job[]),
        (await queue.add('plain', { key: named(), who: 'd' })) as Job,
      ]);
    },
  },
  withOptions('an id that is a number', { jobId: '7' }),
  withOptions('an id with a colon', { jobId: 'a:b' }),
  withOptions('an id that BullMQ needs', { jobId: 'wait' }),
  withOptions('a broken priority', { priority: 1.5 }),
  withOptions('a priority that is too high', { priority: 3_000_000 }),
  withOptions('too much data', { sizeLimit: 5 }),
  withOptions('debounce', { debounce: { id: 'x' } }),
  withOptions('deduplication without an id', { deduplication: {} }),
  withOptions('too much jitter', { backoff: { type: 'fixed', delay: 1, jitter: 2 } }),
  withOptions('options that exclude each other', {
    failParentOnFailure: true,
    ignoreDependencyOnFailure: true,
  }),
  refused('another key than a text', ({ queue }) => queue.add('plain', { key: 5, who: 'a' })),
  refused('an empty key', ({ queue }) => queue.add('plain', { key: '', who: 'a' })),
  refused('data that do not fit the schema', ({ queue }) =>
    queue.add('schema', { key: 'k', who: 5 }),
  ),
  refused('data that are no JSON', ({ queue }) => queue.add('plain', { key: 'k', who: 5n })),
  refused('an unknown update', ({ queue }) => queue.add('nobody', { key: 'k' })),
  refused('another update of the same name', ({ queue }) =>
    queue.enqueue(noting('plain'), { key: 'k', who: 'a' }),
  ),
  {
    name: 'refused: a bulk with one bad job, as a whole',
    async run(world) {
      const { queue, key: named, done } = world;
      const bulk = queue.addBulk([
        { name: 'plain', data: { key: named(), who: 'a' } },
        { name: 'schema', data: { key: named(), who: 7 } },
      ]);
      const said = await bulk.then(String, (error: { code?: string }) => error.code);
      await done([(await queue.add('plain', { key: named(), who: 'b' })) as Job]);
      return said;
    },
  },
];

/** Jobs are removed; what waits behind them goes on. */
const later: JobsOptions = { delay: 3_600_000 };
const ofRemoving: Row[] = [
  {
    name: 'a delayed job that is removed',
    async run({ queue, key: named, done }) {
      const job = await queue.enqueue(update('plain'), { key: named(), who: 'a' }, later);
      await job.remove();
      const states = [await job.getState(), await queue.remove(job.id as string)];
      await done([(await queue.add('plain', { key: named(), who: 'b' })) as Job]);
      return String(states);
    },
  },
  {
    name: 'a job that is done is removed, and its value stays',
    async run({ queue, key: named, done }) {
      const options = { jobId: `${named()}-id` };
      const job = await queue.enqueue(update('plain'), { key: named(), who: 'a' }, options);
      await done([job as Job]);
      const removed = await queue.remove(job.id as string);
      await done([
        (await queue.enqueue(update('plain'), { key: named(), who: 'b' }, options)) as Job,
      ]);
      return String([removed, await queue.remove('nobody')]);
    },
  },
  {
    name: 'a job that holds its lane is removed, and the lane goes on',
    async run({ queue, key: named, done }) {
      const first = await queue.enqueue(update('hold'), { key: named(), who: 'a', failures: 9 });
      await done([first as Job]);
      const second = await queue.enqueue(update('hold'), { key: named(), who: 'b' });
      await first.remove();
      await done([second as Job]);
      return first.getState();
    },
  },
  {
    name: 'jobs that failed are cleaned, and their lane goes on',
    async run({ queue, key: named, done }) {
      const first = await queue.enqueue(update('hold'), { key: named(), who: 'a', failures: 9 });
      await done([first as Job]);
      const second = await queue.enqueue(update('hold'), { key: named(), who: 'b' });
      const early = await queue.clean(3_600_000, 0, 'failed');
      const cleaned = await queue.clean(0, 0, 'failed');
      await done([second as Job]);
      return String([early.length, cleaned.includes(first.id as string), await first.getState()]);
    },
  },
  {
    name: 'jobs that are done are cleaned, one at a time',
    async run({ queue, key: named, done }) {
      await queue.clean(0, 0);
      const jobs = await queue.enqueueBulk(
        ['a', 'b', 'c'].map((who) => ({ update: update('plain'), data: { key: named(), who } })),
      );
      await done(jobs as Job[]);
      const some = await queue.clean(0, 2, 'completed');
      return String([some.length, await queue.getJobCountByTypes('completed')]);
    },
  },
  {
    name: 'what is delayed is drained with the others, and not without a word',
    async run({ queue, key: named, done }) {
      const job = await queue.enqueue(update('plain'), { key: named(), who: 'a' }, later);
      await queue.drain();
      const before = await job.getState();
      await queue.drain(true);
      await done([(await queue.add('plain', { key: named(), who: 'b' })) as Job]);
      return String([before, await job.getState()]);
    },
  },
  {
    name: 'delayed jobs are cleaned',
    async run({ queue, key: named }) {
      const job = await queue.enqueue(update('plain'), { key: named(), who: 'a' }, later);
      const cleaned = await queue.clean(0, 0, 'delayed');
      return String([cleaned.includes(job.id as string), await job.getState()]);
    },
  },
];

export const parityRows: readonly Row[] = [...ofKinds, ...ofOdd, ...ofOptions, ...ofRemoving];
