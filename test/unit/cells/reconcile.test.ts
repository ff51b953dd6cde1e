import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { reconcile, type Viewpoint } from '../../../src/cells/reconcile.ts';
import type { CellContent, Envelope } from '../../../src/cells/envelope.ts';
import { TorilError } from '../../../src/errors.ts';

const cell = (token: number, base: number, more: Partial<Envelope> = {}): CellContent => ({
  kind: 'envelope',
  envelope: {
    token,
    base,
    queue: 'bull:q',
    dataSet: 'ours',
    value: 1,
    watermark: 1,
    decisions: new Map(),
    expireMs: 0,
    ...more,
  },
});
const FROM: Viewpoint = {
  queue: 'bull:q',
  dataSet: { id: 'ours', madeAt: 4 },
  token: 100,
  firstSequence: undefined,
  knows: (id) => id === 'ours' || id === 'former',
};
const reconciled = (content: CellContent, token: number): string => {
  const found = reconcile(content, { token, watermark: 1 }, FROM);
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
    ['of another queue', cell(5, 3, { queue: 'bull:other' }), 5, 'CELL_OF_ANOTHER_QUEUE'],
    ['that a lock wrote over one of ours', cell(9, 5, { queue: '' }), 5, 'FOREIGN_VALUE'],
    [
      'that a lock wrote first',
      cell(9, 0, { queue: '', dataSet: 'of locks' }),
      0,
      'unacknowledged',
    ],
  ])('%s', (_, content, token, expected) => {
    expect(reconciled(content, token)).toBe(expected);
  });

  it.each([
    ['with the first commit of its key', cell(7, 0), 'ours', 'unacknowledged'],
    ['of a data set younger than ours, and so of another Redis', cell(5, 0), 'theirs', 'another'],
    ['also if its numbers fit', cell(5, 3), 'theirs', 'another'],
    ['also if Redis has acknowledged just that number', cell(7, 5), 'theirs', 'another'],
    ['of one older than ours, which ours may have replaced', cell(3, 0), 'theirs', 'went back'],
    ['of one that this very process worked with', cell(9, 0), 'former', 'went back'],
    ['without one', cell(3, 0), '', 'went back'],
  ])('%s', (_, content, dataSet, expected) => {
    const { envelope } = content as { envelope: Envelope };
    const at = { unacknowledged: 0, another: envelope.base, 'went back': 0 }[expected] ?? 0;
    const code = { another: 'CELL_OF_ANOTHER_REDIS', 'went back': 'REDIS_WENT_BACK' }[expected];
    expect(reconciled({ kind: 'envelope', envelope: { ...envelope, dataSet } }, at)).toBe(
      code ?? expected,
    );
  });

  it('of another data set is told with all that can have happened, and what to do', () => {
    const message = (content: CellContent): string => {
      const found = reconcile(content, { token: 0, watermark: 0 }, FROM);
      return found.kind === 'refused' ? found.cause.message : found.kind;
    };
    expect(message(cell(9, 0, { dataSet: 'theirs' }))).toMatch(
      /share this memcached.*different keys/,
    );
    expect(message(cell(3, 0, { dataSet: 'theirs' }))).toMatch(
      /emptied.*--trust cell.*different keys/,
    );
    expect(message(cell(9, 0, { dataSet: 'former' }))).toMatch(/emptied or replaced.*--trust cell/);
    expect(message(cell(9, 0, { dataSet: 'former' }))).not.toMatch(/share/);
  });

  it.each([
    ['the token drawn is not above that of the cell', cell(9, 5), 5, 0, 9, undefined],
    ['also if Redis has acknowledged just that commit', cell(9, 5), 9, 1, 9, undefined],
    ['also if the cell is an old one', cell(12, 5), 9, 1, 12, undefined],
    ['also if it was written under a lock', cell(9, 0, { queue: '' }), 0, 0, 9, undefined],
    ['the token drawn is not above that of the copy', { kind: 'missing' }, 9, 1, 9, undefined],
    ['the token drawn is not above the watermark', { kind: 'missing' }, 9, 11, 10, undefined],
    ['a job waits at the watermark', cell(9, 5), 9, 7, 10, 7],
    ['a job waits below the watermark, and there is no cell', { kind: 'missing' }, 9, 7, 10, 6],
  ] satisfies [string, CellContent, number, number, number, number | undefined][])(
    'shows that Redis went back if %s',
    (_, content, copyToken, watermark, token, firstSequence) => {
      const at = (from: Partial<Viewpoint>): string => {
        const found = reconcile(content, { token: copyToken, watermark }, { ...FROM, ...from });
        return found.kind === 'refused' ? found.cause.code : found.kind;
      };
      expect(at({ token, firstSequence })).toBe('REDIS_WENT_BACK');
      const later = Math.max(token, watermark) + 1;
      expect(at({ token: later, firstSequence: later })).not.toBe('REDIS_WENT_BACK');
    },
  );

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
    expect(reconciled(content, token)).toBe(expected);
  });

  it('is believed only if it is the acknowledged state or extends it by one commit', () => {
    const numbers = fc.nat(6);
    fc.assert(
      fc.property(numbers, numbers, numbers, (base, more, copy) => {
        const token = base + 1 + more;
        const { envelope } = cell(token, base) as { envelope: Envelope };
        const found = reconcile(
          { kind: 'envelope', envelope },
          { token: copy, watermark: 1 },
          FROM,
        );
        const believed = found.kind === 'clean' || found.kind === 'unacknowledged';
        expect(believed).toBe(copy === token || copy === base);
        if (!believed) expect(found.kind).toBe(base > copy ? 'refused' : 'restore');
      }),
    );
  });
});
