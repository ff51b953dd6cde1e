/** The result as sheets: which columns each part of the bench shows, and what its cells say. */
import { describe } from './compare.ts';
import { crossTables } from './cross-table.ts';
import { FAMILY_NAMES, type FamilyName, familyOf } from './families/families.ts';
import { type Costs, reachedTarget, type Row } from './row.ts';
import { count, whole } from './number-text.ts';
import type { Spread } from './statistics.ts';

interface Column {
  readonly head: string;
  readonly cell: (row: Row) => string;
}

const NOTHING = '';
const COSTS_CAPTION = 'What it cost:';
/** System and work. */
const WORD_COLUMNS = 2;

const WORK: readonly Column[] = [
  { head: 'system', cell: ({ title }) => title },
  { head: 'work', cell: ({ work }) => work },
  { head: 'conc.', cell: ({ concurrency }) => whole(concurrency) },
  { head: 'proc.', cell: ({ processes }) => whole(processes) },
];
const JOBS: readonly Column[] = [{ head: 'jobs', cell: ({ jobs }) => whole(jobs) }];
const SPEED: readonly Column[] = [
  ...JOBS,
  {
    head: 'jobs/s (spread)',
    cell: ({ jobsPerSecond, jobsPerSecondSpread }) =>
      withSpread(jobsPerSecond, jobsPerSecondSpread, whole),
  },
];
const RATIO: readonly Column[] = [
  {
    head: 'ratio (spread)',
    cell: ({ ratio, ratioSpread }) => withSpread(ratio, ratioSpread, (number) => number.toFixed(2)),
  },
];
const TARGET: readonly Column[] = [{ head: 'wanted', cell: (row) => targetText(row) }];
const PROMISED: readonly Column[] = [{ head: 'promises', cell: ({ promised }) => promised }];
const RIGHT: readonly Column[] = [
  { head: 'lost', cell: ({ lost }) => count(lost) },
  { head: 'doubled', cell: ({ doubled }) => count(doubled) },
  { head: 'reordered', cell: ({ reordered }) => count(reordered) },
];
const COSTS: readonly Column[] = [
  costColumn('worker CPU ms/job', (costs) => costs.workerCpuSecondsPer1000Jobs.toFixed(3)),
  costColumn('Redis CPU ms/job', (costs) => costs.redisCpuSecondsPer1000Jobs.toFixed(3)),
  costColumn('memcached CPU ms/job', (costs) => costs.memcachedCpuSecondsPer1000Jobs.toFixed(3)),
  costColumn('peak RSS MiB', (costs) => whole(costs.peakRssMiB)),
  costColumn('Redis commands/job', (costs) => costs.redisCommandsPerJob.toFixed(1)),
  costColumn('Redis bytes/job', (costs) => whole(costs.redisBytesPerJob)),
  costColumn('memcached commands/job', (costs) => costs.memcachedCommandsPerJob.toFixed(2)),
  costColumn('memcached bytes/job', (costs) => whole(costs.memcachedBytesPerJob)),
];

/** CPU seconds per 1,000 jobs are milliseconds per job. */
function costColumn(head: string, text: (costs: Costs) => string): Column {
  return { head, cell: ({ costs }) => (costs === null ? NOTHING : text(costs)) };
}

const LATENCY: readonly Column[] = [
  { head: 'p50 ms', cell: ({ latency }) => latency?.p50Ms.toFixed(1) ?? NOTHING },
  { head: 'p99 ms', cell: ({ latency }) => latency?.p99Ms.toFixed(1) ?? NOTHING },
];
const MEMORY: readonly Column[] = [
  {
    head: 'bytes/job',
    cell: ({ memory }) => (memory?.bytesPerJob ? whole(memory.bytesPerJob) : NOTHING),
  },
  {
    head: 'left per key',
    cell: ({ memory }) =>
      Object.entries(memory?.keptPerKey ?? {})
        .map(([kind, number]) => `${number} ${kind}`)
        .join(', '),
  },
];

const HISTORY: readonly Column[] = [
  {
    head: 'history, bytes/job',
    cell: ({ memory }) => (memory === null ? NOTHING : whole(memory.bytesPerJob)),
  },
];
const REPLAY: readonly Column[] = [
  { head: 'system', cell: ({ title }) => title },
  { head: 'work', cell: ({ work }) => work },
  { head: 'keys', cell: ({ keys }) => whole(keys) },
  {
    head: 'commits/s (spread)',
    cell: ({ jobsPerSecond, jobsPerSecondSpread }) =>
      withSpread(jobsPerSecond, jobsPerSecondSpread, whole),
  },
  costColumn('CPU µs/commit', (costs) => (costs.workerCpuSecondsPer1000Jobs * 1000).toFixed(2)),
  costColumn('peak RSS MiB', (costs) => whole(costs.peakRssMiB)),
  {
    head: 'to 200,000/s (spread)',
    cell: ({ ratio, ratioSpread }) => withSpread(ratio, ratioSpread, (number) => number.toFixed(2)),
  },
];

const COLUMNS: Readonly<Record<Exclude<FamilyName, 'matrix'>, readonly Column[]>> = {
  gate: [...WORK, ...SPEED, ...RATIO, ...TARGET, ...RIGHT],
  strict: [...WORK, ...SPEED, ...RATIO, ...TARGET, ...RIGHT],
  protocols: [...WORK, ...SPEED, ...RATIO, ...TARGET, ...RIGHT],
  enqueue: [...WORK, ...SPEED, ...RATIO, ...TARGET],
  scaling: [...WORK, ...SPEED, ...RATIO, ...TARGET, ...RIGHT],
  traces: [...WORK, ...SPEED, ...RATIO, ...TARGET, ...RIGHT],
  memory: [...WORK, ...JOBS, ...RATIO, ...TARGET, ...MEMORY, ...RIGHT],
  history: [...WORK, ...SPEED, ...RATIO, ...HISTORY, ...RIGHT],
  replay: [...REPLAY, ...TARGET],
  latency: [...WORK, ...SPEED, ...LATENCY, ...RIGHT],
  isolation: [...WORK, ...SPEED, ...LATENCY, ...RATIO, ...TARGET, ...RIGHT],
  growth: [...WORK, ...SPEED, ...RATIO, ...TARGET, ...RIGHT],
  document: [...WORK, ...SPEED, ...RATIO, ...PROMISED, ...RIGHT],
};

/** A caption, the heads, then one line per row. */
export interface Grid {
  readonly caption: string;
  readonly heads: readonly string[];
  readonly lines: readonly (readonly string[])[];
  /** How many of the first columns hold words; the others hold numbers. */
  readonly wordColumns: number;
}

export interface Sheet {
  readonly family: FamilyName;
  readonly title: string;
  readonly grids: readonly Grid[];
  /** What could not be measured, or went wrong. */
  readonly troubles: readonly string[];
}

/** One for each family that has rows. */
export function sheetsOf(rows: readonly Row[]): Sheet[] {
  return FAMILY_NAMES.flatMap((family) => {
    const own = rows.filter((row) => row.family === family);
    if (own.length === 0) return [];
    return {
      family,
      title: familyOf(family).title,
      grids: gridsOf(family, own),
      troubles: own.flatMap((row) =>
        row.trouble === null ? [] : `${row.title}, ${describe(row)}: ${row.trouble}`,
      ),
    };
  });
}

function gridsOf(family: FamilyName, rows: readonly Row[]): Grid[] {
  if (family === 'matrix') return matrixGrids(rows);
  // No server takes part.
  if (family === 'replay') return [gridOf(rows, COLUMNS.replay, '')];
  return plainGrids(rows, COLUMNS[family]);
}

function plainGrids(rows: readonly Row[], columns: readonly Column[]): Grid[] {
  const costly = rows.filter(({ costs }) => costs !== null);
  const costs = costly.length === 0 ? [] : [gridOf(costly, [...WORK, ...COSTS], COSTS_CAPTION)];
  return [gridOf(rows, columns, ''), ...costs];
}

/** Too many rows to read one by one; what the smallest cells cost stands for the others. */
function matrixGrids(rows: readonly Row[]): Grid[] {
  const processes = Math.min(...rows.map((row) => row.processes));
  const concurrency = Math.min(...rows.map((row) => row.concurrency));
  const costly = rows.filter(
    (row) => row.costs !== null && row.processes === processes && row.concurrency === concurrency,
  );
  return [...crossTables(rows), gridOf(costly, [...WORK, ...COSTS], COSTS_CAPTION)];
}

function gridOf(rows: readonly Row[], columns: readonly Column[], caption: string): Grid {
  return {
    caption,
    wordColumns: WORD_COLUMNS,
    heads: columns.map(({ head }) => head),
    lines: rows.map((row) => columns.map(({ cell }) => cell(row))),
  };
}

function targetText(row: Row): string {
  const { target, ratioOf } = row;
  if (target === null) return NOTHING;
  const reached = reachedTarget(row);
  const mark = reached === null ? '' : reached ? ' ✓' : ' ✗';
  return `${ratioOf === 'rate' ? '≥' : '≤'} ${target}${mark}`;
}

function withSpread(
  value: number | null,
  range: Spread | null,
  text: (number: number) => string,
): string {
  if (value === null) return NOTHING;
  if (range === null || range.min === range.max) return text(value);
  return `${text(value)} (${text(range.min)}-${text(range.max)})`;
}
