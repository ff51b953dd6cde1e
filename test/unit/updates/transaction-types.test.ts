/** Types flow from a transaction's keys and values to its functions, and to whoever enqueues it. Checked by the compiler; nothing runs. */
import { expectTypeOf, it } from 'vitest';
import * as z from 'zod';
import { defineCell, DELETE_CELL, defineTransaction, type Queue } from '../../../src/index.ts';

interface Account {
  readonly cents: number;
}
const transfer = defineTransaction({
  name: 'transfer',
  schema: z.object({ from: z.string(), to: z.string(), cents: z.string().transform(Number) }),
  keys: ({ from, to }) => [from, to],
  initial: (_key, place): Account => ({ cents: place }),
  apply: (values, { cents }, context) => {
    // Two keys, two values: a tuple.
    expectTypeOf(values).toEqualTypeOf<[Account, Account]>();
    expectTypeOf(cents).toEqualTypeOf<number>();
    expectTypeOf(context.keys).toEqualTypeOf<readonly string[]>();
    // @ts-expect-error it has several
    void context.key;
    const [from, to] = values;
    return [{ cents: from.cents - cents }, { cents: to.cents + cents }];
  },
  result: ([from]) => {
    expectTypeOf(from).toEqualTypeOf<Account | undefined>();
    return from?.cents;
  },
  onBlocked: { failAfterMs: 1_000 },
});
/** Each of its functions asks for what it needs; the data are what the schema makes. */
const partly = defineTransaction({
  name: 'partly',
  schema: z.object({ from: z.string(), to: z.string(), cents: z.string().transform(Number) }),
  keys: ({ from, to }: { from: string; to: string }) => [from, to],
  initial: () => 0,
  apply: ([from, to], { cents }: { cents: number }) => [from - cents, to + cents],
});
const spread = defineTransaction({
  name: 'spread',
  keys: ({ ids }: { ids: string[] }) => ids,
  initial: () => 0,
  apply: (values, { ids }) => {
    expectTypeOf(values).toEqualTypeOf<number[]>();
    return values.map((value, at) => (ids[at] === '' ? DELETE_CELL : value + 1));
  },
});
const three = defineTransaction({
  name: 'three',
  keys: (id: string) => [id, `${id}-log`, 'total'],
  apply: async (values: [number, number, number]) => {
    expectTypeOf(values.length).toEqualTypeOf<3>();
    return values;
  },
});

const account = defineCell({
  name: 'account',
  key: (id: number) => `account:${id}`,
  schema: z.object({ cents: z.number() }),
});
const close = account.transaction({
  name: 'close',
  ids: ({ from, to }: { from: number; to: number }) => [from, to],
  apply: ([from, to]) => [DELETE_CELL, { cents: from.cents + to.cents }],
  result: (values) => {
    expectTypeOf(values).toEqualTypeOf<
      [{ cents: number } | undefined, { cents: number } | undefined]
    >();
    return 'closed';
  },
});

export function refused(): void {
  defineTransaction({
    name: 'short',
    keys: (id: string) => [id, 'other'],
    initial: () => 0,
    // @ts-expect-error a value is missing
    apply: ([one]) => [one],
  });
  defineTransaction({
    name: 'mixed',
    keys: (id: string) => [id, 'other'],
    initial: () => 0,
    // @ts-expect-error a value of another type
    apply: ([one]) => [one, 'two'],
  });
  // @ts-expect-error a transaction cannot be strict
  defineTransaction({ name: 'x', keys: () => ['a', 'b'], apply: (v: [0, 0]) => v, strict: true });
  // @ts-expect-error ids are numbers
  account.transaction({ name: 'x', ids: () => ['a', 'b'], apply: ([a, b]) => [a, b] });
}

export async function neverCalled(queue: Queue): Promise<void> {
  const job = await queue.enqueue(transfer, { from: 'a', to: 'b', cents: '5' });
  expectTypeOf(job.name).toEqualTypeOf<'transfer'>();
  expectTypeOf(job.returnvalue).toEqualTypeOf<number | undefined>();
  // @ts-expect-error cents is what the schema takes, not what it makes of it
  await queue.enqueue(transfer, { from: 'a', to: 'b', cents: 5 });
  await queue.enqueue(partly, { from: 'a', to: 'b', cents: '5' });
  // @ts-expect-error cents is what the schema takes
  await queue.enqueue(partly, { from: 'a', to: 'b', cents: 5 });
  const [one, two, last] = await queue.enqueueBulk([
    { update: spread, data: { ids: ['a', 'b'] } },
    { update: three, data: 'a' },
    { update: close, data: { from: 1, to: 2 } },
  ]);
  expectTypeOf(one.returnvalue).toEqualTypeOf<void>();
  expectTypeOf(two.data).toEqualTypeOf<string>();
  expectTypeOf(last.returnvalue).toEqualTypeOf<string>();
  const told = await queue.snapshot<Account>(['a', 'b']);
  expectTypeOf(told.get('a')?.value).toEqualTypeOf<Account | undefined>();
}

it('types are checked by the compiler', () => {
  expectTypeOf(neverCalled).toBeFunction();
  expectTypeOf(refused).toBeFunction();
});
