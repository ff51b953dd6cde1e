import { expect, test } from 'vitest';
import type { LaneState } from '../../../../src/index.ts';
import { withCause } from '../../../../src/jobs/reports/lane-cause.ts';

const PAUSED: LaneState = { kind: 'paused' };

function waits(forKey: string): LaneState {
  return {
    ...{ kind: 'other-lane', jobId: '1', name: 'u', keys: ['a', forKey], forKey, before: 1 },
    ...{ first: { jobId: '0', name: 'v', ageMs: 5 }, failsInMs: undefined, cause: undefined },
  };
}

const among = (states: Readonly<Record<string, LaneState>>) => (key: string) =>
  Promise.resolve(states[key] ?? PAUSED);

test('the cause is at the end of all waits', async () => {
  const states = { b: waits('c'), c: waits('d'), d: PAUSED };
  expect(await withCause(waits('b'), among(states))).toMatchObject({
    ...{ forKey: 'b', cause: { key: 'd', state: PAUSED } },
  });
});

test('a lane that waits for no other one has none', async () => {
  expect(await withCause(PAUSED, among({}))).toBe(PAUSED);
});

test('what has gone on since is no cause, and neither is a circle', async () => {
  expect(await withCause(waits('b'), among({ b: { kind: 'empty' } }))).toEqual(waits('b'));
  expect(await withCause(waits('b'), among({ b: waits('b') }))).toEqual(waits('b'));
});
