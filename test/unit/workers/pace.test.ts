import { expect, it } from 'vitest';
import { Pace } from '../../../src/workers/gate/pace.ts';

const limits = { batchJobsMax: 500, batchMs: 100 };

function withPace(paceMs: number): Pace {
  const pace = new Pace();
  if (paceMs > 0) pace.measured(1, paceMs);
  return pace;
}

it.each([
  ['unknown', 0, 64],
  ['fast', 2.9, 500],
  ['slow', 10, 20],
  ['so slow that hardly one fits into a batch', 100, 16],
  ['slower than that', 10_000, 16],
])('of a key that is %s, as many jobs are taken as may be needed', (_, paceMs, jobs) => {
  expect(withPace(paceMs).jobsToTake(limits)).toBe(jobs);
});

it('no more jobs are taken of a slow key than were asked for', () => {
  expect(withPace(100).jobsToTake({ ...limits, batchJobsMax: 3 })).toBe(3);
});

it('a slow key that has become fast is believed after a while', () => {
  const pace = withPace(100);
  let batches = 0;
  for (; pace.jobsToTake(limits) < limits.batchJobsMax; batches++) pace.measured(16, 16);
  expect(batches).toBeLessThan(20);
});
