import { describe, expect, test } from 'vitest';
import type { LaneState } from '../../../../src/index.ts';
import { stateOf, summaryOf } from '../../../../src/jobs/reports/lane-state.ts';
import type {
  HeadFacts,
  JointFacts,
  KnownWorker,
  LaneFacts,
  QueueFacts,
} from '../../../../src/jobs/reports/lane-views.ts';

const HEAD: HeadFacts = {
  ...{ jobId: '7', sequence: 50, ageMs: 9_000, place: 'waiting', name: 'u', attemptsMade: 0 },
  ...{ failedReason: '', directive: '', dueInMs: 0, finishedMs: 0, ahead: 3 },
};
const WORKER: KnownWorker = { id: 'w', updates: ['u'], leaseMs: 10_000, silentMs: 100 };
const FROZEN: KnownWorker = { ...WORKER, silentMs: 6_000 };
const QUEUE: QueueFacts = {
  ...{ paused: false, active: 0, concurrency: 0, limitedForMs: 0, refusal: '', workers: [WORKER] },
};
const BATCH = { sinceMs: 40, lastSequence: 50, worker: 'w' };

const WAITS: JointFacts = {
  keys: ['k', 'a', 'b'],
  waitsFor: [
    { key: 'a', before: 1, first: { jobId: '4', name: 'u', ageMs: 10_000 } },
    { key: 'b', before: 2, first: { jobId: '3', name: 'v', ageMs: 20_000 } },
  ],
  missingIn: [],
  failsInMs: 500,
};

function facts(
  head: Partial<HeadFacts>,
  queue: Partial<QueueFacts> = {},
  inHand?: LaneFacts['inHand'],
): LaneFacts {
  return {
    ...{ key: 'k', length: 2, token: 1, paceMs: 2, inHand },
    head: { ...HEAD, ...head },
    queue: { ...QUEUE, ...queue },
  };
}

const LEASE: LaneState = {
  ...{ kind: 'lease', worker: 'w', leaseMs: 10_000, silentMs: 6_000, takeoverInMs: 5_010 },
};
const WORKING: LaneState = { kind: 'working', worker: 'w', sinceMs: 40 };

describe('the state of a lane', () => {
  test.each<[string, LaneFacts, LaneState]>([
    ['waits its turn', facts({}), { kind: 'queued', jobId: '7', ahead: 3 }],
    ['is in hand', facts({}, {}, BATCH), WORKING],
    ['is in hand, paused or not', facts({}, { paused: true }, BATCH), WORKING],
    [
      'came behind the batch',
      facts({ sequence: 51 }, {}, BATCH),
      { kind: 'queued', jobId: '7', ahead: 3 },
    ],
    ['is in the hand of a frozen worker', facts({}, { workers: [FROZEN] }, BATCH), LEASE],
    [
      'waits for other lanes, and names the one whose first job is the oldest',
      facts({ place: 'active', joint: WAITS }, {}, BATCH),
      {
        ...{ kind: 'other-lane', jobId: '7', name: 'u', keys: ['k', 'a', 'b'], forKey: 'b' },
        ...{
          before: 2,
          first: { jobId: '3', name: 'v', ageMs: 20_000 },
          failsInMs: 500,
          cause: undefined,
        },
      },
    ],
    [
      'waits for other lanes, and nobody lives',
      facts({ joint: WAITS }, { workers: [FROZEN] }),
      { kind: 'no-workers' },
    ],
    [
      'is missing in one of its lanes',
      facts({ joint: { ...WAITS, missingIn: ['c'] } }),
      { kind: 'lanes-apart', jobId: '7', keys: ['k', 'a', 'b'], missingIn: 'c' },
    ],
    [
      'is first in all its lanes',
      facts({ joint: { ...WAITS, waitsFor: [] } }),
      { kind: 'queued', jobId: '7', ahead: 3 },
    ],
    [
      'is in the hand of one that has ended',
      facts({}, {}, { ...BATCH, worker: 'x' }),
      { kind: 'queued', jobId: '7', ahead: 3 },
    ],
    [
      'was in hand a minute ago',
      facts({}, {}, { ...BATCH, sinceMs: 70_000 }),
      { kind: 'queued', jobId: '7', ahead: 3 },
    ],
    [
      'is active, and in hand for a minute',
      facts({ place: 'active' }, {}, { ...BATCH, sinceMs: 70_000 }),
      { kind: 'working', worker: 'w', sinceMs: 70_000 },
    ],
    ['is active', facts({ place: 'active' }), { kind: 'delivered', jobId: '7' }],
    ['has stalled', facts({ place: 'stalled' }), { kind: 'stalled', jobId: '7' }],
    [
      'has stalled, and nobody lives',
      facts({ place: 'stalled' }, { workers: [FROZEN] }),
      { kind: 'no-workers' },
    ],
    [
      'is just leaving',
      facts({ place: 'completed' }),
      { kind: 'working', worker: undefined, sinceMs: undefined },
    ],
    ['is gone', facts({ place: 'gone', name: '' }), { kind: 'job-gone', jobId: '7' }],
    ['was completed by others', facts({ place: 'unapplied' }), { kind: 'not-applied', jobId: '7' }],
    [
      'has failed for good',
      facts({ place: 'failed', finishedMs: 5, failedReason: 'no' }),
      { kind: 'held', jobId: '7', forMs: 5, reason: 'no' },
    ],
    [
      'is about to fail for good',
      facts({ place: 'active', directive: 'held', failedReason: 'no' }),
      { kind: 'held', jobId: '7', forMs: undefined, reason: 'no' },
    ],
    [
      'has failed, and the queue is paused',
      facts({ place: 'failed', finishedMs: 5 }, { paused: true }),
      { kind: 'held', jobId: '7', forMs: 5, reason: '' },
    ],
    ['has children', facts({ place: 'children' }), { kind: 'children', jobId: '7' }],
    ['is paused', facts({}, { paused: true }), { kind: 'paused' }],
    ['is paused without workers', facts({}, { paused: true, workers: [] }), { kind: 'paused' }],
    ['has no workers', facts({}, { workers: [] }), { kind: 'no-workers' }],
    [
      'is in a Redis that takes no writes',
      facts({ place: 'failed', finishedMs: 5 }, { refusal: 'OOM', workers: [] }, BATCH),
      { kind: 'redis', code: 'REDIS_FAILED', reason: 'OOM' },
    ],
    [
      'has workers that are not known',
      facts({}, { workers: undefined }),
      { kind: 'queued', jobId: '7', ahead: 3 },
    ],
    [
      'is not known to anybody',
      facts({ name: 'v2' }),
      { kind: 'unknown-update', jobId: '7', name: 'v2', workers: 1 },
    ],
    [
      'is known to a frozen one only',
      facts({ name: 'v2' }, { workers: [WORKER, { ...FROZEN, updates: ['v2'] }] }),
      { kind: 'unknown-update', jobId: '7', name: 'v2', workers: 1 },
    ],
    [
      'meets the rate limit',
      facts({}, { limitedForMs: 700 }),
      { kind: 'rate-limited', forMs: 700 },
    ],
    [
      'meets the limit of active jobs',
      facts({}, { active: 2, concurrency: 2 }),
      { kind: 'concurrency-limited', active: 2, limit: 2 },
    ],
    [
      'is below the limit of active jobs',
      facts({}, { active: 1, concurrency: 2 }),
      { kind: 'queued', jobId: '7', ahead: 3 },
    ],
    [
      'waits for its backoff',
      facts(
        { place: 'backoff', attemptsMade: 1, dueInMs: 9, failedReason: 'no' },
        { limitedForMs: 5 },
      ),
      { kind: 'backoff', jobId: '7', dueInMs: 9, attemptsMade: 1, reason: 'no' },
    ],
    [
      'waits for its backoff, and a batch was put back',
      facts({ place: 'backoff', attemptsMade: 1, dueInMs: 9 }, {}, BATCH),
      { kind: 'backoff', jobId: '7', dueInMs: 9, attemptsMade: 1, reason: '' },
    ],
    [
      'is delayed',
      facts({ place: 'delayed', dueInMs: 9 }),
      { kind: 'delayed', jobId: '7', dueInMs: 9 },
    ],
    [
      'is snoozed',
      facts({ place: 'snoozed', dueInMs: 9 }),
      { kind: 'snoozed', jobId: '7', dueInMs: 9 },
    ],
    [
      'is to be dropped',
      facts({ directive: 'drop' }),
      { kind: 'commanded', jobId: '7', command: 'drop' },
    ],
  ])('whose first job %s', (_, given, state) => {
    expect(stateOf(given)).toEqual(state);
  });

  test('without jobs is empty, and no line of a page', () => {
    const empty = { ...facts({}), head: undefined };
    expect(stateOf(empty)).toEqual({ kind: 'empty' });
    expect(summaryOf(empty)).toBeUndefined();
  });
});
