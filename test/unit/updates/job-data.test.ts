import type { StandardSchemaV1 } from '@standard-schema/spec';
import { type } from 'arktype';
import * as v from 'valibot';
import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { type AnyUpdate, defineUpdate } from '../../../src/index.ts';
import { throughJson, validated } from '../../../src/updates/job-data.ts';

const withSchema = (schema: StandardSchemaV1): AnyUpdate =>
  defineUpdate({ name: 'u', schema, key: () => 'k', apply: (value: number) => value });
const bare = defineUpdate({ name: 'u', key: () => 'k', apply: (value: number) => value });

describe('data as JSON', () => {
  it('is what will come out of the queue', () => {
    const at = new Date(0);
    expect(throughJson(bare, { at, gone: undefined, list: [undefined] })).toEqual({
      at: '1970-01-01T00:00:00.000Z',
      list: [null],
    });
    expect(throughJson(bare, undefined)).toEqual({});
    expect(throughJson(bare, null)).toBeNull();
  });

  it.each([
    [1n],
    [() => 1],
    [Symbol('s')],
    [
      {
        toJSON: () => {
          throw new Error('no');
        },
      },
    ],
  ])('is refused if there is none', (data) => {
    expect(() => throughJson(bare, data)).toThrow(/data of "u" cannot be written as JSON/);
  });
});

describe('a schema', () => {
  it.each([
    ['zod', z.object({ a: z.object({ n: z.number() }) })],
    ['valibot', v.object({ a: v.object({ n: v.number() }) })],
    ['arktype', type({ a: { n: 'number' } })],
  ] as [string, StandardSchemaV1][])('of %s names the place of each issue', (_, schema) => {
    const update = withSchema(schema);
    expect(validated(update, { a: { n: 1 } })).toEqual({ a: { n: 1 } });
    expect(() => validated(update, { a: { n: 'x' } })).toThrow(/does not fit its schema: .*a\.n/);
    expect(() => validated(update, null)).toThrow(/does not fit its schema/);
  });

  it('may make something else of the data', () => {
    const update = withSchema(z.object({ n: z.string().transform(Number) }));
    expect(validated(update, { n: '5' })).toEqual({ n: 5 });
  });

  it('may be asynchronous', async () => {
    const update = withSchema(z.object({ n: z.number().refine(async (n) => n > 0, 'too small') }));
    await expect(validated(update, { n: 1 })).resolves.toEqual({ n: 1 });
    await expect(validated(update, { n: 0 })).rejects.toMatchObject({
      code: 'INVALID_DATA',
      message: expect.stringMatching(/n: too small/),
    });
  });
});
