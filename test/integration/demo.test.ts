/** `toril demo`, small. That it finds what is wrong is shown by test/unit/cli/demo.test.ts. */
import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { eventually } from '../support/memcached.ts';
import { redisClient } from '../support/redis.ts';
import { startToril, toril } from './cli-runner.ts';

const DEADLINE_MS = 60_000;

async function leftInRedis(): Promise<string[]> {
  const client = redisClient();
  const found: string[] = [];
  for await (const keys of client.scanStream({ match: '*toril-demo-*', count: 1_000 })) {
    found.push(...(keys as string[]));
  }
  return found;
}

const SMALL = ['demo', '--jobs', '2000', '--keys', '20', '--workers', '3', '--seed', 'test'];

test(
  'ends with every value exact, through a kill, a freeze and a restart',
  async () => {
    const { code, stdout, stderr } = await toril([...SMALL, '--json']);
    const result = JSON.parse(stdout) as Record<string, unknown>;
    expect(result).toMatchObject({
      ...{ ok: true, jobs: 2_000, keys: 20, workers: 3, seed: 'test' },
      ...{ lost: 0, doubled: 0, reordered: 0, wrongKeys: [] },
      ...{ notCompleted: 0, completedAgain: 0, wrongResults: 0, attemptsCharged: 0 },
      ...{ memcachedRestarted: true, drained: true },
    });
    // The last jobs are one for each key, after the restart.
    expect(result['restoredCells']).toBeGreaterThanOrEqual(20);
    expect(stderr).toMatch(/killed worker \d+ \(SIGKILL\)/);
    expect(stderr).toMatch(/froze worker \d+ \(SIGSTOP\)/);
    expect(stderr).toMatch(/let worker \d+ go on \(SIGCONT\)/);
    expect(stderr).toContain('restarted memcached');
    expect(code).toBe(0);
    expect(await leftInRedis()).toEqual([]);
  },
  DEADLINE_MS,
);

test(
  'leaves the restart out, and says so, where memcached is not its own',
  async () => {
    const env = { TORIL_DEMO_MEMCACHED_BIN: undefined, PATH: '/nowhere' };
    const { code, stdout, stderr } = await toril(
      ['demo', '--jobs', '500', '--keys', '5', '--workers', '2', '--json'],
      { env },
    );
    expect(stderr).toContain('this run leaves the restart out');
    expect(JSON.parse(stdout)).toMatchObject({ ok: true, memcachedRestarted: false });
    expect(code).toBe(0);
  },
  DEADLINE_MS,
);

test('says what is missing where there is neither a server nor a binary', async () => {
  const none = { TORIL_REDIS: '', TORIL_MEMCACHED: '', TORIL_DEMO_MEMCACHED_BIN: '' };
  const { code, stdout, stderr } = await toril(['demo'], { env: { ...none, PATH: '/nowhere' } });
  expect({ code, stdout }).toEqual({ code: 3, stdout: '' });
  expect(stderr).toContain('error SERVER_MISSING: there is no redis-server');
});

test.each([
  ['SIGINT', 130],
  ['SIGKILL', null],
] as const)('leaves no process behind after %s', async (signal, exitCode) => {
  const demo = startToril(['demo', '--seed', 'interrupted'], {
    env: { TORIL_REDIS: undefined, TORIL_MEMCACHED: undefined },
  });
  await eventually('the first fault', () => demo.stderr.includes('killed worker'), 30_000);
  const family = childrenOf(demo.pid);
  expect(family.length).toBeGreaterThanOrEqual(5); // workers, Redis and memcached
  demo.signal(signal);
  expect((await demo.ended()).code).toBe(exitCode);
  await eventually('all processes have ended', () => !family.some(isAlive), 15_000);
});

function childrenOf(pid: number): number[] {
  const { stdout } = spawnSync('ps', ['-eo', 'pid=,ppid='], { encoding: 'utf8' });
  return stdout
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
    .flatMap(([child = 0, parent]) => (parent === pid ? [child] : []));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
