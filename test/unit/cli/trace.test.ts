/** Editing traces: patches in code points, files that are none, and how a difference is found. */
import { describe, expect, test } from 'vitest';
import { differenceFrom, documentsOf, interleaved } from '../../../src/cli/trace/documents.ts';
import { isExact, traceReport } from '../../../src/cli/trace/report.ts';
import type { TraceResult } from '../../../src/cli/trace/run.ts';
import { parseTrace } from '../../../src/cli/trace/trace-file.ts';
import { applyPatches, type Patch } from '../../../src/cli/trace/trace-updates.ts';

describe('patches', () => {
  test.each<[string, Patch[], string]>([
    ['', [[0, 0, 'abc']], 'abc'],
    ['abc', [[1, 1, 'XY']], 'aXYc'],
    ['abc', [[3, 0, 'd']], 'abcd'],
    ['abc', [[0, 3, '']], ''],
    ['abc', [], 'abc'],
    [
      'abc',
      [
        [0, 1, ''],
        [0, 1, ''],
        [1, 0, '!'],
      ],
      'c!',
    ],
    // Positions and lengths count code points: 😀 is one, and two UTF-16 units.
    ['a😀b', [[2, 0, '-']], 'a😀-b'],
    ['a😀b', [[1, 1, '']], 'ab'],
    ['😀😀😀', [[1, 1, '🙂']], '😀🙂😀'],
    ['äé', [[1, 1, 'ß']], 'äß'],
    [
      'ab',
      [
        [1, 0, '😀'],
        [2, 1, 'c'],
      ],
      'a😀c',
    ],
  ])('of %j: %j', (text, patches, expected) => {
    expect(applyPatches(text, patches)).toBe(expected);
  });

  test.each<[string, Patch]>([
    ['abc', [4, 0, 'x']],
    ['abc', [2, 2, 'x']],
    ['a😀', [3, 0, 'x']],
  ])('beyond the end of %j throw: %j', (text, patch) => {
    expect(() => applyPatches(text, [patch])).toThrow(RangeError);
  });
});

describe('a trace file', () => {
  const good = { startContent: '', endContent: 'a', txns: [{ patches: [[0, 0, 'a']] }] };
  const parse = (content: unknown): ReturnType<typeof parseTrace> =>
    parseTrace('some/doc.json.gz', JSON.stringify(content));

  test('is read', () => {
    expect(parse(good)).toEqual({ name: 'doc', endContent: 'a', transactions: [[[0, 0, 'a']]] });
  });

  test('that does not start empty starts with an insertion', () => {
    const { transactions } = parse({ ...good, startContent: 'xyz' });
    expect(applyPatches('', transactions.flat())).toBe('axyz');
  });

  test.each<[string, unknown]>([
    ['no object', []],
    ['endContent', { ...good, endContent: 1 }],
    ['startContent', { ...good, startContent: 1 }],
    ['txns', { ...good, txns: [] }],
    ['transaction 0 has no list of patches', { ...good, txns: [{}] }],
    ['transaction 1', { ...good, txns: [...good.txns, { patches: [[0, -1, 'a']] }] }],
    ['transaction 0 has a patch', { ...good, txns: [{ patches: [[0.5, 0, 'a']] }] }],
    ['transaction 0 has a patch', { ...good, txns: [{ patches: [[0, 0]] }] }],
  ])('is refused: %s', (what, content) => {
    const refused = expect(() => parse(content));
    refused.toThrow(expect.objectContaining({ code: 'BAD_FILE' }));
    refused.toThrow(what);
  });

  test('that is no JSON is refused', () => {
    expect(() => parseTrace('x', '{')).toThrow(expect.objectContaining({ code: 'BAD_FILE' }));
  });
});

describe('documents', () => {
  const trace = (name: string, edits: number): Parameters<typeof documentsOf>[0][number] => ({
    name,
    endContent: '',
    transactions: Array.from({ length: edits }, (_, index): Patch[] => [[0, 0, `${index}`]]),
  });

  test('of the same name have keys of their own', () => {
    const keys = documentsOf([trace('a', 1), trace('a', 1)], 'run:').map(({ key }) => key);
    expect(new Set(keys).size).toBe(2);
  });

  test('are edited at once, each in its own order, from the first job to the last', () => {
    const documents = documentsOf([trace('a', 10), trace('b', 100)], '');
    const edits = [...interleaved(documents)];
    expect(edits).toHaveLength(110);
    for (const { key, transactions } of documents) {
      const own = edits.filter(({ document }) => document === key);
      expect(own.map(({ patches }) => patches)).toEqual(transactions);
    }
    const half = edits.slice(0, 55).filter(({ document }) => document === documents[0]?.key);
    expect(half.length).toBeGreaterThanOrEqual(4);
    expect(half.length).toBeLessThanOrEqual(6);
  });
});

describe('a difference', () => {
  test('is none for the same bytes', () => {
    expect(differenceFrom('a😀', 'a😀')).toBeUndefined();
  });

  test.each([
    ['abc', undefined, 'there is no value'],
    ['abc', 5, 'of type number'],
    ['abc', 'abd', 'from byte 2 on'],
    ['abc', 'ab', '2 bytes instead of 3'],
    ['é', 'e\u0301', '3 bytes instead of 2'], // looks the same
  ])('between %j and %j is told', (expected, found, words) => {
    expect(differenceFrom(expected, found)).toContain(words);
  });
});

describe('the verdict', () => {
  const document = {
    name: 'a',
    jobs: 1,
    editsPerSecond: 1,
    bytes: 1,
    exact: true,
    difference: undefined,
  };
  const right: TraceResult = {
    ...{ documents: [document], jobs: 1, seconds: 1, editsPerSecond: 1, killed: 0, takeovers: 0 },
    ...{ refusedCommits: 0, recoveredCommits: 0, restoredCells: 0, failedJobs: 0, drained: true },
  };

  test('is good only if every document is exact and every job was done', () => {
    expect(isExact(right)).toBe(true);
    expect(traceReport(right)).toContain('byte for byte');
  });

  test.each<Partial<TraceResult>>([
    { failedJobs: 1 },
    { drained: false },
    { documents: [document, { ...document, exact: false, difference: 'there is no value' }] },
  ])('is bad with %j', (wrong) => {
    expect(isExact({ ...right, ...wrong })).toBe(false);
    expect(traceReport({ ...right, ...wrong })).toContain('WRONG');
  });
});
