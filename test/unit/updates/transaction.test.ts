/** Transactions without lanes: what is checked of them, and on a test bed. */
import { expect, test } from 'vitest';
import {
  checkDeterminism,
  defineCell,
  DELETE_CELL,
  defineTransaction,
  defineUpdate,
  type TransactionContext,
} from '../../../src/index.ts';
import { createTestBed } from '../../../src/testing.ts';

interface Pair {
  readonly a: string;
  readonly b: string;
}
type Apply = (values: [number, number], data: Pair, context: TransactionContext) => unknown;

function pairing(apply: Apply, more: object = {}): ReturnType<typeof defineTransaction> {
  return defineTransaction({
    name: 'pair',
    keys: ({ a, b }: Pair) => [a, b],
    initial: (_key: string, place: number) => place,
    apply: apply as never,
    ...more,
  }) as never;
}
const data = { a: 'x', b: 'y' };

test('nothing is wrong with one that depends on its values, data and context alone', async () => {
  const seen: unknown[] = [];
  const fine = pairing(
    ([one, two], { a }, { keys, random, id }) => {
      seen.push([one, two, keys, a]);
      return [random(), id()];
    },
    { result: (values: unknown, _: unknown, { random }: TransactionContext) => [values, random()] },
  );
  expect(await checkDeterminism(fine, { data })).toEqual([]);
  expect(seen).toEqual([1, 2, 3].map(() => [0, 1, ['x', 'y'], 'x']));
  seen.length = 0;
  expect(await checkDeterminism(fine, { data, value: [5, undefined] })).toEqual([]);
  expect(seen[0]).toEqual([5, 1, ['x', 'y'], 'x']);
});

let calls = 0;
test.each<[string, Apply, object, string[]]>([
  ['rolls dice', ([one]) => [one, Math.random()], {}, ['not-repeatable']],
  [
    'deletes now and then',
    ([one]) => [one, calls++ % 2 ? null : DELETE_CELL],
    {},
    ['not-repeatable'],
  ],
  ['begins elsewhere', (values) => values, { initial: () => calls++ }, ['not-repeatable']],
  ['returns too little', ([one]) => [one], {}, ['not-json']],
  ['returns what JSON cannot hold', ([one]) => [one, new Map()], {}, ['not-json']],
  ['goes to other keys', (values) => values, { keys: () => ['x', `y${calls++}`] }, ['changes-key']],
  [
    'changes its data',
    (values, pair) => (Object.assign(pair, { a: 'z' }), values),
    {},
    ['changes-data'],
  ],
])('one is found out that %s', async (_what, apply, more, kinds) => {
  const found = await checkDeterminism(pairing(apply, more), { data });
  expect(found.map(({ kind }) => kind)).toEqual(kinds);
});

test('it takes what it is given for its own, and spoils nothing of others', async () => {
  const spoil = defineTransaction({
    name: 'spoil',
    keys: ({ a, b }: Pair) => [a, b],
    initial: (): number[] => [],
    apply: ([one, two], _pair, { jobId }) => {
      one.push(1);
      two.push(2);
      if (jobId === '2') throw new Error('no');
      return [one, two];
    },
    result: ([one]) => one?.push(9), // of a copy
  });
  const bed = createTestBed({ updates: [spoil] });
  const jobs = await bed.enqueueBulk([1, 2, 3].map(() => ({ update: spoil, data })));
  await bed.drain();
  expect(jobs.map((job) => bed.job(job).state)).toEqual(['completed', 'failed', 'completed']);
  expect([bed.value('x'), bed.value('y')]).toEqual([
    [1, 1],
    [2, 2],
  ]);
});

test('a cell’s own: ids become keys, and its schema, beginning and lifetime hold', async () => {
  const even = defineCell({
    name: 'even',
    key: (id: number) => `even:${id}`,
    initial: () => 0,
    expireSeconds: 5,
    schema: {
      '~standard': {
        version: 1,
        vendor: 'test',
        validate: async (value: unknown) => {
          await Promise.resolve();
          return (value as number) % 2 === 0
            ? { value: value as number }
            : { issues: [{ message: 'odd' }] };
        },
        types: undefined as never,
      },
    },
  });
  const adding = even.transaction({
    name: 'adding',
    ids: ({ by }: { by: number[] }) => by.map((_, at) => at),
    apply: async (values, { by }) => values.map((value, at) => value + (by[at] ?? 0)),
  });
  const bed = createTestBed({ updates: [adding] });
  const good = await bed.enqueue(adding, { by: [2, 4, 6] });
  const bad = await bed.enqueue(adding, { by: [2, 1] });
  await bed.runUntilIdle();
  expect(bed.job(good).state).toBe('completed');
  expect(bed.job(bad).error?.message).toBe(
    'the value under "even:1" does not fit the schema of the cell "even": odd.',
  );
  expect([0, 1, 2].map((id) => bed.value(even.key(id)))).toEqual([2, 4, 6]);
  await bed.advance(10_000);
  expect(bed.value('even:0')).toBeUndefined();
  expect(() => even.transaction({ name: 'x' } as never)).toThrow(
    'a transaction over cells "even" needs "ids", a function of the data that says whose cells they are.',
  );
});

test.each(['key', 'keys', 'initial', 'adopt', 'expireSeconds'])(
  'what a cell says is not said again by its updates: %s',
  (name) => {
    const cell = defineCell({ name: 'one', key: (id: string) => id, initial: () => 0 });
    const more = { name: 'x', apply: (value: never) => value, [name]: () => ['a', 'b'] };
    const said = new RegExp(
      `of the cell "one" cannot have "${name}"|cells "one" cannot have "${name}"`,
    );
    expect(() => cell.update({ ...more, id: () => 'a' })).toThrow(said);
    expect(() => cell.transaction({ ...more, ids: () => ['a', 'b'] as const })).toThrow(said);
  },
);

test('an update of one key does not say how long it waits for others', () => {
  const settings = { name: 'x', key: () => 'a', apply: (value: number) => value };
  expect(() => defineUpdate({ ...settings, onBlocked: 'wait' } as typeof settings)).toThrow(
    'defineUpdate: "x" has onBlocked: several keys take defineTransaction.',
  );
});
