/** `toril load`: a recording's jobs once more, in their order and with their gaps. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { RecordedCommit } from '../../src/history/recording/recording.ts';
import { Queue } from '../../src/index.ts';
import { History, linesOf } from '../support/recorded.ts';
import { redisUrl } from '../support/servers.ts';
import { type CliResult, jsonLines, startToril, torilHere, unique } from './cli-runner.ts';

const UPDATES = fileURLToPath(new URL('../support/recorded.ts', import.meta.url));
const GAP_MS = 60;
const JOBS = 6;

const folder = mkdtempSync(join(tmpdir(), 'toril-load-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const write = (name: string, lines: readonly string[]): string => {
  writeFileSync(join(folder, name), lines.join(''));
  return join(folder, name);
};

let name: string;
let queue: Queue;
beforeEach(() => {
  name = unique('load');
  queue = new Queue(name, { connection: { url: redisUrl() } });
});
afterEach(async () => {
  await queue.obliterate({ force: true });
  await queue.close();
});

/** Jobs of two keys, in the order of their commits: the one that entered first was committed last. */
function commits(gapMs: number): RecordedCommit[] {
  const history = new History();
  for (let n = 1; n < JOBS; n++) history.step(n % 2 === 0 ? 'even' : 'odd', [['deposit', n]]);
  history.step('late', [['deposit', 0]]);
  return history.commits.map((commit) => ({
    ...commit,
    jobs: commit.jobs.map((job) => {
      const { cents } = job.data as { cents: number };
      return { ...job, sequence: 1_767_225_600_000_000 + cents * gapMs * 1_000 };
    }),
  }));
}

const loaded = (file: string, ...args: string[]): Promise<CliResult> =>
  torilHere(['load', file, '--queue', name, '--redis', redisUrl(), ...args]);

/** What waits, in its order. */
async function waiting(): Promise<{ cents: number; timestamp: number }[]> {
  const jobs = await queue.getJobs(['waiting'], 0, -1, true);
  return jobs.map(({ data, timestamp }) => ({ ...(data as { cents: number }), timestamp }));
}

describe('the jobs of a recording', () => {
  test('are enqueued in the order in which they came, with their gaps', async () => {
    const file = write('traffic.jsonl', linesOf(commits(GAP_MS)));
    const { code, stdout } = await loaded(file, '--updates', UPDATES, '--json');
    expect(code).toBe(0);
    const span = (JOBS - 1) * GAP_MS;
    const [report] = jsonLines(stdout);
    expect(report).toMatchObject({ enqueued: JOBS, jobs: JOBS, leftOut: 0, spanMs: span });
    expect(report?.['ms']).toBeGreaterThanOrEqual(span);
    const jobs = await waiting();
    expect(jobs.map(({ cents }) => cents)).toEqual([0, 1, 2, 3, 4, 5]);
    const [first, last] = [jobs[0]?.timestamp ?? 0, jobs.at(-1)?.timestamp ?? 0];
    // A job is never early, whatever else the machine does; BullMQ counts whole milliseconds.
    expect(last - first).toBeGreaterThanOrEqual(span - 1 - (report?.['latestMs'] as number));
  });

  test('come twice as fast at 2x, and without gaps at max', async () => {
    const file = write('slow.jsonl', linesOf(commits(GAP_MS * 4)));
    const [twice] = jsonLines((await loaded(file, '--rate', '2x', '--json')).stdout);
    const span = (JOBS - 1) * GAP_MS * 4;
    expect(twice?.['ms']).toBeGreaterThanOrEqual(span / 2);
    const hours = write('hours.jsonl', linesOf(commits(3_600_000)));
    const { code, stdout } = await loaded(hours, '--rate', 'max');
    expect(stdout).toMatch(/^6 of 6 jobs enqueued in \d+\.\d s; they came in 18000\.0 s then\n$/);
    expect(code).toBe(0);
    expect((await waiting()).map(({ cents }) => cents)).toEqual([
      0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5,
    ]);
  });

  test('get the options that are given, and enter their lanes', async () => {
    const file = write('few.jsonl', linesOf(commits(1)));
    await loaded(file, '--updates', UPDATES, '--options', '{"attempts":7}', '--rate', 'max');
    const [job] = await queue.getJobs(['waiting'], 0, 0, true);
    expect(job?.opts.attempts).toBe(7);
    expect((await queue.lane('odd').report()).jobs).toHaveLength(3);
  });
});

test('a signal ends it in the middle, and it says how far it has come', async () => {
  const file = write('long.jsonl', linesOf(commits(3_600_000)));
  const running = startToril(['load', file, '--queue', name, '--redis', redisUrl()]);
  for (let waits = 0; waits === 0; ) waits = await queue.getWaitingCount();
  running.signal('SIGINT');
  const { code, stdout } = await running.ended();
  expect(stdout).toContain('1 of 6 jobs enqueued');
  expect(code).toBe(130);
  expect(await queue.getWaitingCount()).toBe(1);
});

describe('nothing is enqueued', () => {
  const [one, ...others] = commits(1) as [RecordedCommit, ...RecordedCommit[]];
  const whole = linesOf(commits(1));
  const changedJob = (change: object): string[] =>
    linesOf([...others, { ...one, jobs: one.jobs.map((job) => ({ ...job, ...change })) }]);

  test.each<[string, string[], string[], RegExp]>([
    ['of a damaged file', whole.toSpliced(-2, 1), [], /RECORDING_DAMAGED: line 7/],
    ['of one without an end', whole.slice(0, -1), [], /RECORDING_DAMAGED/],
    [
      'where an update is not known',
      changedJob({ update: 'gone' }),
      ['--updates', UPDATES],
      /UNKNOWN_UPDATE: line 7 of .*"gone".*Nothing was enqueued/,
    ],
    [
      'where a key is none',
      changedJob({ data: { account: '' } }),
      ['--updates', UPDATES],
      /INVALID_KEY: line 7 of .*Nothing was enqueued/,
    ],
    ['at a rate that is none', whole, ['--rate', '2'], /must be a factor such as 2x/],
    ['at no rate', whole, ['--rate', '0x'], /must be a factor such as 2x/],
    ['with options that are none', whole, ['--options', '[]'], /--options must be a JSON object/],
  ])('%s', async (_, lines, args, message) => {
    const { code, stderr } = await loaded(write('bad.jsonl', lines), ...args);
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
    expect(await queue.getWaitingCount()).toBe(0);
  });

  test('of standard input', async () => {
    const { code, stderr } = await loaded('-');
    expect(stderr).toContain('it takes a file, not standard input');
    expect(code).toBe(2);
  });

  test('where Redis is not there', async () => {
    const args = ['load', write('few.jsonl', whole), '--redis', 'redis://127.0.0.1:1'];
    expect((await torilHere(args)).code).toBe(3);
  });
});

test('jobs whose data are gone are left out, and told', async () => {
  const lines = linesOf(
    commits(1).map((commit, at) =>
      at === 2 ? { ...commit, jobs: commit.jobs.map(({ data: _data, ...job }) => job) } : commit,
    ),
  );
  const { stdout, stderr } = await loaded(write('gone.jsonl', lines), '--rate', 'max');
  expect(stdout).toContain('5 of 5 jobs enqueued');
  expect(stderr).toContain('1 jobs left out');
});
