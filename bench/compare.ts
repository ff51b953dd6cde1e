/**
 * A comparison: several systems do the same work, in turns, so that whatever disturbs the machine
 * disturbs them all. Each has processes of its own, which live through all its runs: a short one
 * tells how many jobs a slow system can do in decent time, and two more warm it up; they are not counted.
 */
import type { Bench } from './bench.ts';
import { Crew } from './children/crew.ts';
import { type Load, measureRun, type Sample } from './measure.ts';
import { type Cell, emptyRow, type Row, rowOf } from './row.ts';
import { CEILING, isProduct, type SystemName, systemEntry } from './systems.ts';

export interface Comparison extends Cell {
  readonly jobs: number;
  /** `keys` as a function of the jobs: as many keys as jobs. */
  readonly everyKeyDifferent?: boolean;
  readonly documentBytes?: number;
  readonly systems: readonly SystemName[];
  /** What their ratios refer to. Default: the no-op. */
  readonly against?: SystemName;
  /** The ratio that is wanted of ours. */
  readonly target?: number;
}

/** Who takes part, and in what. */
export interface Entrant {
  readonly comparison: Comparison;
  readonly system: SystemName;
}

export interface Contestant extends Entrant {
  readonly crew: Crew;
  readonly load: Load;
  readonly samples: (Sample | undefined)[];
  trouble: string | undefined;
}

/** Of the jobs, per process, in the first run; how slow a system is, is not known before. */
const FIRST_SHARE = 0.1;
const FIRST_JOBS_MIN = 200;
/** Enough for the compiler to have seen all of the code. */
const FIRST_JOBS_MIN_FAST = 1_000;
/**
 * Runs that are not counted, each as long for every process as a full one for one. The compiler goes on
 * improving for some 40,000 jobs, longer where more code is involved or processes share a core: Toril's worker
 * needs 67 µs per job in its first 20,000 jobs, 50 µs from the third 20,000 on; the no-op 59 and 52.
 */
const WARM_UP_RUNS = 2;
/** Not fewer jobs than this, however slow the system is. */
const JOBS_MIN = 200;

/** One row per system, the one that all are compared with first, whether it was asked for or not. */
export async function compare(bench: Bench, comparison: Comparison): Promise<Row[]> {
  const { against = CEILING } = comparison;
  const systems = [against, ...comparison.systems.filter((system) => system !== against)];
  const contestants = await race(
    bench,
    systems.map((system) => ({ comparison, system })),
  );
  const compared = contestants[0]?.samples ?? [];
  return contestants.map((contestant) => resultOf(contestant, compared));
}

/** All of them, in turns. */
export async function race(bench: Bench, entrants: readonly Entrant[]): Promise<Contestant[]> {
  const contestants: Contestant[] = [];
  try {
    for (const entrant of entrants) contestants.push(await enter(bench, entrant));
    for (let round = 0; round < bench.options.runs; round++) {
      for (const contestant of inTurn(contestants, round)) {
        await compete(bench, contestant, round);
      }
    }
    return contestants;
  } finally {
    await Promise.all(contestants.map(({ crew }) => crew.dismiss()));
  }
}

async function enter(
  { stage, options, progress }: Bench,
  { comparison, system }: Entrant,
): Promise<Contestant> {
  const { jobs, processes } = comparison;
  const crew = new Crew(stage.launcher, stage.site, system, processes);
  const full = isProduct(system) || system === CEILING;
  const leastJobs = full ? FIRST_JOBS_MIN_FAST : FIRST_JOBS_MIN;
  const perProcess = Math.max(leastJobs, Math.ceil(jobs * FIRST_SHARE));
  const firstJobs = Math.min(jobs, perProcess * processes);
  progress.now(`${describe(comparison)}: ${system} warms up`);
  try {
    const { jobsPerSecond } = await measureRun(stage, crew, loadOf(comparison, firstJobs));
    const enough = Math.max(JOBS_MIN, Math.floor(jobsPerSecond * options.slowRunSeconds));
    const load = loadOf(comparison, full ? jobs : Math.min(jobs, enough));
    // A slow system takes its time by itself.
    const warmUp = full ? loadOf(comparison, load.jobs * processes) : load;
    for (let run = 0; run < WARM_UP_RUNS && !options.quick; run++) {
      await measureRun(stage, crew, warmUp);
    }
    return { comparison, system, crew, load, samples: [], trouble: undefined };
  } catch (thrown) {
    const trouble = messageOf(thrown);
    return { comparison, system, crew, load: loadOf(comparison, jobs), samples: [], trouble };
  }
}

async function compete(
  { stage, progress, options }: Bench,
  contestant: Contestant,
  round: number,
): Promise<void> {
  const { comparison, system, crew, load, samples } = contestant;
  if (contestant.trouble !== undefined) return;
  progress.now(`${describe(comparison)}: round ${round + 1} of ${options.runs}, ${system}`);
  try {
    const sample = await measureRun(stage, crew, load);
    samples[round] = sample;
    // It would need as long again in every round.
    if (sample.trouble !== undefined && !isProduct(system)) contestant.trouble = sample.trouble;
  } catch (thrown) {
    contestant.trouble = messageOf(thrown);
  }
}

/** Every round begins with another one. */
function inTurn<T>(all: readonly T[], round: number): T[] {
  const first = all.length === 0 ? 0 : round % all.length;
  return [...all.slice(first), ...all.slice(0, first)];
}

/** @param compared what its ratio refers to, round by round */
export function resultOf(
  { comparison, system, samples, load, trouble }: Contestant,
  compared: readonly (Sample | undefined)[],
): Row {
  const rounds = [...samples.keys()].filter((round) => samples[round] !== undefined);
  if (rounds.length === 0) {
    return { ...emptyRow(comparison, system, load.jobs), trouble: trouble ?? 'not measured' };
  }
  const row = rowOf(
    comparison,
    system,
    rounds.map((round) => samples[round] as Sample),
    rounds.map((round) => compared[round]),
    comparison.target,
  );
  return { ...row, keys: load.keys, trouble: row.trouble ?? trouble ?? null };
}

function loadOf(
  { keys, everyKeyDifferent, concurrency, documentBytes = 0 }: Comparison,
  jobs: number,
): Load {
  return {
    jobs,
    keys: everyKeyDifferent ? jobs : Math.min(keys, jobs),
    concurrency,
    documentBytes,
  };
}

export function describe({ family, work, concurrency, processes }: Cell): string {
  return `${family}, ${work}, concurrency ${concurrency}, ${processes} ${processes === 1 ? 'process' : 'processes'}`;
}

export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** As a line: who reached what. */
export function outcomeLine(row: Row): string {
  const { title } = systemEntry(row.system as SystemName);
  if (row.jobsPerSecond === null) return `${title}: ${row.trouble ?? 'nothing measured'}`;
  const ratio = row.ratio === null ? '' : ` (${row.ratio.toFixed(2)})`;
  return `${title}: ${Math.round(row.jobsPerSecond)}/s${ratio}`;
}
