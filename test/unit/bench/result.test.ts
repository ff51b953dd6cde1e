/** From measured runs to rows, tables, pages and charts. */
import { describe, expect, test } from 'vitest';
import { argumentsOf } from '../../../bench/arguments.ts';
import { FLAWLESS, type Verdict } from '../../../bench/chain-audit.ts';
import { chartOf } from '../../../bench/chart.ts';
import { withScorecard, withSheets } from '../../../bench/docs.ts';
import { FAMILY_NAMES } from '../../../bench/families/families.ts';
import { keptPerKey } from '../../../bench/families/memory.ts';
import type { Sample } from '../../../bench/measure.ts';
import { brokePromise, reachedTarget, type Row, rowOf } from '../../../bench/row.ts';
import { parseInfo } from '../../../bench/server-meter.ts';
import { scorecardOf } from '../../../bench/scorecard.ts';
import { sheetsOf } from '../../../bench/sheet.ts';
import type { SystemName } from '../../../bench/systems.ts';
import { median, percentile, spread } from '../../../bench/statistics.ts';
import { markdownOf, tablesOf } from '../../../bench/table.ts';

const CELL = { family: 'gate', work: '1 key', keys: 1, concurrency: 64, processes: 1 };

function sampleOf(jobsPerSecond: number, verdict: Verdict | undefined = FLAWLESS): Sample {
  const servers = {
    redisCpuSeconds: 0.5,
    redisCommands: 2_000,
    redisBytes: 100_000,
    memcachedCpuSeconds: 0.1,
    memcachedCommands: 1_000,
    memcachedBytes: 50_000,
  };
  const effort = { jobs: 1_000, workerCpuSeconds: 2, peakRssBytes: 2 ** 27, servers };
  return { jobs: 1_000, jobsPerSecond, verdict, effort, trouble: undefined };
}

const torilRow = (samples: readonly Sample[], noop: readonly Sample[] = []): Row =>
  rowOf(CELL, 'toril', samples, noop, 0.8);

describe('statistics', () => {
  test('median: the middle one, or between the two in the middle', () => {
    expect(median([5])).toBe(5);
    expect(median([30, 10, 20])).toBe(20);
    expect(median([40, 10, 30, 20])).toBe(25);
    expect(() => median([])).toThrow(RangeError);
  });

  test('percentile: the nearest rank', () => {
    const hundred = Array.from({ length: 100 }, (_, i) => 100 - i);
    expect(percentile(hundred, 50)).toBe(50);
    expect(percentile(hundred, 99)).toBe(99);
    expect(percentile([7], 99)).toBe(7);
    expect(percentile([1, 2], 1)).toBe(1);
  });

  test('spread', () => {
    expect(spread([3, 1, 2])).toEqual({ min: 1, max: 3 });
  });
});

describe('a row', () => {
  test('compares round by round', () => {
    const row = torilRow(
      [sampleOf(80), sampleOf(450), sampleOf(90)],
      [sampleOf(100), sampleOf(500), sampleOf(120)],
    );
    expect(row.jobsPerSecond).toBe(90);
    expect(row.jobsPerSecondSpread).toEqual({ min: 80, max: 450 });
    expect(row.ratio).toBe(0.8);
    expect(row.ratioSpread).toEqual({ min: 0.75, max: 0.9 });
    expect(reachedTarget(row)).toBe(true);
  });

  test('has no ratio without a ceiling, and no verdict without values', () => {
    const row = rowOf(CELL, 'bullmq-noop', [{ ...sampleOf(100), verdict: undefined }], [undefined]);
    expect(row).toMatchObject({ ratio: null, lost: null, doubled: null, reordered: null });
    expect(reachedTarget(row)).toBeNull();
  });

  test('adds up what went wrong in all runs', () => {
    const wrong = { lost: 1, doubled: 2, reordered: 3 };
    const row = torilRow([sampleOf(1, wrong), sampleOf(1, wrong), sampleOf(1)]);
    expect(row).toMatchObject({ lost: 2, doubled: 4, reordered: 6 });
  });

  test('costs are per job', () => {
    expect(torilRow([sampleOf(1)]).costs).toEqual({
      workerCpuSecondsPer1000Jobs: 2,
      redisCpuSecondsPer1000Jobs: 0.5,
      memcachedCpuSecondsPer1000Jobs: 0.1,
      peakRssMiB: 128,
      redisCommandsPerJob: 2,
      redisBytesPerJob: 100,
      memcachedCommandsPerJob: 1,
      memcachedBytesPerJob: 50,
    });
  });

  test('has at least what other programs look for', () => {
    for (const field of ['system', 'keys', 'concurrency', 'processes', 'jobs', 'jobsPerSecond']) {
      expect(torilRow([sampleOf(1)])).toHaveProperty(field);
    }
  });

  test('only a product that was wrong or did not finish fails the bench', () => {
    const wrong = sampleOf(1, { lost: 0, doubled: 0, reordered: 1 });
    expect(brokePromise(torilRow([sampleOf(1)]))).toBe(false);
    expect(brokePromise(torilRow([wrong]))).toBe(true);
    expect(brokePromise(torilRow([{ ...sampleOf(1), trouble: 'stalled' }]))).toBe(true);
    expect(brokePromise(rowOf(CELL, 'bullmq-cas', [wrong], []))).toBe(false);
  });

  test('a cost must stay below its target', () => {
    const row: Row = { ...torilRow([sampleOf(1)]), ratioOf: 'cost', target: 1.3 };
    expect(reachedTarget({ ...row, ratio: 1.2 })).toBe(true);
    expect(reachedTarget({ ...row, ratio: 1.4 })).toBe(false);
  });
});

describe('what is written', () => {
  const rows = [
    rowOf(CELL, 'bullmq-noop', [{ ...sampleOf(1_000), verdict: undefined }], [sampleOf(1_000)]),
    torilRow([sampleOf(700), sampleOf(900)], [sampleOf(1_000), sampleOf(1_000)]),
  ];

  test('a replay, which no server takes part in', () => {
    const cell = { ...CELL, family: 'replay', work: '1,000 commits', keys: 10 };
    const aim = [sampleOf(200_000)];
    const row = rowOf(cell, 'toril', [sampleOf(250_000)], aim, 1);
    const [sheet, ...others] = sheetsOf([row]);
    expect([sheet?.grids.length, others.length]).toEqual([1, 0]);
    expect(sheet?.grids[0]?.lines[0]?.join(' | ')).toBe(
      'Toril | 1,000 commits | 10 | 250,000 | 2000.00 | 128 | 1.25 | ≥ 1 ✓',
    );
  });

  test('what history keeps, beside Toril without', () => {
    const cell = { ...CELL, family: 'history' };
    const plain = rowOf(cell, 'toril', [sampleOf(1_000)], [sampleOf(1_000)]);
    const memory = { redisBytes: 1_000, bytesPerJob: 116 };
    const recorded = rowOf(cell, 'toril-history', [sampleOf(900)], [sampleOf(1_000)]);
    const [sheet] = sheetsOf([plain, { ...recorded, memory }]);
    expect(sheet?.grids[0]?.lines.map((line) => line.slice(-5).join(' | '))).toEqual([
      '1.00 |  | 0 | 0 | 0',
      '0.90 | 116 | 0 | 0 | 0',
    ]);
    expect(brokePromise({ ...recorded, lost: 1 })).toBe(true);
  });

  test('a table for the terminal', () => {
    const text = tablesOf(sheetsOf(rows));
    expect(text).toContain('One process, concurrency 64');
    expect(text).toContain('800 (700-900)');
    expect(text).toContain('0.80 (0.70-0.90)');
    expect(text).toContain('≥ 0.8 ✓');
  });

  test('a Markdown table: every line has as many cells as the head', () => {
    const [sheet] = sheetsOf(rows);
    const text = sheet === undefined ? '' : markdownOf(sheet);
    const tables = text.split('\n\n').filter((part) => part.startsWith('|'));
    expect(tables).toHaveLength(2);
    for (const table of tables) {
      const counts = table.split('\n').map((line) => line.split('|').length);
      expect(new Set(counts).size).toBe(1);
    }
  });

  test('systems down and kinds of work across, where there are many rows', () => {
    const cell = { ...CELL, family: 'matrix' };
    const wrong = sampleOf(300, { lost: 0, doubled: 0, reordered: 7 });
    const many = [
      rowOf(cell, 'toril', [sampleOf(900), sampleOf(1_100)], []),
      rowOf(cell, 'bullmq-cas', [wrong], []),
      rowOf({ ...cell, work: '10 keys' }, 'bullmq-cas', [sampleOf(500)], [sampleOf(1_000)]),
      rowOf({ ...cell, processes: 2 }, 'toril', [sampleOf(1_500)], []),
    ];
    const [sheet] = sheetsOf(many);
    expect(sheet?.grids.map(({ caption }) => caption)).toEqual([
      '1 process, concurrency 64:',
      '2 processes, concurrency 64:',
      'What it cost:',
    ]);
    expect(sheet?.grids[0]?.lines).toEqual([
      ['Toril', 'order', '1,000 ±10%', '', '0', '0', '0'],
      ['BullMQ + CAS loop', 'exclusion', '300 ✗', '500 0.50', '0', '0', '7'],
    ]);
  });

  test('a page: new tables at its end, then in their own places', () => {
    const page = '# Performance\n\nThe method.\n';
    const gate = sheetsOf(rows);
    const memory = sheetsOf(rows.map((row) => ({ ...row, family: 'memory' })));
    const first = withSheets(page, [...gate, ...memory], 'a machine');
    expect(first.startsWith('# Performance\n\nThe method.\n\n## Measured\n\n')).toBe(true);
    expect(withSheets(first, gate, 'a machine')).toBe(first);
    const again = withSheets(first, gate, 'another machine');
    expect(again).toContain('another machine.');
    expect(again.match(/## Measured/g)).toHaveLength(1);
    expect(again.indexOf('bench:gate')).toBeLessThan(again.indexOf('bench:memory'));
  });

  test('a chart: a panel per kind of work, a bar per system, coloured by who was right', () => {
    const wrong = torilRow([sampleOf(1, { lost: 1, doubled: 0, reordered: 0 })]);
    const svg = chartOf([...rows, { ...wrong, work: '<2 keys>', title: 'A & B' }]);
    expect(svg.match(/<g /g)).toHaveLength(2);
    expect(svg).toContain('&lt;2 keys&gt;');
    expect(svg).toContain('A &amp; B');
    expect(svg).not.toContain('NaN');
    for (const colour of ['#2a7f62', '#c8553d', '#8d99ae']) {
      expect(svg.split(colour).length).toBeGreaterThan(2); // besides the legend
    }
  });

  test('a chart of nothing', () => {
    expect(chartOf([])).not.toContain('NaN');
  });
});

describe('the scorecard', () => {
  const cell = { ...CELL, family: 'matrix', work: '1 key', keys: 1 };
  const rival = (system: SystemName, rate: number, verdict?: Verdict): Row =>
    rowOf(cell, system, [sampleOf(rate, verdict)], []);
  const lines = (rows: readonly Row[]): readonly (readonly string[])[] =>
    scorecardOf(rows).grids[0]?.lines ?? [];

  test('has a line for each row of which something is wanted', () => {
    const row = torilRow([sampleOf(700), sampleOf(900)], [sampleOf(1_000), sampleOf(1_000)]);
    expect(lines([row, { ...row, target: null }])).toEqual([
      ['One process, concurrency 64: 1 key', '0.80', '0.70-0.90', '2', '≥ 0.80', '✓'],
    ]);
    expect(lines([{ ...row, target: 0.81 }])[0]?.at(-1)).toBe('✗');
    expect(lines([{ ...row, trouble: 'stalled' }])[0]?.at(-1)).toBe('✗');
  });

  test('compares with the fastest that was right and promises to be', () => {
    const wrong = { lost: 1, doubled: 0, reordered: 0 };
    const rows = [
      rival('toril', 6_000),
      rival('groupmq', 1_900),
      rival('bullmq-redis-mutex', 2_100),
      rival('bullmq-cas', 5_000, wrong),
      rival('bullmq-no-lock', 9_000),
    ];
    const [line, ...others] = lines(rows);
    expect(line?.[0]).toContain('to the best that is right (BullMQ + Redis mutex)');
    expect(line?.slice(1)).toEqual(['2.86', '', '1', '≥ 3.00', '✗']);
    expect(others).toEqual([]);
  });

  test('is written into the page when a run has measured all of it, and else left alone', () => {
    const row = torilRow([sampleOf(900)], [sampleOf(1_000)]);
    const every = FAMILY_NAMES.map((family) => ({ ...row, family }));
    const page = withScorecard('# Performance\n', every, 'a machine');
    expect(page).toContain('| Strict updates: 1 key | 0.90 |');
    expect(withScorecard(page, [row], 'another machine')).toBe(page);
  });

  test('says what it has no figure for', () => {
    expect(scorecardOf([]).troubles.join()).toContain('growth');
  });
});

describe('what is read', () => {
  test('the parts: all short ones, with --all every one, or the named ones in their order', () => {
    expect(argumentsOf({}).families).not.toContain('growth');
    expect(argumentsOf({ all: true }).families).toContain('growth');
    expect(argumentsOf({ only: ['matrix', 'gate'] }).families).toEqual(['gate', 'matrix']);
    expect(argumentsOf({ scorecard: true }).families).toContain('traces');
    expect(argumentsOf({ scorecard: true }).families).not.toContain('memory');
    expect(argumentsOf({ scorecard: true }).cells.keys).toEqual([1, 0]);
    expect(argumentsOf({}).cells.keys).toEqual([]);
    expect(argumentsOf({}).runs).toBe(5);
    expect(argumentsOf({ quick: true }).runs).toBeLessThan(5);
    expect(argumentsOf({ quick: true, runs: 7 }).runs).toBe(7);
  });

  test('what Redis says of itself', () => {
    const fields = parseInfo('# Stats\r\nused_memory:12\r\ncmdstat_get:calls=3,usec=1\r\n');
    expect(fields.get('used_memory')).toBe('12');
    expect(fields.get('cmdstat_get')).toBe('calls=3,usec=1');
  });

  test('what is left of a key', () => {
    const plan = { run: 'bench-1', jobs: 4, keys: 2 };
    const names = ['copy:bench-1:0', 'copy:bench-1:1', 'lane:bench-1:0', 'meta', 'sequence', '7'];
    const queue = names.map((name) => `bull:bench-1:${name}`);
    expect(keptPerKey(queue, plan)).toEqual({ copy: 1, lane: 0.5, job: 0.5 });
  });
});
