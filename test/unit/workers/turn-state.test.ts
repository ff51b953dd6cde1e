import { expect, it } from 'vitest';
import type { LaneEntry } from '../../../src/jobs/lane.ts';
import type { Lease } from '../../../src/lock/lock.ts';
import { Turn, type TurnSite } from '../../../src/workers/turn/turn-state.ts';

const entries = ['a', 'b', 'c'].map((jobId) => ({ jobId }) as LaneEntry);

it('knows which jobs of its batch have had their turn, until the next batch', () => {
  const turn = new Turn({} as TurnSite, {} as Lease);
  turn.beginApply(entries, 2);
  expect(['a', 'b', 'c'].filter((jobId) => turn.isApplying(jobId))).toEqual(['a', 'b']);
  turn.awaitingSinceMs = 5;
  expect(turn.awaitedMs(8)).toBe(3);
  turn.endApply();
  expect(turn.isApplying('a')).toBe(false);
  expect(turn.awaitedMs(8)).toBe(0);
});
