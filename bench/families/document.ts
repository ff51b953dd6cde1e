/** A document of 100 KiB, edited again and again: what a large value costs. */
import type { Bench } from '../bench.ts';
import { compare, outcomeLine } from '../compare.ts';
import type { Row } from '../row.ts';
import type { SystemName } from '../systems.ts';

const SYSTEMS: readonly SystemName[] = ['toril', 'bullmq-cas', 'bullmq-redis-mutex', 'groupmq'];
const DOCUMENT_BYTES = 100 * 1024;
const EDITS = 10_000;
const EDITS_QUICK = 500;

export async function document(bench: Bench): Promise<Row[]> {
  const systems = bench.choose(SYSTEMS);
  if (systems.length === 0) return [];
  const jobs = bench.options.jobs ?? (bench.options.quick ? EDITS_QUICK : EDITS);
  const rows = await compare(bench, {
    ...{ family: 'document', work: 'edits of one document of 100 KiB', keys: 1 },
    ...{ concurrency: 64, processes: 1, jobs, systems, documentBytes: DOCUMENT_BYTES },
  });
  bench.progress.say(`document: ${rows.map(outcomeLine).join(', ')}`);
  return rows;
}
