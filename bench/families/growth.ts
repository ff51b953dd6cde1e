/**
 * Whether a job costs more where more jobs wait, more keys exist, or one lane is long: queues of
 * growing length, each emptied to the last job. In servers of their own, with room for all of it.
 */
import { startMemcached, startRedis } from '../../scripts/servers.ts';
import type { Bench } from '../bench.ts';
import { Crew } from '../children/crew.ts';
import { messageOf } from '../compare.ts';
import { measureRun, type Sample } from '../measure.ts';
import { type Cell, emptyRow, type Row, rowOf } from '../row.ts';
import { Stage } from '../stage.ts';
import { CEILING, isProduct, type SystemName } from '../systems.ts';

interface Curve {
  readonly work: string;
  readonly sizes: readonly number[];
  readonly keys: (jobs: number) => number;
}

const CURVES: readonly Curve[] = [
  { work: 'waiting, 1,000 keys', sizes: [10_000, 100_000, 1_000_000], keys: () => 1_000 },
  {
    work: 'waiting, every key different',
    sizes: [10_000, 100_000, 1_000_000],
    keys: (jobs) => jobs,
  },
  { work: 'in one lane', sizes: [10_000, 100_000], keys: () => 1 },
];
const SHRINK_QUICK = 10;
const CONCURRENCY = 64;
const WARM_UP_JOBS = 5_000;
/** Of all runs of one size together, beyond the first. */
const JOBS_MAX = 200_000;
/** Of a job's cost in a long queue to its cost in the shortest. */
const WANTED = 1.2;
/** Room for 1,000,000 values. */
const MEMCACHED_MIB = 2_048;

export async function growth(bench: Bench): Promise<Row[]> {
  const rows: Row[] = [];
  for (const curve of CURVES) {
    for (const system of [CEILING, ...bench.choose(['toril'])]) {
      rows.push(...(await rowsOfCurve(bench, curve, system)));
    }
  }
  return rows;
}

async function rowsOfCurve(bench: Bench, curve: Curve, system: SystemName): Promise<Row[]> {
  const rows: Row[] = [];
  for (const size of curve.sizes) {
    const row = await rowOfSize(
      bench,
      curve,
      system,
      bench.options.quick ? size / SHRINK_QUICK : size,
    );
    const shortest = rows[0]?.jobsPerSecond ?? row.jobsPerSecond;
    const ratio = shortest && row.jobsPerSecond ? shortest / row.jobsPerSecond : null;
    rows.push({
      ...row,
      ratio,
      ratioOf: 'cost',
      target: isProduct(system) && rows.length > 0 ? WANTED : null,
    });
    bench.progress.say(
      `growth, ${row.work}, ${row.title}: ${Math.round(row.jobsPerSecond ?? 0)}/s, cost ${ratio?.toFixed(2) ?? '-'}`,
    );
  }
  return rows;
}

async function rowOfSize(
  bench: Bench,
  curve: Curve,
  system: SystemName,
  size: number,
): Promise<Row> {
  const cell: Cell = {
    ...{ family: 'growth', work: `${size.toLocaleString('en')} jobs ${curve.work}` },
    ...{ keys: curve.keys(size), concurrency: CONCURRENCY, processes: 1 },
  };
  const redis = await startRedis();
  const memcached = await startMemcached({ flags: ['-m', String(MEMCACHED_MIB)] });
  try {
    const site = { ...bench.stage.site, redis: redis.address, memcached: memcached.address };
    const stage = await Stage.open(site, bench.stage.launcher);
    try {
      return rowOf(cell, system, await measureSize(bench, stage, system, cell, size), []);
    } finally {
      await stage.close();
    }
  } catch (thrown) {
    return { ...emptyRow(cell, system, size), trouble: messageOf(thrown) };
  } finally {
    await redis.stop();
    await memcached.stop();
  }
}

async function measureSize(
  { options, progress }: Bench,
  stage: Stage,
  system: SystemName,
  { keys, work }: Cell,
  size: number,
): Promise<Sample[]> {
  const crew = new Crew(stage.launcher, stage.site, system, 1);
  const runs = Math.max(1, Math.min(options.runs, Math.floor(JOBS_MAX / size)));
  const samples: Sample[] = [];
  try {
    const load = { keys, concurrency: CONCURRENCY };
    await measureRun(stage, crew, { ...load, jobs: WARM_UP_JOBS });
    for (let run = 0; run < runs; run++) {
      progress.now(`growth, ${work}: run ${run + 1} of ${runs}, ${system}`);
      samples.push(await measureRun(stage, crew, { ...load, jobs: size }));
    }
  } finally {
    await crew.dismiss();
  }
  return samples;
}
