import { describe, expect, test } from 'vitest';
import { durationText } from '../../../../src/base/duration-text.ts';
import { type LaneState, why } from '../../../../src/index.ts';

const MINUTE = 60_000;

const OTHER_LANE: LaneState & { kind: 'other-lane' } = {
  ...{ kind: 'other-lane', jobId: '12', name: 'transfer', keys: ['a', 'b'], forKey: 'b' },
  ...{ before: 1, first: { jobId: '9', name: 'deposit', ageMs: 4_000 }, failsInMs: undefined },
  cause: undefined,
};

/** A row per state, and more where the sentence depends on what it holds. */
const ROWS: readonly (readonly [
  state: LaneState,
  sentence: string | RegExp,
  advice: string | RegExp,
])[] = [
  [{ kind: 'empty' }, 'nothing waits', ''],
  [{ kind: 'working', worker: undefined, sinceMs: undefined }, 'a worker works on it', ''],
  [{ kind: 'working', worker: 'w1', sinceMs: 1_500 }, 'worker w1 works on it since 1 s', ''],
  [{ kind: 'delivered', jobId: '7' }, 'job 7 is with a worker, about to begin', ''],
  [
    { kind: 'queued', jobId: '7', ahead: 12 },
    'waits for a free worker slot, 12 jobs before it: job 7',
    /more workers/,
  ],
  [
    { kind: 'queued', jobId: '7', ahead: 1 },
    'waits for a free worker slot, 1 job before it: job 7',
    /more workers/,
  ],
  [
    { kind: 'queued', jobId: '7', ahead: undefined },
    'waits for a free worker slot: job 7',
    /more workers/,
  ],
  [
    { kind: 'backoff', jobId: '9', dueInMs: 12_000, attemptsMade: 2, reason: 'no such account' },
    'waits for the backoff of job 9, due in 12 s; attempt 2 failed: no such account',
    '',
  ],
  [
    { kind: 'delayed', jobId: '9', dueInMs: 12_000 },
    'waits for job 9, which was delayed and is due in 12 s',
    /promote/,
  ],
  [
    { kind: 'snoozed', jobId: '9', dueInMs: 800 },
    'job 9 has given its worker slot back and looks again in 800 ms',
    '',
  ],
  [
    { kind: 'lease', worker: 'x', leaseMs: 10_000, silentMs: 4_000, takeoverInMs: 6_000 },
    'waits for the lease of worker x, silent since 4 s, takeover in 6 s',
    '',
  ],
  [
    { kind: 'rate-limited', forMs: 30_000 },
    "limited: the queue's rate limit is reached, for 30 s",
    '',
  ],
  [{ kind: 'paused' }, 'paused', /Resume/],
  [
    { kind: 'concurrency-limited', active: 3, limit: 3 },
    'limited: as many jobs are active as the queue allows (3)',
    /setGlobalConcurrency/,
  ],
  [{ kind: 'no-workers' }, 'no worker of the queue lives', /Start one/],
  [
    { kind: 'unknown-update', jobId: '4', name: 'v2', workers: 3 },
    'its update v2 is known to no living worker (job 4; 3 asked)',
    /Start a worker/,
  ],
  [OTHER_LANE, 'transfer (job 12) waits for b, where job 9 (deposit) is before it since 4 s', ''],
  [
    { ...OTHER_LANE, failsInMs: 20_000 },
    'transfer (job 12) waits for b, where job 9 (deposit) is before it since 4 s, and fails in 20 s',
    '',
  ],
  [
    { ...OTHER_LANE, before: 3, first: { jobId: '9', name: '', ageMs: 4_000 } },
    'transfer (job 12) waits for b, where job 9 and 2 more are before it since 4 s',
    '',
  ],
  [
    { ...OTHER_LANE, cause: { key: 'b', state: { kind: 'working', worker: 'w1', sinceMs: 5 } } },
    'transfer (job 12) waits for b, where job 9 (deposit) is before it since 4 s; b: worker w1 works on it since 5 ms',
    '',
  ],
  [
    { ...OTHER_LANE, cause: { key: 'c', state: { kind: 'no-workers' } } },
    'transfer (job 12) waits for b, where job 9 (deposit) is before it since 4 s; c: no worker of the queue lives',
    'At c: Start one.',
  ],
  [
    { kind: 'lanes-apart', jobId: '12', keys: ['a', 'b'], missingIn: 'b' },
    /^job 12 changes several keys, and is missing in the lane of b, .*LANES_APART/,
    /--drop/,
  ],
  [{ kind: 'children', jobId: '4' }, 'waits for job 4, whose children are not done', ''],
  [
    { kind: 'held', jobId: '25', forMs: 3 * MINUTE + 5_000, reason: 'out of money' },
    'held by job 25, which failed for good 3 min ago: out of money',
    /[Rr]etry, skip or drop/,
  ],
  [
    { kind: 'held', jobId: '25', forMs: undefined, reason: 'out of money' },
    'held by job 25, which failed for good: out of money',
    /[Rr]etry, skip or drop/,
  ],
  [
    { kind: 'commanded', jobId: '25', command: 'drop' },
    'job 25 is told to be dropped; the next worker that gets it does so',
    '',
  ],
  [
    { kind: 'commanded', jobId: '25', command: 'skip' },
    'job 25 is told to be skipped; the next worker that gets it does so',
    '',
  ],
  [
    { kind: 'job-gone', jobId: '1' },
    'its first job 1 is gone (removed by a plain BullMQ client, or evicted); the next worker that looks drops the entry, within a minute',
    '',
  ],
  [
    { kind: 'not-applied', jobId: '1' },
    "its first job 1 was completed by somebody who is no worker of Toril's, so its update is in no value",
    /retry\('completed'\)/,
  ],
  [
    { kind: 'stalled', jobId: '1' },
    'the worker that had job 1 has died or frozen; BullMQ delivers it again with its next look for stalled jobs',
    /start one/,
  ],
  [
    { kind: 'memcached', server: 'b:11211', code: 'MEMCACHED_UNREACHABLE', reason: 'refused' },
    'memcached b:11211 cannot be used (MEMCACHED_UNREACHABLE): refused',
    /as soon as it answers/,
  ],
  [
    { kind: 'cell', code: 'REDIS_WENT_BACK', reason: 'Redis has forgotten commit 5' },
    'the cell cannot be used (REDIS_WENT_BACK): Redis has forgotten commit 5',
    /--trust cell, or --trust copy/,
  ],
  [
    { kind: 'other-servers', registered: 'a:1', given: 'b:1' },
    'the workers use the memcached servers a:1, but b:1 were asked',
    /the same servers/,
  ],
  [
    { kind: 'redis', code: 'REDIS_FAILED', reason: 'OOM' },
    'Redis cannot be used (REDIS_FAILED): OOM',
    /as soon as it takes writes again/,
  ],
];

describe('why', () => {
  test.each(ROWS)('%o', (state, sentence, advice) => {
    const said = why({ state });
    expect(said.code).toBe(state.kind);
    if (typeof sentence === 'string') expect(said.sentence).toBe(sentence);
    else expect(said.sentence).toMatch(sentence);
    if (typeof advice === 'string') expect(said.advice).toBe(advice);
    else expect(said.advice).toMatch(advice);
  });

  test.each([
    ['REDIS_WENT_BACK', ['trust-cell', 'trust-copy'], /true/],
    ['CELL_OF_ANOTHER_REDIS', ['trust-cell', 'trust-copy'], /true/],
    ['FOREIGN_VALUE', ['trust-copy'], /adopt/],
    ['ENVELOPE_DAMAGED', ['trust-copy'], /--trust copy/],
    ['ENVELOPE_NEWER', [], /Update/],
    ['CELL_OF_ANOTHER_QUEUE', [], /different keys/],
    ['VALUE_TOO_LARGE', [], /-I/],
  ])('knows what to do about a cell: %s', (code, actions, advice) => {
    const said = why({ state: { kind: 'cell', code, reason: '' } });
    expect(said.actions).toEqual(actions);
    expect(said.advice).toMatch(advice);
  });

  test('names the key at which something is to be done', () => {
    const held: LaneState = { kind: 'held', jobId: '9', forMs: 0, reason: 'no' };
    const atOther = why({ state: { ...OTHER_LANE, cause: { key: 'b', state: held } } });
    expect(atOther).toMatchObject({ code: 'other-lane', at: 'b', actions: [] });
    expect(atOther.advice).toMatch(/^At b: Retry, skip or drop it/);
    const cell: LaneState = { kind: 'cell', code: 'REDIS_WENT_BACK', reason: 'r', key: 'b' };
    expect(why({ state: cell })).toMatchObject({
      ...{ sentence: 'the cell of b cannot be used (REDIS_WENT_BACK): r', at: 'b', actions: [] },
    });
    const farther = why({ state: { ...OTHER_LANE, cause: { key: 'c', state: cell } } });
    expect(farther.at).toBe('b');
    expect(why({ state: held })).not.toHaveProperty('at');
  });

  test('holds nothing of a message that could move a cursor, begin a line or turn text round', () => {
    const reason = `a\u001b[2Jb\r\nc\u202ed\u2028e\u0000${'f'.repeat(1_000)}`;
    const { sentence } = why({ state: { kind: 'held', jobId: 'x\n\u202ey', forMs: 0, reason } });
    expect(sentence).not.toMatch(/[\p{C}\p{Zl}\p{Zp}]/u);
    expect(sentence).toContain('held by job x y, which failed for good 0 ms ago: a [2Jb c d e f');
    expect(sentence.length).toBeLessThan(400);
  });
});

test.each([
  [0, '0 ms'],
  [-5, '0 ms'],
  [999.9, '999 ms'],
  [1_000, '1 s'],
  [119_000, '1 min'],
  [2 * 3_600_000, '2 h'],
  [50 * 3_600_000, '2 d'],
])('%d ms is %s', (ms, text) => {
  expect(durationText(ms)).toBe(text);
});
