import { describe, expect, test } from 'vitest';
import { misspelt } from '../../../src/base/misspelt.ts';

const KNOWN = ['connection', 'memcached', 'concurrency', 'updates', 'leaseMs', 'strict', 'id'];

describe('misspelt names', () => {
  test.each([
    ['a letter less', 'concurency', 'concurrency'],
    ['a letter more', 'connnection', 'connection'],
    ['another letter', 'updated', 'updates'],
    ['two letters in the wrong order', 'memcahced', 'memcached'],
    ['two edits in a long name', 'conection ', 'connection'],
    ['capitals', 'leaseMS', 'leaseMs'],
    ['the singular', 'update', 'updates'],
  ])('%s', (_, name, meant) => {
    expect(misspelt({ connection: {}, [name]: 1 }, KNOWN)).toEqual({ name, meant });
  });

  test('what is nothing like them, and what is not set, is left alone', () => {
    const others = {
      processors: [],
      streams: {},
      extraOptions: 1,
      ix: 1,
      strictly: 1,
      updat: undefined,
    };
    expect(misspelt(others, KNOWN)).toBeUndefined();
    expect(misspelt({ connection: 1, id: 1 }, KNOWN)).toBeUndefined();
  });
});
