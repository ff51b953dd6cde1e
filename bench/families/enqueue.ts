/** Adding jobs in bulks of 1,000: enqueueBulk beside BullMQ's addBulk, each in a process of its own. */
import type { Bench } from '../bench.ts';
import type { Child } from '../children/launcher.ts';
import type { Filled } from '../children/producer-process.ts';
import { outcomeLine } from '../compare.ts';
import type { Sample } from '../measure.ts';
import { type Cell, type Row, rowOf } from '../row.ts';
import { difference } from '../server-meter.ts';
import { CEILING, type SystemName } from '../systems.ts';
import type { Plan } from '../work.ts';

const JOBS = 20_000;
const JOBS_QUICK = 10_000;
const WARM_UP_JOBS = 2_000;
const WANTED = 0.85;

export async function enqueue(bench: Bench): Promise<Row[]> {
  const { options, progress } = bench;
  const jobs = options.jobs ?? (options.quick ? JOBS_QUICK : JOBS);
  const systems = bench.choose(['toril']);
  const rows: Row[] = [];
  if (systems.length === 0) return rows;
  for (const [work, keys] of [
    ['1 key', 1],
    ['every key different', jobs],
  ] as const) {
    const cell = { family: 'enqueue', work, keys, concurrency: 1, processes: 1 };
    const found = await compareProducers(bench, cell, jobs, [CEILING, ...systems]);
    progress.say(`enqueue, ${work}: ${found.map(outcomeLine).join(', ')}`);
    rows.push(...found);
  }
  return rows;
}

async function compareProducers(
  bench: Bench,
  cell: Cell,
  jobs: number,
  systems: readonly SystemName[],
): Promise<Row[]> {
  const { stage, options, progress } = bench;
  const producers = systems.map(() => stage.launcher.producer());
  const samples: Sample[][] = systems.map(() => []);
  try {
    for (let round = -1; round < options.runs; round++) {
      for (const [index, system] of systems.entries()) {
        progress.now(`enqueue, ${cell.work}: round ${round + 1} of ${options.runs}, ${system}`);
        const producer = producers[index] as Child;
        const wanted = round < 0 ? WARM_UP_JOBS : jobs;
        const sample = await measureFill(bench, producer, system, wanted, cell.keys);
        if (round >= 0) samples[index]?.push(sample);
      }
    }
  } finally {
    await Promise.all(producers.map((producer) => producer.end()));
  }
  const [ceiling = []] = samples;
  return systems.map((system, index) => rowOf(cell, system, samples[index] ?? [], ceiling, WANTED));
}

async function measureFill(
  { stage }: Bench,
  producer: Child,
  system: SystemName,
  jobs: number,
  keys: number,
): Promise<Sample> {
  const plan: Plan = { run: stage.newRun(), jobs, keys: Math.min(keys, jobs) };
  const before = await stage.readServers();
  const filled = await stage.fill(system, plan, {}, producer);
  const servers = difference(await stage.readServers(), before);
  await stage.forget(system, plan, 0);
  return {
    jobs,
    jobsPerSecond: (jobs * 1000) / filled.ms,
    verdict: undefined,
    effort: { ...costOf(filled), jobs, servers },
    trouble: undefined,
  };
}

function costOf({ cpuSeconds, peakRssBytes }: Filled) {
  return { workerCpuSeconds: cpuSeconds, peakRssBytes };
}
