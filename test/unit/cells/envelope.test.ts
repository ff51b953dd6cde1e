import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  CELL_FLAGS,
  decodeItem,
  encodeEnvelope,
  type NewEnvelope,
  PLACEHOLDER_ITEM,
} from '../../../src/cells/envelope.ts';
import type { Item } from '../../../src/memcached/server.ts';

const item = (value: string | Buffer, flags = CELL_FLAGS): Item => ({
  value: Buffer.from(value),
  flags,
  cas: 1n,
});
const plain: NewEnvelope = {
  valueJson: '{"n":1}',
  watermark: 3,
  token: 2,
  base: 1,
  queue: 'bull:q',
  dataSet: '0123456789abcdef',
  decisions: new Map(),
  expireMs: 0,
};

describe('an envelope', () => {
  it('is JSON with the value under `value`, for readers in any language', () => {
    const text = encodeEnvelope({ ...plain, decisions: new Map([['7', 'a1']]), expireMs: 5 });
    expect(JSON.parse(text.toString())).toEqual({
      toril: 1,
      token: 2,
      base: 1,
      watermark: 3,
      queue: 'bull:q',
      dataSet: '0123456789abcdef',
      expireMs: 5,
      decisions: { '7': 'a1' },
      value: { n: 1 },
    });
  });

  it('comes back with every field that it can have', () => {
    // By its type, a field that is new must be added here.
    const all: Required<NewEnvelope> = {
      ...plain,
      valueJson: '{"n":1}',
      jobs: '1*1',
      late: new Map([['9', 2]]),
      decisions: new Map([['7', 'a1']]),
      expireMs: 5,
      origin: 'adopted',
      keys: ['a', 'b'],
    };
    const { valueJson, ...header } = all;
    expect(decodeItem(item(encodeEnvelope(all)))).toEqual({
      kind: 'envelope',
      envelope: { ...header, value: JSON.parse(valueJson as string) },
    });
  });

  it('comes back as it was written, whatever is in it', () => {
    const number = fc.nat(2 ** 31);
    const decisions = fc
      .dictionary(fc.string(), fc.string())
      .map((all) => new Map(Object.entries(all)));
    fc.assert(
      fc.property(
        fc.record({
          watermark: number,
          token: number,
          base: number,
          queue: fc.string(),
          dataSet: fc.string(),
          expireMs: number,
          decisions,
        }),
        fc.option(fc.jsonValue(), { nil: undefined }),
        (header, value) => {
          const valueJson = value === undefined ? undefined : JSON.stringify(value);
          const decoded = decodeItem(item(encodeEnvelope({ ...header, valueJson })));
          expect(decoded).toEqual({
            kind: 'envelope',
            envelope: {
              ...header,
              value: valueJson === undefined ? undefined : JSON.parse(valueJson),
              origin: undefined,
            },
          });
        },
      ),
    );
  });

  it('without a value is a tombstone', () => {
    const decoded = decodeItem(item(encodeEnvelope({ ...plain, valueJson: undefined })));
    expect(decoded).toMatchObject({ kind: 'envelope', envelope: { value: undefined, token: 2 } });
  });
});

describe('an item that was found', () => {
  it('without the mark is foreign, whatever it holds', () => {
    const bytes = encodeEnvelope(plain);
    expect(decodeItem(item(bytes, 0))).toEqual({ kind: 'foreign', bytes });
  });

  it('that is a placeholder is no cell', () => {
    expect(decodeItem({ ...PLACEHOLDER_ITEM, cas: 1n })).toEqual({ kind: 'missing' });
  });

  it('of a newer format is left alone', () => {
    const decoded = decodeItem(item('{"toril":2,"whatever":1}'));
    expect(decoded).toMatchObject({ kind: 'unreadable', cause: { code: 'ENVELOPE_NEWER' } });
  });

  it.each([
    '',
    '{',
    'null',
    '7',
    '{}',
    '{"toril":"1"}',
    '{"toril":1}',
    '{"toril":1,"token":1,"base":1}',
    '{"toril":1,"token":-1,"base":0,"watermark":0}',
    '{"toril":1,"token":1.5,"base":0,"watermark":0}',
    '{"toril":1,"token":9007199254740992,"base":0,"watermark":0}',
  ])('with our mark and damaged (%j) is told, and never throws', (text) => {
    const decoded = decodeItem(item(text));
    expect(decoded).toMatchObject({ kind: 'unreadable', cause: { code: 'ENVELOPE_DAMAGED' } });
  });

  it('never throws on any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(decodeItem(item(Buffer.from(bytes))).kind).not.toBe('envelope');
      }),
    );
  });
});
