/** `toril status`, `lanes`, `why`, `doctor`: what an operator sees of a queue, and his word on many keys. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { LaneSummary, Queue } from '../../src/index.ts';
import type { Finding } from '../../src/cli/doctor/finding.ts';
import { eventually } from '../support/memcached.ts';
import { logOr } from '../support/updates.ts';
import { enqueueLog, entries, type Stage, stage } from '../support/workers.ts';
import { torilHere, unique } from './cli-runner.ts';

let here: Stage;
beforeEach(() => {
  here = stage();
});

const say = (...args: string[]): ReturnType<typeof torilHere> =>
  torilHere([...args, '-q', here.name]);

async function lines<T>(...args: string[]): Promise<T[]> {
  const { code, stdout } = await say(...args, '--json');
  expect(code).toBeLessThan(2);
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as T);
}

/** Two keys are held, and one waits. */
async function trouble(queue: Queue): Promise<string[]> {
  const worker = await here.worker();
  const keys = [here.key('eu-1'), here.key('us-1')];
  for (const key of keys) await queue.enqueue(logOr.hold, { key, n: 1, failures: 9 });
  await eventually('they are held', async () => (await queue.laneCounts()).held === 2);
  await eventually('BullMQ knows', async () => (await queue.getFailedCount()) === 2);
  await worker.close();
  await enqueueLog(here, entries(here.key('idle'), 3));
  return keys;
}

test('status tells backlog, keys and workers', async () => {
  await trouble(here.queue);
  const [found] = await lines<Record<string, unknown>>('status');
  expect(found).toMatchObject({ keys: 3, held: 2, runnable: 1, waiting: 3, workers: [] });
  const { stdout } = await say('status');
  expect(stdout).toMatch(/keys held +\W+ +2/);
  expect(stdout).toContain(`of ${here.key('idle')}`);
});

test('lanes are listed by their age, a few of them, or those that are held', async () => {
  const keys = await trouble(here.queue);
  const keysOf = (found: readonly LaneSummary[]): string[] => found.map(({ key }) => key);
  expect(keysOf(await lines<LaneSummary>('lanes'))).toEqual([...keys, here.key('idle')]);
  expect(keysOf(await lines<LaneSummary>('lanes', '--top', '1'))).toEqual([keys[0]]);
  expect(keysOf(await lines<LaneSummary>('lanes', '--held'))).toEqual(keys);
  expect(keysOf(await lines<LaneSummary>('lanes', '--search', 'us-'))).toEqual([keys[1]]);
  const { stdout } = await say('lanes', '--held');
  expect(stdout).toContain('failed for good');
  expect((await say('lanes', '--search', 'nowhere')).stdout).toBe('no key has jobs\n');
});

describe('an operator’s word on all held keys', () => {
  test('is only said aloud with --dry-run', async () => {
    const keys = await trouble(here.queue);
    const { stdout } = await say('lanes', '--held', '--drop', '--dry-run');
    expect(stdout).toBe(keys.map((key, at) => `would drop job ${at + 1} of ${key}\n`).join(''));
    expect(await here.queue.laneCounts()).toMatchObject({ held: 2 });
  });

  test.each([
    ['--retry', 'failed'],
    ['--skip', 'failed'],
    ['--drop', 'failed'],
  ])('%s: is carried out', async (flag) => {
    const keys = await trouble(here.queue);
    const { code, stdout } = await say('lanes', '--held', '--search', 'eu-', flag);
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${flag.slice(2)} job 1 of ${keys[0]}\n` });
    expect(await here.queue.laneCounts()).toMatchObject({ keys: 3, held: 1 });
    await here.worker();
    const wanted = flag === '--drop' ? 1 : 2; // retried or skipped, it fails once more
    await eventually('it is', async () => {
      const { held, keys: left } = await here.queue.laneCounts();
      return held === wanted && left === wanted;
    });
  });

  test('has nothing to do where no key is held, and says what it may be said with', async () => {
    await enqueueLog(here, entries(here.key(), 1));
    expect(await say('lanes', '--held', '--retry')).toMatchObject({ code: 4 });
    expect(await say('lanes', '--retry')).toMatchObject({ code: 2 });
    expect(await say('lanes', '--held', '--dry-run')).toMatchObject({ code: 2 });
    expect(await say('lanes', '--held', '--retry', '--drop')).toMatchObject({ code: 2 });
    expect(await say('lanes', '--top', '0')).toMatchObject({ code: 2 });
  });
});

test('a queue or a key that nobody has heard of is said to be so, and is not made', async () => {
  const name = unique('nowhere');
  for (const command of [
    ['status'],
    ['lanes'],
    ['why', 'k'],
    ['lane', 'k'],
    ['doctor'],
    ['record'],
  ]) {
    const { code, stderr } = await torilHere([...command, '-q', name]);
    expect(code).toBe(4);
    expect(stderr).toContain(`QUEUE_MISSING: Redis has no queue "${name}"`);
  }
  expect(await here.redis.keys(`*${name}*`)).toEqual([]);
  await enqueueLog(here, entries(here.key(), 1));
  for (const command of ['why', 'lane']) {
    const { code, stderr } = await say(command, here.key('nobody'));
    expect([command, code]).toEqual([command, 4]);
    expect(stderr).toContain('has never heard of the key');
  }
  await torilHere(['servers', '-q', name]);
  expect(await here.redis.keys(`*${name}*`)).toEqual([]);
});

test('a hostile key moves no cursor and begins no line', async () => {
  const worker = await here.worker();
  await enqueueLog(here, entries('a\u001b[2J\nb\u202e', 1));
  await worker.close();
  await enqueueLog(here, entries('a\u001b[2J\nb\u202e', 1));
  const { stdout } = await say('lanes');
  expect(stdout).not.toMatch(/\u001b\[2J|\u202e|\nb/);
});

describe('doctor', () => {
  const verdict = (findings: readonly Finding[], check: string): string | undefined =>
    findings.find((finding) => finding.check === check)?.verdict;

  // Of an unknown BullMQ it says that the fast path is off.
  test('finds nothing bad where all is well', { tags: 'imitation' }, async () => {
    await here.worker();
    await enqueueLog(here, entries(here.key(), 1));
    await eventually(
      'it is known',
      async () => (await here.queue.inRedis.workers.all()).length === 1,
    );
    const findings = await lines<Finding>('doctor');
    const good = [
      ...['node', 'bullmq', 'redis', 'redis eviction', 'redis access list', 'clocks'],
      ...['server list', 'workers'],
    ];
    expect(good.map((check) => [check, verdict(findings, check)])).toEqual(
      good.map((check) => [check, 'good']),
    );
    expect(verdict(findings, 'fast path')).toBe('good');
    expect(findings.filter(({ verdict: found }) => found === 'bad')).toEqual([]);
    expect((await say('doctor')).code).toBe(0);
  });

  test('tells what is bad, and what to do', async () => {
    await trouble(here.queue);
    await here.queue.inRedis.servers.replace('elsewhere');
    const findings = await lines<Finding>('doctor');
    expect(verdict(findings, 'held keys')).toBe('bad');
    expect(verdict(findings, 'server list')).toBe('bad');
    expect(verdict(findings, 'workers')).toBe('unsure');
    const { code, stdout } = await say('doctor');
    expect(code).toBe(1);
    expect(stdout).toContain('toril lanes --held');
  });

  test('says which server is away', async () => {
    await enqueueLog(here, entries(here.key(), 1));
    const redis = await say('doctor', '--redis', 'redis://127.0.0.1:1');
    expect(redis.code).toBe(3);
    expect(redis.stdout).toMatch(/bad +redis: no use of Redis at 127.0.0.1:1/);
    const memcached = await say('doctor', '--memcached', '127.0.0.1:1');
    expect(memcached.code).toBe(3);
    expect(memcached.stdout).toMatch(/bad +memcached 127.0.0.1:1: MEMCACHED_UNREACHABLE/);
  });
});
