import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { believe } from '../../src/cells/believe.ts';
import type { CellContent, Envelope } from '../../src/cells/envelope.ts';
import { TorilError } from '../../src/errors.ts';

const cell = (token: number, base: number, queue = 'bull:q'): CellContent => ({
  kind: 'envelope',
  envelope: { token, base, queue, value: 1, watermark: 1, decisions: new Map(), expireMs: 0 },
});
const standing = (content: CellContent, token: number, remembersFrom = 0): string => {
  const found = believe(content, { token }, remembersFrom, 'bull:q');
  switch (found.kind) {
    case 'refused':
      return found.cause.code;
    case 'restore':
      return `restore: ${found.found}`;
    default:
      return found.kind;
  }
};

describe('a cell', () => {
  it.each([
    ['that is what Redis last acknowledged', cell(5, 3), 5, 'clean'],
    ['whose commit landed and was not acknowledged', cell(7, 5), 5, 'unacknowledged'],
    ['from before the last acknowledgement', cell(3, 1), 5, 'restore: stale'],
    ['that went another way from the same base', cell(6, 3), 5, 'restore: stale'],
    ['built on a commit that Redis has never seen', cell(9, 7), 5, 'REDIS_WENT_BACK'],
    ['built on one, when Redis knows nothing at all', cell(9, 7), 0, 'REDIS_WENT_BACK'],
    ['of another queue', cell(5, 3, 'bull:other'), 5, 'CELL_OF_ANOTHER_QUEUE'],
    ['that a lock wrote over one of ours', cell(9, 5, ''), 5, 'FOREIGN_VALUE'],
    ['that a lock wrote first', cell(9, 0, ''), 0, 'unacknowledged'],
  ])('%s', (_, content, token, expected) => {
    expect(standing(content, token)).toBe(expected);
  });

  it.each([
    ['was not acknowledged', cell(7, 0), 7, 'unacknowledged'],
    ['was forgotten by a Redis that was emptied since', cell(7, 0), 8, 'REDIS_WENT_BACK'],
    ['was made under a lock, and never acknowledged', cell(7, 0, ''), 8, 'unacknowledged'],
  ])('with the first commit of its key, which %s', (_, content, remembersFrom, expected) => {
    expect(standing(content, 0, remembersFrom)).toBe(expected);
  });

  it.each([
    ['is missing, and the key is new', { kind: 'missing' }, 0, 'fresh'],
    ['is missing, and Redis knows better', { kind: 'missing' }, 5, 'restore: missing'],
    ['is foreign, and the key is new', { kind: 'foreign', bytes: Buffer.from('x') }, 0, 'foreign'],
    [
      'is foreign, over one of ours',
      { kind: 'foreign', bytes: Buffer.from('x') },
      5,
      'FOREIGN_VALUE',
    ],
    [
      'cannot be read',
      { kind: 'unreadable', cause: new TorilError('ENVELOPE_NEWER', 'newer.') },
      5,
      'ENVELOPE_NEWER',
    ],
  ] satisfies [string, CellContent, number, string][])('%s', (_, content, token, expected) => {
    expect(standing(content, token)).toBe(expected);
  });

  it('is believed only if it is the acknowledged state or extends it by one commit', () => {
    const numbers = fc.nat(6);
    fc.assert(
      fc.property(numbers, numbers, numbers, (base, more, copy) => {
        const token = base + 1 + more;
        const { envelope } = cell(token, base) as { envelope: Envelope };
        const found = believe({ kind: 'envelope', envelope }, { token: copy }, 0, 'bull:q');
        const believed = found.kind === 'clean' || found.kind === 'unacknowledged';
        expect(believed).toBe(copy === token || copy === base);
        if (!believed) expect(found.kind).toBe(base > copy ? 'refused' : 'restore');
      }),
    );
  });
});
