/** What a key that is flooded with slow jobs does to the jobs of all other keys. */
import type { Bench } from '../bench.ts';
import { Crew } from '../children/crew.ts';
import { messageOf } from '../compare.ts';
import { effortOf, type Sample, verdictOf } from '../measure.ts';
import { emptyRow, type Latency, type Row, rowOf } from '../row.ts';
import { difference } from '../server-meter.ts';
import { median, percentile, spread } from '../statistics.ts';
import { isProduct, type SystemName } from '../systems.ts';
import type { Plan } from '../work.ts';
import { medianOf } from './latency.ts';

/** Those whose workers run the slow jobs at all. */
const SYSTEMS: readonly SystemName[] = ['toril', 'bullmq-no-lock', 'bullmq-redis-mutex', 'groupmq'];
const CONCURRENCY = 64;
const COLD = { jobs: 1_000, keys: 1_000, perSecond: 200 };
const COLD_QUICK = { jobs: 300, keys: 300, perSecond: 200 };
const SLOW_JOBS = 5_000;
const SLOW_JOBS_QUICK = 500;
const SLOW_MS = 100;
/** Of p99 with the flood to p99 without. */
const WANTED = 1.5;
/** Milliseconds after which cold jobs are not waited for any longer. */
const PATIENCE_MS = 20_000;

type TimedSample = Sample & { readonly latency: Latency };

export async function isolation(bench: Bench): Promise<Row[]> {
  const rows: Row[] = [];
  for (const system of bench.choose(SYSTEMS)) {
    const [calm, flooded] = await rowsOf(bench, system);
    rows.push(calm, flooded);
    const p99 = ({ latency }: Row): string => latency?.p99Ms.toFixed(1) ?? '-';
    bench.progress.say(
      `isolation, ${calm.title}: p99 of cold keys ${p99(calm)} ms, with the flood ${p99(flooded)} ms`,
    );
  }
  return rows;
}

async function rowsOf(bench: Bench, system: SystemName): Promise<[Row, Row]> {
  const { stage, options, progress } = bench;
  const cold = options.quick ? COLD_QUICK : COLD;
  const slowJobs = options.quick ? SLOW_JOBS_QUICK : SLOW_JOBS;
  const shape = { family: 'isolation', keys: cold.keys, concurrency: CONCURRENCY, processes: 1 };
  const calmCell = { ...shape, work: 'cold keys alone' };
  const floodCell = { ...shape, work: `cold keys beside ${slowJobs} slow jobs of one key` };
  const crew = new Crew(stage.launcher, stage.site, system, 1);
  const calm: TimedSample[] = [];
  const flooded: TimedSample[] = [];
  try {
    await coldRun(bench, crew, COLD_QUICK, 0); // warms up
    for (let round = 0; round < options.runs; round++) {
      progress.now(`isolation: round ${round + 1} of ${options.runs}, ${system}`);
      calm.push(await coldRun(bench, crew, cold, 0));
      const sample = await coldRun(bench, crew, cold, slowJobs);
      flooded.push(sample);
      // It would be the same again, and again take its time.
      if (sample.trouble !== undefined && !isProduct(system)) break;
    }
  } catch (thrown) {
    const trouble = messageOf(thrown);
    const failed = (cell: typeof calmCell) => ({ ...emptyRow(cell, system, cold.jobs), trouble });
    return [failed(calmCell), failed(floodCell)];
  } finally {
    await crew.dismiss();
  }
  const ratios = flooded.map(({ latency }, round) => {
    const alone = calm[round] as TimedSample;
    return latency.p99Ms / alone.latency.p99Ms;
  });
  return [
    { ...rowOf(calmCell, system, calm, []), latency: medianOf(calm) },
    {
      ...rowOf(floodCell, system, flooded, [], WANTED),
      latency: medianOf(flooded),
      ...{ ratio: median(ratios), ratioSpread: spread(ratios), ratioOf: 'cost' },
    },
  ];
}

async function coldRun(
  { stage }: Bench,
  crew: Crew,
  { jobs, keys, perSecond }: typeof COLD,
  slowJobs: number,
): Promise<TimedSample> {
  const run = stage.newRun();
  const cold: Plan = { run, jobs, keys };
  const slow: Plan = { run, prefix: `${run}:slow`, jobs: slowJobs, keys: 1, pauseMs: SLOW_MS };
  if (slowJobs > 0) await stage.fill(crew.system, slow);
  await crew.open({ run, concurrency: CONCURRENCY, keys, documentBytes: 0 });
  const before = await stage.readServers();
  crew.start();
  await stage.pace(crew.system, cold, perSecond);
  const progress = await crew.until(({ timedJobs }) => timedJobs >= jobs, PATIENCE_MS);
  const servers = difference(await stage.readServers(), before);
  const reports = await crew.finish();
  const back = await stage.read(crew.system, cold);
  await stage.forget(crew.system, cold);
  await stage.forget(crew.system, slow);
  const ms = reports.flatMap(({ timed }) => timed.ms);
  // Whoever is not done yet has waited at least until now.
  while (ms.length < jobs) ms.push(PATIENCE_MS);
  const late = jobs - progress.timedJobs;
  const asReported = reports.map((report) => ({ ...report, completed: report.timedJobs }));
  return {
    jobs,
    jobsPerSecond: perSecond,
    verdict: back && verdictOf(cold, back, asReported),
    effort: effortOf(progress.completed, reports, servers),
    trouble:
      late > 0 ? `${late} of ${jobs} cold jobs were not done ${PATIENCE_MS} ms later` : undefined,
    latency: { p50Ms: percentile(ms, 50), p99Ms: percentile(ms, 99) },
  };
}
