/** The history that the workers of a stage have written: as a recording, and whether it makes every value again. */
import { expect } from 'vitest';
import { record, type RecordedCommit, replay, type ReplayReport } from '../../src/index.ts';
import type { Stage } from './workers.ts';

/** Lines with their newlines. */
export async function recorded({ queue }: Stage): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of record(queue)) lines.push(`${line}\n`);
  return lines;
}

export async function commitsOf(here: Stage): Promise<RecordedCommit[]> {
  const lines = await recorded(here);
  return lines
    .map((line) => JSON.parse(line) as { commit?: RecordedCommit })
    .flatMap(({ commit }) => commit ?? []);
}

/** Compares with the cells as well. */
export async function replayed(here: Stage): Promise<ReplayReport> {
  return replay(await recorded(here), here.updates, {
    live: async (key) => {
      const cell = await here.cells.read(key);
      return cell && { token: cell.token, json: JSON.stringify(cell.value) };
    },
  });
}

/** Fails unless every commit agrees, and the cells are what the replay makes. */
export async function expectReplayable(here: Stage): Promise<ReplayReport> {
  const report = await replayed(here);
  const told = report.keys.filter(
    ({ verdict, live }) => verdict !== 'agrees' || live?.kind !== 'same',
  );
  expect(told).toEqual([]);
  expect(report).toMatchObject({ agrees: true, complete: true });
  return report;
}
