/** Numbers as digits: what a text would say. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { writeCas, writeNumber } from '../../../../src/memcached/meta/codec.ts';
import { type Room, roomOf } from '../../../../src/memcached/socket/room.ts';

function written(write: (room: Room) => void): string {
  const room = roomOf(64);
  write(room);
  return room.bytes.toString('latin1', 0, room.used);
}

const EDGES = [0, 9, 10, 99, 100, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 10 ** 15, 2 ** 53 - 1];

test('whole numbers', () => {
  const check = (number: number): void => {
    expect(written((room) => writeNumber(room, ' T', number))).toBe(` T${number}`);
  };
  for (const edge of EDGES) check(edge);
  fc.assert(fc.property(fc.maxSafeNat(), check));
});

test('a CAS of 64 bits', () => {
  const check = (cas: bigint): void => {
    expect(written((room) => writeCas(room, ' C', cas))).toBe(` C${cas}`);
  };
  for (const edge of [...EDGES.map(BigInt), 2n ** 53n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n])
    check(edge);
  fc.assert(fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), check));
});
