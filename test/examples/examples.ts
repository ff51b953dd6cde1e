/** Running an example for real, and replaying what was recorded of it. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  type AnyUpdate,
  checkDeterminism,
  record,
  type RecordedCommit,
  type RecordedJob,
  replay,
} from '../../src/index.ts';
import { createTestBed } from '../../src/testing.ts';
import { removeItem } from '../support/items.ts';
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

/** The values that a recording gives. Fails unless every commit of it agrees. */
export async function valuesOf(
  recording: string | readonly string[],
  updates: readonly AnyUpdate[],
): Promise<Map<string, unknown>> {
  const report = await replay(recording, updates);
  if (!report.agrees || !report.complete) throw new Error(JSON.stringify(report, undefined, 2));
  return new Map(
    report.keys.map(({ key, last }) => [
      key,
      last?.json === undefined ? undefined : (JSON.parse(last.json) as unknown),
    ]),
  );
}

/**
 * The jobs of a recording once more on the in-memory engines, with a crash on the way. Returns the
 * values. Fails unless every one of them replays from the bed's own history.
 */
export async function inMemory(
  recording: string,
  updates: readonly AnyUpdate[],
): Promise<Map<string, unknown>> {
  const bed = createTestBed({ updates, batchJobsMax: 4 });
  for (const { update, data } of jobsOf(recording)) {
    await bed.enqueue(updates.find(({ name }) => name === update) as AnyUpdate, data);
  }
  bed.fault.crashWorker(undefined, 'after-commit');
  await bed.advance(60_000);
  await bed.runUntilIdle();
  const lines: string[] = [];
  for await (const line of record(bed.queue)) lines.push(`${line}\n`);
  return valuesOf(lines, updates);
}

function jobsOf(recording: string): RecordedJob[] {
  const lines = readFileSync(recording, 'utf8').trimEnd().split('\n');
  return lines
    .flatMap((line) => (JSON.parse(line) as { commit?: RecordedCommit }).commit?.jobs ?? [])
    .toSorted((a, b) => a.sequence - b.sequence);
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
