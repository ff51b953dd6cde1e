import fc from 'fast-check';
import { expect, it } from 'vitest';
import { decodeSequences, encodeSequences } from '../../../src/cells/sequences.ts';

it.each([
  [[], ''],
  [[7], undefined],
  [[7, 8], '1'],
  [[7, 8, 9, 10, 47], '1*3 37'],
])('the sequences %j are told as %j', (sequences, told) => {
  expect(encodeSequences(sequences)).toBe(told);
});

it('come back as they were, whatever they are', () => {
  const sequences = fc
    .uniqueArray(fc.oneof(fc.nat(50), fc.maxSafeNat()), { maxLength: 60 })
    .map((all) => all.toSorted((a, b) => a - b));
  fc.assert(
    fc.property(sequences, (all) => {
      expect(decodeSequences(encodeSequences(all), all.at(-1) ?? 5)).toEqual(all);
    }),
  );
});
