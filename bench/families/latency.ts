/** How long a job takes from the moment it is due, at half of what the system can do. */
import type { Bench } from '../bench.ts';
import { messageOf } from '../compare.ts';
import { Crew } from '../children/crew.ts';
import { effortOf, measureRun, type Sample, verdictOf } from '../measure.ts';
import { type Cell, emptyRow, type Latency, type Row, rowOf } from '../row.ts';
import { difference } from '../server-meter.ts';
import { median, percentile } from '../statistics.ts';
import { CEILING, type SystemName } from '../systems.ts';
import type { Plan } from '../work.ts';

const SYSTEMS: readonly SystemName[] = [
  'toril',
  'bullmq-add-lock',
  'bullmq-cas',
  'bullmq-redis-mutex',
  'groupmq',
];
const CONCURRENCY = 64;
const CAPACITY_JOBS = 10_000;
const CAPACITY_JOBS_QUICK = 2_000;
const SECONDS = 6;
const SECONDS_QUICK = 3;
/** Of the beginning, which does not count. */
const WARM_UP_SHARE = 0.2;
const LOAD = 0.5;

export async function latency(bench: Bench): Promise<Row[]> {
  const rows: Row[] = [];
  for (const [work, keys] of [
    ['1 key', 1],
    ['1,000 keys', 1_000],
  ] as const) {
    const cell = { family: 'latency', work, keys, concurrency: CONCURRENCY, processes: 1 };
    for (const system of [CEILING, ...bench.choose(SYSTEMS)]) {
      const row = await latencyOf(bench, cell, system);
      const { p50Ms = Number.NaN, p99Ms = Number.NaN } = row.latency ?? {};
      bench.progress.say(
        `latency, ${work}, ${row.title}: p50 ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms`,
      );
      rows.push(row);
    }
  }
  return rows;
}

async function latencyOf(bench: Bench, cell: Cell, system: SystemName): Promise<Row> {
  const { stage, options, progress } = bench;
  const jobs = options.quick ? CAPACITY_JOBS_QUICK : CAPACITY_JOBS;
  const seconds = options.quick ? SECONDS_QUICK : SECONDS;
  const crew = new Crew(stage.launcher, stage.site, system, 1);
  try {
    progress.now(`latency, ${cell.work}: what ${system} can do`);
    const load = { jobs, keys: Math.min(cell.keys, jobs), concurrency: CONCURRENCY };
    await measureRun(stage, crew, { ...load, jobs: Math.ceil(jobs / 10) });
    const capacity = await measureRun(stage, crew, load);
    const perSecond = Math.max(1, Math.floor(capacity.jobsPerSecond * LOAD));
    const samples: (Sample & { latency: Latency })[] = [];
    for (let round = 0; round < options.runs; round++) {
      progress.now(`latency, ${cell.work}: round ${round + 1} of ${options.runs}, ${system}`);
      samples.push(await pacedRun(bench, crew, cell, perSecond, seconds));
    }
    return { ...rowOf(cell, system, samples, []), latency: medianOf(samples) };
  } catch (thrown) {
    return { ...emptyRow(cell, system, jobs), trouble: messageOf(thrown) };
  } finally {
    await crew.dismiss();
  }
}

async function pacedRun(
  { stage }: Bench,
  crew: Crew,
  { keys }: Cell,
  perSecond: number,
  seconds: number,
): Promise<Sample & { latency: Latency }> {
  const jobs = Math.max(1, Math.round(perSecond * seconds));
  const plan: Plan = { run: stage.newRun(), jobs, keys: Math.min(keys, jobs) };
  await crew.open({ run: plan.run, concurrency: CONCURRENCY, keys: plan.keys, documentBytes: 0 });
  const before = await stage.readServers();
  crew.start();
  await stage.pace(crew.system, plan, perSecond);
  const { completed } = await crew.settled(jobs);
  const servers = difference(await stage.readServers(), before);
  const reports = await crew.finish();
  const back = await stage.read(crew.system, plan);
  await stage.forget(crew.system, plan);
  const counted = reports.flatMap(({ timed }) =>
    timed.ms.filter((_ms, at) => (timed.i[at] as number) >= jobs * WARM_UP_SHARE),
  );
  return {
    jobs,
    jobsPerSecond: perSecond,
    verdict: back && verdictOf(plan, back, reports),
    effort: effortOf(completed, reports, servers),
    trouble: completed >= jobs ? undefined : `${completed} of ${jobs} jobs were completed`,
    latency: { p50Ms: percentile(counted, 50), p99Ms: percentile(counted, 99) },
  };
}

export function medianOf(samples: readonly { latency: Latency }[]): Latency {
  return {
    p50Ms: median(samples.map(({ latency }) => latency.p50Ms)),
    p99Ms: median(samples.map(({ latency }) => latency.p99Ms)),
  };
}
