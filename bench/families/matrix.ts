/** All systems, over the number of keys, the concurrency and the number of processes. */
import type { Bench, CellFilter } from '../bench.ts';
import { type Comparison, compare, describe, outcomeLine } from '../compare.ts';
import type { Row } from '../row.ts';
import { RIVALS, type SystemName } from '../systems.ts';

const JOBS = 10_000;
const JOBS_QUICK = 2_000;

export const ONE_KEY = '1 key';
export const EVERY_KEY_DIFFERENT = 'every key different';

const KEYS = [
  { work: ONE_KEY, keys: 1 },
  { work: '10 keys', keys: 10 },
  { work: '1,000 keys', keys: 1_000 },
  { work: EVERY_KEY_DIFFERENT, keys: 0, everyKeyDifferent: true },
] as const;

export async function matrix(bench: Bench): Promise<Row[]> {
  const systems = bench.choose(RIVALS);
  const all = bench.options.quick ? quickCells(bench, systems) : allCells(bench, systems);
  const cells = all.filter((cell) => isWanted(cell, bench.options.cells));
  const rows: Row[] = [];
  for (const [index, cell] of cells.entries()) {
    const found = await compare(bench, cell);
    rows.push(...found);
    bench.progress.say(
      `${index + 1} of ${cells.length}: ${describe(cell)}: ${found.map(outcomeLine).join(', ')}`,
    );
  }
  return rows;
}

function isWanted(cell: Comparison, filter: CellFilter): boolean {
  const wanted = (name: keyof CellFilter): boolean =>
    filter[name].length === 0 || filter[name].includes(cell[name]);
  return wanted('keys') && wanted('concurrency') && wanted('processes');
}

function allCells({ options }: Bench, systems: readonly SystemName[]): Comparison[] {
  const jobs = options.jobs ?? JOBS;
  return [1, 2, 4].flatMap((processes) =>
    [32, 128].flatMap((concurrency) =>
      KEYS.map((keys) => ({ family: 'matrix', systems, jobs, processes, concurrency, ...keys })),
    ),
  );
}

function quickCells({ options }: Bench, systems: readonly SystemName[]): Comparison[] {
  const jobs = options.jobs ?? JOBS_QUICK;
  return [KEYS[0], KEYS[3]].map((keys) => ({
    ...{ family: 'matrix', systems, jobs, processes: 1, concurrency: 32 },
    ...keys,
  }));
}
