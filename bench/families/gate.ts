/** Toril beside the no-op, one process, concurrency 64: what safety costs where nothing else is in the way. */
import type { Bench } from '../bench.ts';
import { type Comparison, compare, outcomeLine } from '../compare.ts';
import type { Row } from '../row.ts';

const JOBS = 20_000;
const JOBS_QUICK = 4_000;
const CONCURRENCY = 64;

export async function gate(bench: Bench): Promise<Row[]> {
  return rowsOf(bench, [
    {
      family: 'gate',
      systems: ['toril'],
      work: '1 key',
      keys: 1,
      target: 0.95,
    },
    { family: 'gate', systems: ['toril'], work: '1,000 keys', keys: 1_000, target: 0.9 },
    {
      family: 'gate',
      systems: ['toril'],
      work: 'every key different',
      keys: 0,
      everyKeyDifferent: true,
      target: 0.8,
    },
  ]);
}

export async function strict(bench: Bench): Promise<Row[]> {
  return rowsOf(bench, [
    {
      family: 'strict',
      systems: ['toril-strict'],
      work: 'every key different',
      keys: 0,
      everyKeyDifferent: true,
      target: 0.65,
    },
  ]);
}

/** What the other protocol costs, beside the one that is spoken where the server has it. */
export async function protocols(bench: Bench): Promise<Row[]> {
  return rowsOf(bench, [
    {
      family: 'protocols',
      systems: ['toril-memjs'],
      against: 'toril',
      work: 'every key different',
      keys: 0,
      everyKeyDifferent: true,
      target: 0.85,
    },
  ]);
}

type Setting = Omit<Comparison, 'jobs' | 'concurrency' | 'processes'>;

async function rowsOf(bench: Bench, settings: readonly Setting[]): Promise<Row[]> {
  const jobs = bench.options.jobs ?? (bench.options.quick ? JOBS_QUICK : JOBS);
  const rows: Row[] = [];
  for (const setting of settings) {
    const systems = bench.choose(setting.systems);
    if (systems.length === 0) continue;
    const comparison = { ...setting, systems, jobs, concurrency: CONCURRENCY, processes: 1 };
    const found = await compare(bench, comparison);
    rows.push(...found);
    bench.progress.say(`${setting.family}, ${setting.work}: ${found.map(outcomeLine).join(', ')}`);
  }
  return rows;
}
