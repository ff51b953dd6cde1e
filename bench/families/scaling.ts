/**
 * What more worker processes bring: on one key they must not get in each other's way, on different
 * keys they must bring as much as they bring to a no-op.
 */
import type { Bench } from '../bench.ts';
import { type Comparison, outcomeLine, race, resultOf } from '../compare.ts';
import type { Row } from '../row.ts';
import { median, spread } from '../statistics.ts';
import { CEILING, type SystemName } from '../systems.ts';

const JOBS = 20_000;
/**
 * On one key. Of 20,000, each of 4 processes has 5,000, done in 0.8 s: that measures how processes begin, and
 * the compiler, which is through only after some 100,000 jobs of each of them (compare.ts, WARM_UP_RUNS).
 */
const JOBS_OF_ONE_KEY = 100_000;
const JOBS_QUICK = 4_000;
const CONCURRENCY = 64;
const ONE_KEY_PROCESSES = [1, 2, 4];
const OTHER_KEYS_PROCESSES = [1, 2];
/** Never slower than one process. */
const WANTED_ON_ONE_KEY = 1;
/** As the no-op: what is missing is below what the machine's own noise makes of it. */
const WANTED_TO_NOOP = 0.95;

export async function scaling(bench: Bench): Promise<Row[]> {
  const [system] = bench.choose(['toril']);
  if (system === undefined) return [];
  const rows = [...(await onOneKey(bench, system)), ...(await onDifferentKeys(bench, system))];
  bench.progress.say(`scaling: ${rows.map(outcomeLine).join(', ')}`);
  return rows;
}

/** Ratios refer to one process. */
async function onOneKey(bench: Bench, system: SystemName): Promise<Row[]> {
  const contestants = await race(
    bench,
    ONE_KEY_PROCESSES.map((processes) => ({
      comparison: {
        ...comparisonOf(bench, '1 key, to one process', processes, system, JOBS_OF_ONE_KEY),
        ...(processes > 1 && { target: WANTED_ON_ONE_KEY }),
      },
      system,
    })),
  );
  const alone = contestants[0]?.samples ?? [];
  return contestants.map((contestant) => resultOf(contestant, alone));
}

/** Ratios of the no-op refer to one process; Toril's to what the no-op's came to in the same round. */
async function onDifferentKeys(bench: Bench, system: SystemName): Promise<Row[]> {
  const contestants = await race(
    bench,
    [CEILING, system].flatMap((name) =>
      OTHER_KEYS_PROCESSES.map((processes) => ({
        comparison: {
          ...comparisonOf(bench, 'every key different, to one process', processes, name),
          everyKeyDifferent: true,
        },
        system: name,
      })),
    ),
  );
  const [noop = [], noops = [], ours = [], oursInTwo = []] = contestants.map(
    ({ samples }) => samples,
  );
  const rows = contestants.map((contestant, at) => resultOf(contestant, at < 2 ? noop : ours));
  const ratios = noop.flatMap((_one, round) => {
    const rates = [oursInTwo, ours, noops, noop].map((samples) => samples[round]?.jobsPerSecond);
    const [a, b, c, d] = rates;
    return a && b && c && d ? [a / b / (c / d)] : [];
  });
  const inTwo = contestants[3];
  if (inTwo === undefined || ratios.length === 0) return rows;
  const toNoop: Row = {
    ...resultOf(inTwo, ours),
    work: "every key different, to the no-op's gain",
    ...{ ratio: median(ratios), ratioSpread: spread(ratios), target: WANTED_TO_NOOP },
  };
  return [...rows, toNoop];
}

function comparisonOf(
  { options }: Bench,
  work: string,
  processes: number,
  system: SystemName,
  usualJobs: number = JOBS,
): Comparison {
  const jobs = options.jobs ?? (options.quick ? JOBS_QUICK : usualJobs);
  return {
    ...{ family: 'scaling', work, processes, jobs },
    ...{ keys: 1, concurrency: CONCURRENCY, systems: [system] },
  };
}
