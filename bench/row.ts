/** One line of the result: what `--json` writes, and what tables and charts are made from. */
import { addVerdicts, isFlawless, type Verdict } from './chain-audit.ts';
import type { Effort, Sample } from './measure.ts';
import { median, type Spread, spread } from './statistics.ts';
import { isProduct, type Promised, type SystemName, systemEntry } from './systems.ts';

export interface Row {
  /** Which part of the bench. */
  readonly family: string;
  /** As in systems.ts. */
  readonly system: string;
  readonly title: string;
  /** What the system promises about the updates of a key. */
  readonly promised: Promised;
  /** What was done, where the columns do not say it. */
  readonly work: string;
  readonly keys: number;
  readonly concurrency: number;
  readonly processes: number;
  readonly jobs: number;
  readonly runs: number;
  /** Median of the runs; null where time was not measured. */
  readonly jobsPerSecond: number | null;
  readonly jobsPerSecondSpread: Spread | null;
  /** To the ceiling in the same round, median of the rounds. Rates: more is better; `costs`: less is better. */
  readonly ratio: number | null;
  readonly ratioSpread: Spread | null;
  readonly ratioOf: 'rate' | 'cost';
  /** The ratio that is wanted. */
  readonly target: number | null;
  /** In all runs together; null: the system keeps no values. */
  readonly lost: number | null;
  readonly doubled: number | null;
  readonly reordered: number | null;
  readonly costs: Costs | null;
  readonly latency: Latency | null;
  readonly memory: Memory | null;
  readonly trouble: string | null;
}

/** Medians of the runs. */
export interface Costs {
  readonly workerCpuSecondsPer1000Jobs: number;
  readonly redisCpuSecondsPer1000Jobs: number;
  readonly memcachedCpuSecondsPer1000Jobs: number;
  readonly peakRssMiB: number;
  readonly redisCommandsPerJob: number;
  readonly redisBytesPerJob: number;
  readonly memcachedCommandsPerJob: number;
  readonly memcachedBytesPerJob: number;
}

/** Milliseconds, medians of the runs. */
export interface Latency {
  readonly p50Ms: number;
  readonly p99Ms: number;
}

interface Memory {
  readonly redisBytes: number;
  readonly bytesPerJob: number;
  /** Redis keys that stay for each of our keys, by kind. */
  readonly keptPerKey?: Readonly<Record<string, number>>;
}

export interface Cell {
  readonly family: string;
  readonly work: string;
  readonly keys: number;
  readonly concurrency: number;
  readonly processes: number;
}

const MIB = 2 ** 20;

/** A row without numbers; the families fill in what they measure. */
export function emptyRow(cell: Cell, system: SystemName, jobs: number): Row {
  return {
    family: cell.family,
    system,
    title: systemEntry(system).title,
    promised: systemEntry(system).promised,
    work: cell.work,
    keys: Math.min(cell.keys, jobs),
    concurrency: cell.concurrency,
    processes: cell.processes,
    jobs,
    runs: 0,
    jobsPerSecond: null,
    jobsPerSecondSpread: null,
    ratio: null,
    ratioSpread: null,
    ratioOf: 'rate',
    target: null,
    lost: null,
    doubled: null,
    reordered: null,
    costs: null,
    latency: null,
    memory: null,
    trouble: null,
  };
}

/**
 * @param samples of one system, one per round
 * @param ceiling of the no-op in the same rounds; undefined where a round has none
 */
export function rowOf(
  cell: Cell,
  system: SystemName,
  samples: readonly Sample[],
  ceiling: readonly (Sample | undefined)[],
  target?: number,
): Row {
  const [first] = samples;
  if (first === undefined) return emptyRow(cell, system, 0);
  const rates = samples.map(({ jobsPerSecond }) => jobsPerSecond);
  const troubles = samples.flatMap(({ trouble }) => trouble ?? []);
  return {
    ...emptyRow(cell, system, first.jobs),
    runs: samples.length,
    jobsPerSecond: median(rates),
    jobsPerSecondSpread: spread(rates),
    ...ratioFields(
      rates,
      ceiling.map((sample) => sample?.jobsPerSecond),
    ),
    ...(isProduct(system) && { target: target ?? null }),
    ...verdictFields(samples.map(({ verdict }) => verdict)),
    costs: costsOf(samples.map(({ effort }) => effort)),
    trouble: troubles[0] ?? null,
  };
}

/** Round by round, since what disturbs a machine for a while then disturbs both. */
function ratioFields(
  rates: readonly number[],
  ceiling: readonly (number | undefined)[],
): Pick<Row, 'ratio' | 'ratioSpread'> {
  const ratios = rates.flatMap((rate, round) => {
    const against = ceiling[round];
    return against === undefined || against === 0 ? [] : [rate / against];
  });
  if (ratios.length === 0) return { ratio: null, ratioSpread: null };
  return { ratio: median(ratios), ratioSpread: spread(ratios) };
}

export function verdictFields(
  verdicts: readonly (Verdict | undefined)[],
): Pick<Row, 'lost' | 'doubled' | 'reordered'> {
  const known = verdicts.filter((verdict) => verdict !== undefined);
  return known.length === 0 ? { lost: null, doubled: null, reordered: null } : addVerdicts(known);
}

function costsOf(efforts: readonly Effort[]): Costs {
  const middle = (of: (effort: Effort) => number): number => median(efforts.map(of));
  return {
    workerCpuSecondsPer1000Jobs: middle((e) => (e.workerCpuSeconds / e.jobs) * 1000),
    redisCpuSecondsPer1000Jobs: middle((e) => (e.servers.redisCpuSeconds / e.jobs) * 1000),
    memcachedCpuSecondsPer1000Jobs: middle((e) => (e.servers.memcachedCpuSeconds / e.jobs) * 1000),
    peakRssMiB: middle((e) => e.peakRssBytes / MIB),
    redisCommandsPerJob: middle((e) => e.servers.redisCommands / e.jobs),
    redisBytesPerJob: middle((e) => e.servers.redisBytes / e.jobs),
    memcachedCommandsPerJob: middle((e) => e.servers.memcachedCommands / e.jobs),
    memcachedBytesPerJob: middle((e) => e.servers.memcachedBytes / e.jobs),
  };
}

/** Null: there is nothing to be wrong about. */
function wasRight({ lost, doubled, reordered }: Row): boolean | null {
  if (lost === null || doubled === null || reordered === null) return null;
  return isFlawless({ lost, doubled, reordered });
}

/** A system that promises to be right and was not, or did not finish. */
export function brokePromise(row: Row): boolean {
  return isProduct(row.system as SystemName) && (wasRight(row) === false || row.trouble !== null);
}

/** Null: nothing was to be reached. */
export function reachedTarget({ ratio, ratioOf, target }: Row): boolean | null {
  if (ratio === null || target === null) return null;
  return ratioOf === 'rate' ? ratio >= target : ratio <= target;
}

/** In one word: right, wrong, or nothing to be right about. */
export function standingOf(row: Row): 'right' | 'wrong' | 'no value' {
  if (row.trouble !== null) return 'wrong';
  const right = wasRight(row);
  return right === null ? 'no value' : right ? 'right' : 'wrong';
}
