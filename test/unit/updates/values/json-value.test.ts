import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { asJsonValue, copyOfJson } from '../../../../src/updates/values/json-value.ts';

const throughJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value));
const refusal = (value: unknown): string => {
  try {
    asJsonValue(value, { name: 'u' });
  } catch (thrown) {
    expect(thrown).toMatchObject({ code: 'UPDATE_NOT_JSON' });
    return (thrown as Error).message;
  }
  return 'accepted';
};

describe('a value that an update returned', () => {
  it('stays the same object if JSON holds it as it is', () => {
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
        if (JSON.stringify(value).includes('-0') || hasMinusZero(value)) return;
        expect(asJsonValue(value, { name: 'u' })).toBe(value);
      }),
    );
  });

  it('becomes what JSON makes of it, whatever it is', () => {
    const anything = fc.anything({ withSparseArray: true, withNullPrototype: true });
    fc.assert(
      fc.property(anything, (value) => {
        let kept: unknown;
        try {
          kept = asJsonValue(value, { name: 'u' });
        } catch {
          return; // refused, which is the other way not to depend on chance
        }
        expect(kept).toStrictEqual(throughJson(value));
      }),
      { numRuns: 2_000 },
    );
  });

  it.each([
    ['members that are undefined', { a: 1, b: undefined }],
    ['minus zero', { a: [-0] }],
    ['no prototype', Object.assign(Object.create(null) as object, { a: 1 })],
  ])('loses what JSON loses: %s', (_, value) => {
    const kept = asJsonValue(value, { name: 'u' });
    expect(kept).not.toBe(value);
    expect(kept).toStrictEqual(throughJson(value));
  });

  it.each([
    ['frozen', Object.freeze({ a: [1] })],
    ['sealed', Object.seal({ a: [1] })],
    ['frozen within', { a: Object.freeze([1]) }],
  ])('can be changed by the next update of the same batch, if it was %s', (_, value) => {
    const kept = asJsonValue(value, { name: 'u' }) as { a: number[]; b?: number };
    kept.a.push(2);
    kept.b = 3;
    expect(kept).toStrictEqual({ a: [1, 2], b: 3 });
    expect(value).toStrictEqual({ a: [1] });
  });

  it('may come from another realm, as structuredClone makes it under Jest', () => {
    const foreign: unknown = runInNewContext('({ a: [{ b: 1 }] })');
    const kept = asJsonValue(foreign, { name: 'u' });
    expect(Object.getPrototypeOf(foreign)).not.toBe(Object.prototype);
    expect(kept).toStrictEqual({ a: [{ b: 1 }] });
    expect(refusal(runInNewContext('new Date(0)'))).toContain('a Date at the top');
    expect(refusal(runInNewContext('({ a: new (class Point {})() })'))).toContain('a Point at "a"');
    expect(refusal(Object.create(Object.create(null) as object))).toContain('the top');
  });

  it('holds no object in two places: changing the one must not change the other', () => {
    const shared = { n: 1 };
    const kept = asJsonValue({ first: shared, all: [shared] }, { name: 'u' }) as {
      first: { n: number };
      all: { n: number }[];
    };
    kept.first.n = 2;
    expect(kept.all).toEqual([{ n: 1 }]);
  });

  it.each([
    [undefined, 'undefined at the top'],
    [Number.NaN, 'NaN at the top'],
    [{ a: { b: [1, Number.POSITIVE_INFINITY] } }, 'Infinity at "a.b[1]"'],
    [[[undefined]], 'undefined at "[0][0]"'],
    [{ when: new Date() }, 'a Date at "when"'],
    [new Map(), 'a Map at the top'],
    [{ list: new Set() }, 'a Set at "list"'],
    [{ f: () => 1 }, 'function at "f"'],
    [{ s: Symbol('s') }, 'symbol at "s"'],
    [{ n: 1n }, 'bigint at "n"'],
    [{ o: { toJSON: () => 1 } }, 'an object with toJSON at "o"'],
    [new (class Account {})(), 'a Account at the top'],
  ])('is refused, with the place, if JSON cannot hold it', (value, where) => {
    expect(refusal(value)).toContain(where);
  });

  it('is refused if it goes in a circle, or too deep', () => {
    const circle: { self?: unknown } = {};
    circle.self = [circle];
    expect(refusal(circle)).toContain('a circle');
    let deep: unknown = 1;
    for (let i = 0; i < 600; i++) deep = [deep];
    expect(refusal(deep)).toContain('more than 500 levels');
  });
});

describe('a copy of JSON', () => {
  it('is equal, and shares nothing with what it is a copy of', () => {
    const shared = (one: unknown, other: unknown): boolean => {
      if (typeof one !== 'object' || one === null) return false;
      if (one === other) return true;
      const others = other as Readonly<Record<string, unknown>>;
      return Object.entries(one).some(([name, member]) => shared(member, others[name]));
    };
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const copy = copyOfJson(value);
        expect(JSON.stringify(copy)).toBe(JSON.stringify(value));
        expect(shared(copy, value)).toBe(false);
      }),
    );
  });

  it('has the same members where one is called __proto__', () => {
    const value: unknown = JSON.parse('{"a":[{"__proto__":{"b":1},"c":2}]}');
    expect(JSON.stringify(copyOfJson(value))).toBe(JSON.stringify(value));
  });
});

function hasMinusZero(value: unknown): boolean {
  if (Object.is(value, -0)) return true;
  return typeof value === 'object' && value !== null && Object.values(value).some(hasMinusZero);
}
