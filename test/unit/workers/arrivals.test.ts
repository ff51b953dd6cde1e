import { expect, test } from 'vitest';
import type { Arrival, Settlement } from '../../../src/workers/deliveries/arrival.ts';
import { Arrivals } from '../../../src/workers/deliveries/arrivals.ts';

const APPLIED: Settlement = { kind: 'decided', outcome: { kind: 'applied', result: '' } };

test('a batch some of whose jobs were gone tells nobody that it was applied: it may be a new job of the same id', () => {
  const told: string[] = [];
  const arrivals = new Arrivals();
  for (const jobId of ['applied', 'tried', 'not in it']) {
    const settle = ({ kind }: Settlement): unknown => told.push(`${jobId} ${kind}`);
    arrivals.add({ jobId, settle } as unknown as Arrival);
  }
  const settlements = new Map<string, Settlement>([
    ['applied', APPLIED],
    ['tried', { kind: 'retry', thrown: new Error('once') }],
  ]);
  arrivals.settleUndecided(settlements);
  expect(told).toEqual(['tried retry']);
  expect(arrivals.jobIds()).toEqual(['applied', 'not in it']);
  arrivals.settleMany(settlements);
  expect(told).toEqual(['tried retry', 'applied decided']);
});
