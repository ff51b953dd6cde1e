import { describe, expect, test } from 'vitest';
import type { Finding } from '../../../src/cli/doctor/finding.ts';
import { laneFindings, workerFindings } from '../../../src/cli/doctor/fleet-findings.ts';
import {
  accessFinding,
  clockFinding,
  infoOf,
  redisFindings,
  versionFindings,
} from '../../../src/cli/doctor/redis-findings.ts';
import type { LaneCounts } from '../../../src/index.ts';
import type { RegisteredWorker } from '../../../src/jobs/redis/registered-workers.ts';

const verdictOf = (findings: readonly Finding[], check: string): string[] =>
  findings.filter((finding) => finding.check === check).map(({ verdict }) => verdict);

describe('of Redis', () => {
  const INFO =
    '# Server\r\nredis_version:7.0.15\r\nrole:master\r\nmaxmemory_policy:noeviction\r\naof_enabled:1\r\n';

  test('what is as it should be is good', () => {
    expect(redisFindings(infoOf(INFO)).map(({ verdict }) => verdict)).toEqual([
      'good',
      'good',
      'good',
    ]);
  });

  test.each([
    ['role:master', 'role:slave', 'redis role', 'bad'],
    ['maxmemory_policy:noeviction', 'maxmemory_policy:allkeys-lru', 'redis eviction', 'bad'],
    ['maxmemory_policy:noeviction\r\n', '', 'redis eviction', 'unsure'],
    ['aof_enabled:1', 'aof_enabled:0', 'redis persistence', 'unsure'],
    ['aof_enabled:1', 'aof_enabled:1\r\naof_last_write_status:err', 'redis persistence', 'bad'],
    ['aof_enabled:1', 'aof_enabled:0\r\nrdb_last_bgsave_status:err', 'redis persistence', 'bad'],
    ['role:master', 'role:master\r\nused_memory:95\r\nmaxmemory:100', 'redis memory', 'unsure'],
  ])('instead of %j, %j makes %s %s', (from, to, check, verdict) => {
    expect(verdictOf(redisFindings(infoOf(INFO.replace(from, to))), check)).toEqual([verdict]);
  });

  test.each([
    [0, 'good'],
    [-900, 'good'],
    [3_600_000, 'unsure'],
    [-5_000, 'unsure'],
  ])('a clock that is %d ms ahead of it is %s', (aheadMs, verdict) => {
    expect(clockFinding(aheadMs).verdict).toBe(verdict);
  });

  test('names the commands that an access list forbids', () => {
    expect(accessFinding([]).verdict).toBe('good');
    expect(accessFinding(['HDEL', 'ZADD']).says).toContain('HDEL, ZADD');
  });
});

test('a BullMQ with other scripts is told', () => {
  const missing: string[] = [];
  expect(
    verdictOf(versionFindings('20', { version: '6.7.0', changed: [], missing }), 'bullmq'),
  ).toEqual(['good']);
  const [, found] = versionFindings('20', { version: '9', changed: ['moveToActive'], missing });
  expect(found).toMatchObject({ verdict: 'unsure' });
  expect(found?.says).toContain('moveToActive');
});

describe('of workers', () => {
  test('clients that Redis does not list are not taken for none', () => {
    expect(verdictOf(workerFindings([], undefined), 'stock workers')).toEqual(['unsure']);
  });

  const WORKER: RegisteredWorker = {
    ...{ id: 'w', host: 'h', pid: 1, bullmq: '6.7.0', node: '20', updates: ['u'], concurrency: 1 },
    ...{ leaseMs: 10_000, memcached: 'a', fastPathOff: [], silentMs: 10 },
    knowsTransactions: true,
  };

  test('living ones with one setting are good', () => {
    const findings = workerFindings([WORKER, { ...WORKER, id: 'x' }], 2);
    expect(findings.map(({ verdict }) => verdict)).toEqual(['good', 'good']);
  });

  test.each<[string, RegisteredWorker[], number, string, string]>([
    ['none', [], 0, 'workers', 'unsure'],
    ['one of BullMQ’s own', [WORKER], 2, 'stock workers', 'bad'],
    ['a slow one', [{ ...WORKER, fastPathOff: ['limiter'] }], 1, 'fast path', 'unsure'],
  ])('%s', (_, workers, clients, check, verdict) => {
    expect(verdictOf(workerFindings(workers, clients), check)).toEqual([verdict]);
  });

  test('of an older Toril are told', () => {
    const { knowsTransactions: _, ...old } = WORKER;
    const [, found] = workerFindings([WORKER, { ...old, id: 'x' }], 2);
    expect(found).toMatchObject({ check: 'workers', verdict: 'unsure' });
    expect(found?.says).toBe('1 workers are of a Toril without transactions: x');
  });

  test('that are silent, or differ, are told', () => {
    const others = [
      { ...WORKER, id: 'x', silentMs: 9_000 },
      { ...WORKER, id: 'y', updates: ['u', 'v2'], bullmq: '6.8.0', memcached: 'b' },
    ];
    const said = workerFindings([WORKER, ...others], 3).map(({ says }) => says);
    expect(said).toContain('worker x (process 1 on h) is silent since 9 s');
    expect(said).toContain('workers differ in their updates: u | u, v2');
    expect(said).toContain('workers differ in their bullmq: 6.7.0 | 6.8.0');
    expect(said).toContain('workers differ in their memcached: a | b');
  });
});

describe('of lanes', () => {
  const COUNTS: LaneCounts = {
    ...{ keys: 0, held: 0, runnable: 0, waiting: 0, active: 0, delayed: 0, paused: false },
    ...{ oldest: undefined, oldestRunnable: undefined },
  };
  const HEAD = { key: 'k', jobId: '1', sequence: 1, ageMs: 90_000 };

  test('empty ones are good', () => {
    expect(laneFindings(COUNTS, []).map(({ verdict }) => verdict)).toEqual(['good', 'good']);
  });

  test.each<[string, Partial<LaneCounts>, string]>([
    ['queue', { paused: true }, 'unsure'],
    ['held keys', { held: 2 }, 'bad'],
    ['oldest job', { oldestRunnable: HEAD }, 'unsure'],
  ])('%s', (check, changes, verdict) => {
    expect(verdictOf(laneFindings({ ...COUNTS, ...changes }, []), check)).toEqual([verdict]);
  });

  test('whose first job is gone are told', () => {
    const lane = {
      ...{ ...HEAD, length: 1, name: undefined, attemptsMade: 0, token: 0, paceMs: 0 },
      state: { kind: 'job-gone', jobId: '1' } as const,
    };
    expect(verdictOf(laneFindings(COUNTS, [lane]), 'orphans')).toEqual(['unsure']);
  });
});
