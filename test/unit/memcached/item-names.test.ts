import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TorilError } from '../../../src/errors.ts';
import { checkKey, KEY_BYTES_MAX } from '../../../src/key.ts';
import { cellName, lockName } from '../../../src/memcached/item-names.ts';

describe('the cell', () => {
  test.each(['a', 'user:42', 'ключ', '🐂', '{tag}:x', 'a/b?c', 'x'.repeat(250), 'é'.repeat(125)])(
    'is the key itself: %s',
    (key) => {
      expect(cellName(key)).toBe(key);
    },
  );

  test.each([
    ['a blank', 'a b'],
    ['a line end', 'a\r\n'],
    ['NUL', '\0'],
    ['DEL', 'a\x7f'],
    ['251 bytes', 'x'.repeat(251)],
    ['252 bytes in 126 characters', 'é'.repeat(126)],
  ])('of a key with %s is its SHA-256', (_, key) => {
    expect(cellName(key)).toMatch(/^toril:sha256:[\da-f]{64}$/);
  });

  test('is hashed for every blank and control character, and for no other', () => {
    for (let code = 0; code < 0x180; code++) {
      const key = `a${String.fromCharCode(code)}b`;
      const unsafe = code <= 0x20 || code === 0x7f;
      expect(cellName(key) === key, key).toBe(!unsafe);
      expect(lockName(key) === `toril:lock:${key}`, key).toBe(!unsafe);
    }
  });

  test('under SHA-256 is where other programs can find it', () => {
    // printf 'a b' | sha256sum
    const hash = 'c8687a08aa5d6ed2044328fa6a697ab8e96dc34291e8c2034ae8c38e6fcc6d65';
    expect(cellName('a b')).toBe(`toril:sha256:${hash}`);
  });
});

describe('the lock', () => {
  test('carries its own prefix', () => {
    expect(lockName('user:42')).toBe('toril:lock:user:42');
  });

  test('is hashed where its own name would be too long, though the key is not', () => {
    const key = 'x'.repeat(240);
    expect(cellName(key)).toBe(key);
    expect(lockName(key)).toMatch(/^toril:lock:toril:sha256:[\da-f]{64}$/);
  });
});

describe('any key that is allowed', () => {
  const keys = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 400 }).filter((key) => {
    try {
      checkKey(key);
      return true;
    } catch (error) {
      if (error instanceof TorilError) return false;
      throw error;
    }
  });
  const memcachedTakes = (name: string): boolean =>
    Buffer.byteLength(name) <= 250 &&
    ![...Buffer.from(name)].some((byte) => byte <= 32 || byte === 127);

  test('has names that memcached takes, cell and lock apart', () => {
    fc.assert(
      fc.property(keys, (key) => {
        expect(memcachedTakes(cellName(key))).toBe(true);
        expect(memcachedTakes(lockName(key))).toBe(true);
        expect(cellName(key)).not.toBe(lockName(key));
      }),
    );
  });

  test('shares no name with another key', () => {
    fc.assert(
      fc.property(keys, keys, (one, other) => {
        fc.pre(one !== other);
        const names = [cellName(one), lockName(one), cellName(other), lockName(other)];
        expect(new Set(names).size).toBe(4);
      }),
    );
  });
});

describe('refused, with INVALID_KEY:', () => {
  test.each<[string, unknown, string]>([
    ['nothing', '', 'empty'],
    ['undefined', undefined, 'type undefined'],
    ['a number', 7, 'type number'],
    ['1025 bytes', 'x'.repeat(KEY_BYTES_MAX + 1), '1025 bytes'],
    ['1026 bytes in 513 characters', 'é'.repeat(513), '1026 bytes'],
    ['a reserved one', 'toril:lock:a', 'keeps for itself'],
    ['half a surrogate pair', 'a\ud800', 'surrogate'],
  ])('%s', (_, key, message) => {
    expect(() => checkKey(key)).toThrow(
      expect.objectContaining({ code: 'INVALID_KEY', message: expect.stringContaining(message) }),
    );
  });

  test('but 1024 bytes are fine', () => {
    expect(() => checkKey('x'.repeat(KEY_BYTES_MAX))).not.toThrow();
  });
});
