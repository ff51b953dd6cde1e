/** Updates that are `immutable`: their value is frozen, and only what is new in it is looked at. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../../../src/base/clock.ts';
import { type AnyUpdate, checkDeterminism, defineUpdate } from '../../../../src/index.ts';
import { applyUpdate } from '../../../../src/updates/calling/apply.ts';
import {
  asFrozenValue,
  frozenValue,
  isUnchangeable,
} from '../../../../src/updates/values/frozen-value.ts';
import { asJsonValue, examineJson } from '../../../../src/updates/values/json-value.ts';
import {
  createTestBed,
  expectExactlyOnce,
  expectInOrder,
  expectValue,
} from '../../../../src/testing.ts';
import { isFrozenThrough } from '../../../support/frozen.ts';

interface Table {
  readonly rows: readonly { readonly id: number; readonly tags: readonly string[] }[];
  readonly note?: unknown;
}

const table = (): Table => ({
  rows: Array.from({ length: 20 }, (_, id) => ({ id, tags: ['a', 'b'] })),
});

const outcome = (call: () => unknown): unknown => {
  try {
    return call();
  } catch (thrown) {
    return (thrown as Error).message;
  }
};

describe('a frozen value', () => {
  test('is the same value, with all that is in it', () => {
    const value = table();
    expect(frozenValue(value)).toBe(value);
    expect(isFrozenThrough(value)).toBe(true);
    expect([isUnchangeable(value), isUnchangeable('text'), isUnchangeable(table())]).toEqual([
      ...[true, true, false],
    ]);
  });

  test.each([
    ['one row is another', (rows: Table['rows']) => rows.with(7, { id: 7, tags: ['c'] }), 4],
    ['one row is put in', (rows: Table['rows']) => rows.toSpliced(7, 0, { id: 99, tags: [] }), 4],
    ['one row is taken out', (rows: Table['rows']) => rows.toSpliced(7, 1), 2],
    ['nothing has changed', (rows: Table['rows']) => rows, 1],
  ])('is looked at only where it is new: %s', (_, change, looked) => {
    const before = frozenValue(table()) as Table;
    const after = { ...before, rows: change(before.rows) };
    const seen = new Set<object>();
    expect(examineJson(after, before, seen)).toBe('same');
    expect(seen.size).toBe(looked);
    expect(asFrozenValue(after, before, { name: 'u' })).toBe(after);
    expect(isFrozenThrough(after)).toBe(true);
  });

  test('is refused with the place of what JSON cannot hold, also deep in what is new', () => {
    const before = frozenValue(table()) as Table;
    const rows = before.rows.with(3, { id: 3, tags: [new Date() as never] });
    expect(() => asFrozenValue({ ...before, rows }, before, { name: 'u' })).toThrow(
      /a Date at "rows\[3\]\.tags\[0\]"/,
    );
    const circle: { self?: unknown } = {};
    circle.self = circle;
    expect(() => asFrozenValue({ ...before, note: circle }, before, { name: 'u' })).toThrow(
      /a circle/,
    );
  });

  test('has no minus zero where a zero was', () => {
    const after = asFrozenValue([-0, 1], frozenValue([0, 1]), { name: 'u' });
    expect(after).toStrictEqual([0, 1]);
  });

  test('is judged as if all of it had been looked at, whatever was kept, moved, changed or added', () => {
    const anything = fc.anything({ withNullPrototype: true, withDate: true, maxDepth: 2 });
    const part = fc.oneof(
      fc.nat(5).map((from) => ({ from })),
      anything.map((value) => ({ value })),
    );
    fc.assert(
      fc.property(
        fc.array(fc.jsonValue({ maxDepth: 2 }), { minLength: 6, maxLength: 6 }),
        fc.array(part, { maxLength: 8 }),
        fc.boolean(),
        (old, parts, inRecord) => {
          const json = JSON.stringify(old);
          const made = (from: unknown[]): unknown => {
            const items = parts.map((one) => ('from' in one ? from[one.from] : one.value));
            return inRecord ? Object.assign({}, items) : items;
          };
          const [mine, plain] = [JSON.parse(json) as unknown[], JSON.parse(json) as unknown[]];
          const before = frozenValue(inRecord ? Object.assign({}, mine) : mine);
          const frozen = outcome(() => asFrozenValue(made(mine), before, { name: 'u' }));
          const judged = outcome(() => asJsonValue(made(plain), { name: 'u' }));
          expect(frozen).toStrictEqual(judged);
          if (typeof frozen === 'object') expect(isFrozenThrough(frozen)).toBe(true);
        },
      ),
    );
  });
});

const tagged: AnyUpdate = defineUpdate({
  name: 'tagged',
  key: () => 'k',
  immutable: true,
  initial: table,
  apply: (value: Table, { row }: { row: number }) => ({
    ...value,
    rows: value.rows.with(row, { id: row, tags: [...(value.rows[row]?.tags ?? []), 'new'] }),
  }),
});
const careless: AnyUpdate = {
  ...tagged,
  name: 'careless',
  apply: (value: { rows: { tags: string[] }[] }, { row }: { row: number }) => {
    value.rows[row]?.tags.push('new');
    return value;
  },
};
const changing: AnyUpdate = { ...careless, name: 'changing', immutable: false };

describe('an immutable update', () => {
  const facts = { key: 'k', jobId: '1', token: 1, sequence: 1, attempt: 1 };
  const signal = new AbortController().signal;
  const apply = (update: AnyUpdate, value: unknown): unknown => {
    const applied = applyUpdate(update, value, { row: 0 }, facts, {
      lost: () => signal,
      clock: systemClock,
    });
    return (applied as { value: unknown }).value;
  };

  test('shares what it did not change', () => {
    const before = table();
    const after = apply(tagged, before) as Table;
    expect(after.rows[0]?.tags).toEqual(['a', 'b', 'new']);
    expect(after.rows[1]).toBe(before.rows[1]);
    expect(isFrozenThrough(after)).toBe(true);
  });

  test('fails if it changes what it was given', () => {
    const before = table();
    expect(() => apply(careless, before)).toThrow(/object is not extensible|read only/);
    expect(before).toEqual(table());
  });

  test('leaves others of its key a value that they may change', () => {
    const frozen = apply(tagged, undefined) as Table;
    const changed = apply(changing, frozen) as Table;
    expect(changed.rows[0]?.tags).toEqual(['a', 'b', 'new', 'new']);
    expect(frozen.rows[0]?.tags).toEqual(['a', 'b', 'new']);
  });

  test('and a transaction leave them one that they may change, also of a list that was frozen as a whole', () => {
    const [frozen] = frozenValue([table()]) as [Table];
    const changed = apply(changing, frozen) as Table;
    expect(changed.rows[0]?.tags).toEqual(['a', 'b', 'new']);
    expect(frozen).toEqual(table());
  });

  test('is found out in development if it is not', async () => {
    const found = await checkDeterminism(careless, { data: { row: 0 } });
    expect(found).toMatchObject([{ kind: 'not-repeatable' }]);
    expect(await checkDeterminism(tagged, { data: { row: 0 } })).toEqual([]);
  });

  test('goes exact through failures, crashes and jobs of the other kind', async () => {
    const bed = createTestBed({ updates: [tagged, careless, changing] });
    const bad = await bed.enqueue(careless, { row: 1 });
    for (let row = 0; row < 12; row++) await bed.enqueue(row % 4 ? tagged : changing, { row: 2 });
    bed.fault.crashWorker(undefined, 'after-commit');
    await bed.drain();
    expect(bed.job(bad).state).toBe('failed');
    const rows = table().rows.with(2, { id: 2, tags: ['a', 'b', ...Array(12).fill('new')] });
    expectValue(bed, 'k', { rows });
    expectInOrder(bed);
    expectExactlyOnce(bed);
  });
});
