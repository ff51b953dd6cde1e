/** What a recording gives: by replaying it, and by doing its jobs once more in memory. */
import { readFileSync } from 'node:fs';
import {
  type AnyUpdate,
  record,
  type RecordedCommit,
  type RecordedJob,
  replay,
} from '../../src/index.ts';
import { createTestBed, type TestBedOptions } from '../../src/testing.ts';

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
  options: Omit<TestBedOptions, 'updates'> = {},
): Promise<Map<string, unknown>> {
  const bed = createTestBed({ ...options, updates });
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
