/** Running an example for real, and replaying what was recorded of it. */
import { fileURLToPath } from 'node:url';
import { type AnyUpdate, checkDeterminism, record } from '../../src/index.ts';
import { removeItem } from '../support/items.ts';
import { valuesOf } from '../support/replaying.ts';
import { type Stage, stage } from '../support/workers.ts';
import type { TrafficJob } from '../../examples/traffic-lines.ts';

export function fileOf(name: string, file: string): string {
  return fileURLToPath(new URL(`../../examples/${name}/${file}`, import.meta.url));
}

export interface Ran {
  readonly here: Stage;
  /** Messages of the jobs that failed. */
  readonly failures: readonly string[];
}

/** Two workers with small commits, and the history on; each update is run twice. */
export async function run(
  updates: readonly AnyUpdate[],
  traffic: readonly TrafficJob[],
): Promise<Ran> {
  const here = stage({ updates });
  // Examples name their keys as applications do: other runs may have left cells there.
  const keys = new Set(traffic.map(({ name, data }) => keyOf(updates, name, data)));
  await Promise.all([...keys].map((key) => removeItem(key)));
  const jobs = await here.queue.addBulk(traffic.map(({ name, data }) => ({ name, data })));
  const options = { history: 'on', batchJobsMax: 4, verifyUpdates: true } as const;
  await Promise.all([here.worker(options), here.worker(options)]);
  const finished = await here.finished(jobs);
  return { here, failures: finished.flatMap(({ failedReason }) => failedReason ?? []) };
}

function keyOf(updates: readonly AnyUpdate[], name: string, data: unknown): string {
  return (updates.find((one) => one.name === name) as AnyUpdate).key(data);
}

/** The values that the history of this run gives, by key. */
export async function replayed(
  { here }: Ran,
  updates: readonly AnyUpdate[],
): Promise<Map<string, unknown>> {
  const lines: string[] = [];
  for await (const line of record(here.queue)) lines.push(`${line}\n`);
  return valuesOf(lines, updates);
}

/** What is wrong with an update, if it is called as the traffic calls it. */
export async function findings(
  updates: readonly AnyUpdate[],
  traffic: readonly TrafficJob[],
): Promise<unknown[]> {
  const found = await Promise.all(
    traffic.map(({ name, data }) => {
      const update = updates.find((one) => one.name === name) as AnyUpdate;
      return checkDeterminism(update, { data });
    }),
  );
  return found.flat();
}
