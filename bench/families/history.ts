/** What it costs to record what is committed: Toril with history beside Toril without. */
import type { Bench } from '../bench.ts';
import { Crew } from '../children/crew.ts';
import { type Comparison, compare, outcomeLine } from '../compare.ts';
import type { Row } from '../row.ts';
import type { SystemName } from '../systems.ts';
import type { Plan } from '../work.ts';

const JOBS = 20_000;
const JOBS_QUICK = 4_000;
const CONCURRENCY = 64;
const RECORDED: SystemName = 'toril-history';

const WORKS = [
  { work: '1 key', keys: 1 },
  { work: '1,000 keys', keys: 1_000 },
  { work: 'every key different', keys: 0, everyKeyDifferent: true },
] as const;
/** Where it costs most. */
const WORKS_QUICK = [WORKS[2]] as const;

export async function history(bench: Bench): Promise<Row[]> {
  const { options, progress } = bench;
  const systems = bench.choose([RECORDED]);
  if (systems.length === 0) return [];
  const jobs = options.jobs ?? (options.quick ? JOBS_QUICK : JOBS);
  const rows: Row[] = [];
  for (const work of options.quick ? WORKS_QUICK : WORKS) {
    const comparison: Comparison = {
      ...{ family: 'history', ...work, jobs, systems, against: 'toril' },
      ...{ concurrency: CONCURRENCY, processes: 1 },
    };
    const found = await compare(bench, comparison);
    progress.now(`history, ${work.work}: how much Redis keeps`);
    const redisBytes = await recordedBytes(
      bench,
      jobs,
      'everyKeyDifferent' in work ? jobs : work.keys,
    );
    const memory = { redisBytes, bytesPerJob: Math.round(redisBytes / jobs) };
    const told = found.map((row) => (row.system === RECORDED ? { ...row, memory } : row));
    progress.say(
      `history, ${work.work}: ${told.map(outcomeLine).join(', ')}, ${memory.bytesPerJob} bytes per job`,
    );
    rows.push(...told);
  }
  return rows;
}

/** Of the stream, when all jobs are recorded. */
async function recordedBytes({ stage }: Bench, jobs: number, keys: number): Promise<number> {
  const plan: Plan = { run: stage.newRun(), jobs, keys };
  const crew = new Crew(stage.launcher, stage.site, RECORDED, 1);
  try {
    await stage.fill(RECORDED, plan);
    await crew.open({ run: plan.run, concurrency: CONCURRENCY, keys, documentBytes: 0 });
    crew.start();
    await crew.settled(jobs);
    await crew.finish();
    return await stage.redisBytesOf(`bull:${plan.run}:history`);
  } finally {
    await crew.dismiss();
    await stage.forget(RECORDED, plan);
  }
}
