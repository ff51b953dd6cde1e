/** Cells defined once: their updates, and what readers get. */
import { expect, expectTypeOf, test } from 'vitest';
import * as v from 'valibot';
import * as z from 'zod';
import { type Cells, DELETE_CELL, defineCell, type Update } from '../../../src/index.ts';
import { createTestBed } from '../../../src/testing.ts';

interface Account {
  cents: number;
  deposits: number;
}

const account = defineCell({
  name: 'account',
  key: (id: string) => `account:${id}`,
  schema: z.object({ cents: z.number().min(0), deposits: z.number() }),
  initial: () => ({ cents: 0, deposits: 0 }),
});
const deposit = account.update({
  name: 'deposit',
  schema: z.object({ account: z.string(), cents: z.number() }),
  id: (data) => data.account,
  apply: (value, { cents }) => ({ cents: value.cents + cents, deposits: value.deposits + 1 }),
  result: (value) => value?.cents,
});
const close = account.update({
  name: 'close',
  id: (data: { account: string }) => data.account,
  apply: () => DELETE_CELL,
});

test('updates of one cell share its key, its beginning and its schema', async () => {
  const bed = createTestBed({ updates: [deposit, close] });
  const first = await bed.enqueue(deposit, { account: 'ada', cents: 250 });
  const overdrawn = await bed.enqueue(deposit, { account: 'ada', cents: -300 });
  const last = await bed.enqueue(deposit, { account: 'ada', cents: 50 });
  await bed.drain();
  expect(bed.job(first.id)?.result).toBe(250);
  expect(bed.job(overdrawn.id)).toMatchObject({ state: 'failed', attemptsMade: 1 });
  expect(bed.job(overdrawn.id)?.error?.message).toMatch(
    /the value under "account:ada" does not fit the schema of the cell "account": cents:/,
  );
  expect(bed.job(last.id)?.result).toBe(300);
  expect(await bed.cells.get(account, 'ada')).toEqual({ cents: 300, deposits: 2 });
  expect((await bed.cells.read(account, 'ada'))?.watermark).toBe(
    (await bed.cells.read('account:ada'))?.watermark,
  );
  await bed.enqueue(close, { account: 'ada' });
  await bed.drain();
  expect(await bed.cells.get(account, 'ada')).toBeUndefined();
});

test('many cells are found under their ids', async () => {
  const bed = createTestBed({ updates: [deposit] });
  for (const id of ['ada', 'bob']) await bed.enqueue(deposit, { account: id, cents: 1 });
  await bed.drain();
  const found = await bed.cells.getMany(account, ['ada', 'nobody', 'bob', 'ada']);
  expect([...found.keys()]).toEqual(['ada', 'bob']);
  expectTypeOf(found).toEqualTypeOf<Map<string, Account>>();
});

test('a reader is told of a value that does not fit, and can read it by its key', async () => {
  const loose = defineCell({ name: 'account', key: account.key, initial: () => 'not an account' });
  const spoil = loose.update({
    name: 'spoil',
    id: (data: { account: string }) => data.account,
    apply: (value) => value,
  });
  const bed = createTestBed({ updates: [spoil] });
  await bed.enqueue(spoil, { account: 'ada' });
  await bed.drain();
  await expect(bed.cells.get(account, 'ada')).rejects.toMatchObject({ code: 'INVALID_VALUE' });
  await expect(bed.cells.getMany(account, ['ada'])).rejects.toMatchObject({
    code: 'INVALID_VALUE',
  });
  expect(await bed.cells.get('account:ada')).toBe('not an account');
});

test('an asynchronous schema, and an asynchronous update', async () => {
  const counter = defineCell({
    name: 'counter',
    key: (id: number) => `counter:${id}`,
    schema: v.pipeAsync(
      v.number(),
      v.checkAsync(async (count) => Promise.resolve(count < 2), 'too many'),
    ),
    initial: () => 0,
  });
  const count = counter.update({
    name: 'count',
    id: (data: { id: number }) => data.id,
    apply: async (value) => Promise.resolve(value + 1),
  });
  const bed = createTestBed({ updates: [count] });
  const jobs = [await bed.enqueue(count, { id: 7 }), await bed.enqueue(count, { id: 7 })];
  await bed.drain();
  expect(jobs.map(({ id }) => bed.job(id)?.state)).toEqual(['completed', 'failed']);
  expect(await bed.cells.get(counter, 7)).toBe(1);
});

test.each([
  ['nothing', undefined, 'pass an object'],
  ['no name', { key: (): string => 'k' }, 'name must be'],
  ['no key', { name: 'a' }, 'key of "a" must be'],
  ['no schema', { name: 'a', key: (): string => 'k', schema: {} }, 'is not a Standard Schema'],
  ['no initial', { name: 'a', key: (): string => 'k', initial: 0 }, 'initial of "a" must be'],
])('refuses %s', (_what, settings, message) => {
  expect(() => defineCell(settings as never)).toThrow(message);
});

test('an update without id is refused', () => {
  expect(() => account.update({ name: 'x', apply: (value: Account) => value } as never)).toThrow(
    'needs "id"',
  );
});

/** Checked by the compiler; nothing runs. */
export async function neverCalled(cells: Cells): Promise<void> {
  expectTypeOf(await cells.get(account, 'ada')).toEqualTypeOf<Account | undefined>();
  expectTypeOf((await cells.read(account, 'ada'))?.value).toEqualTypeOf<Account | undefined>();
  expectTypeOf(deposit).toEqualTypeOf<
    Update<
      'deposit',
      Account,
      { account: string; cents: number },
      { account: string; cents: number },
      number | undefined
    >
  >();
  // @ts-expect-error an id is a string
  await cells.get(account, 7);
  account.update({
    name: 'wrong',
    id: (data: { account: string }) => data.account,
    // @ts-expect-error another value than the cell's
    apply: () => ({ cents: 1 }),
  });
  // @ts-expect-error "value.since is a Date, which JSON does not give back"
  defineCell({ name: 'a', key: (id: string) => id, initial: () => ({ since: new Date() }) });
  // @ts-expect-error "value.parts[].by is a Map, which JSON does not give back"
  defineCell({ name: 'a', key: String, initial: () => ({ parts: [{ by: new Map() }] }) });
  // @ts-expect-error a schema that makes something else of the value
  defineCell({ name: 'a', key: (id: string) => id, schema: z.string().transform(Number) });
  interface Tree {
    readonly label?: string;
    readonly children: readonly Tree[];
  }
  const tree = defineCell({
    name: 't',
    key: (id: string) => id,
    initial: (): Tree => ({ children: [] }),
  });
  expectTypeOf(await cells.get(tree, 'a')).toEqualTypeOf<Tree | undefined>();
}
