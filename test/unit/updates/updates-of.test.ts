/** Updates as a list or as a module. */
import { describe, expect, test } from 'vitest';
import { compare } from '../../../src/history/compare/compare.ts';
import { shrink } from '../../../src/history/cutting/shrink.ts';
import { replay } from '../../../src/history/replay/replay.ts';
import { updatesOf } from '../../../src/updates/updates-of.ts';
import * as recorded from '../../support/recorded.ts';

const { deposit, interest } = recorded;

describe('updates', () => {
  test.each([
    ['a list', [deposit, interest]],
    ['a default export', { default: [deposit, interest], other: 1 }],
    ['an export "updates"', { updates: [deposit, interest] }],
    ['single exports, each once', { deposit, again: deposit, interest, helper: () => 1 }],
  ])('of %s', (_, given) => {
    expect(updatesOf(given)).toEqual([deposit, interest]);
  });

  test.each([
    [{}, 'the module of updates exports no updates'],
    [undefined, 'exports no updates'],
    [{ default: [] }, 'an empty list'],
    [{ updates: [deposit, 5] }, 'item 1 of the updates in the module of updates'],
  ])('are not to be had of %o', (given, message) => {
    expect(() => updatesOf(given as never)).toThrow(
      expect.objectContaining({
        code: 'INVALID_OPTIONS',
        message: expect.stringContaining(message),
      }),
    );
  });

  test('of a module replay, compare and shrink take', async () => {
    const lines = recorded.linesOf(new recorded.History().step('a', [['deposit', 5]]).commits);
    expect(await replay(lines, recorded, { former: recorded })).toMatchObject({ agrees: true });
    expect(await compare(lines, { old: recorded, new: recorded })).toMatchObject({
      verdict: 'same',
    });
    const free = { ...deposit, apply: (account: recorded.Account) => account };
    const small = await shrink(lines, { old: recorded, new: { free } });
    expect(small.jobs).toEqual(['1']);
  });
});
