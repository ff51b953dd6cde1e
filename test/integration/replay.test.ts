/** `toril record` and `toril replay`, with the recorded editing of real documents and with bad input. */
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type AnyUpdate,
  Queue,
  record as recordOf,
  Worker,
  writeRecording,
} from '../../src/index.ts';
import type { RecordedCommit } from '../../src/history/recording/recording.ts';
import { linesOf } from '../support/recorded.ts';
import { createTestBed } from '../../src/testing.ts';
import { edit } from '../../src/cli/trace/trace-updates.ts';
import { inMemory } from '../support/replaying.ts';
import { memcachedAddresses, redisUrl } from '../support/servers.ts';
import {
  type CliResult,
  jsonLines,
  RunningCli,
  startToril,
  toril,
  torilHere,
  unique,
  UPDATES,
} from './cli-runner.ts';
import cliUpdates from './cli-updates.ts';

const TRACES = fileURLToPath(new URL('../../../shared/traces', import.meta.url));
const FILES = existsSync(TRACES)
  ? readdirSync(TRACES)
      .filter((name) => name.endsWith('.json.gz'))
      .map((name) => join(TRACES, name))
  : [];
const TRACE_UPDATES = fileURLToPath(
  new URL('../../src/cli/trace/trace-updates.ts', import.meta.url),
);
const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const RUN_DEADLINE_MS = 180_000;

const folder = mkdtempSync(join(tmpdir(), 'toril-replay-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const at = (name: string): string => join(folder, name);
function write(name: string, content: string | Buffer): string {
  writeFileSync(at(name), content);
  return at(name);
}

describe.skipIf(FILES.length === 0)('a recording of three documents, with three kills', () => {
  const recording = at('traces.jsonl');
  let lines: string[];

  beforeAll(async () => {
    const run = [
      'trace',
      ...FILES,
      '--workers',
      '4',
      '--kill',
      '3',
      '--json',
      '--record',
      recording,
    ];
    const { code, stdout } = await new RunningCli(run, {}).ended();
    expect(JSON.parse(stdout)).toMatchObject({ ok: true, killed: 3 });
    expect(code).toBe(0);
    lines = readFileSync(recording, 'utf8').split('\n').slice(0, -1);
  }, RUN_DEADLINE_MS);

  const replayed = (file: string, ...flags: string[]) =>
    torilHere(['replay', file, '--updates', TRACE_UPDATES, ...flags]);

  function expectEndContents(contents: readonly unknown[]): void {
    expect(contents).toHaveLength(FILES.length);
    for (const file of FILES) {
      const { endContent } = JSON.parse(gunzipSync(readFileSync(file)).toString()) as {
        endContent: string;
      };
      expect(contents.filter((content) => content === endContent)).toHaveLength(1);
    }
  }

  test('replays to what was recorded of them, every hash equal', async () => {
    const { code, stdout } = await replayed(recording, '--json', '--complete');
    const reports = jsonLines(stdout);
    expect(reports.at(-1)).toMatchObject({ agrees: true, complete: true, keys: 3, jobs: 67_549 });
    expect(code).toBe(0);

    const values = jsonLines((await replayed(recording, '--values')).stdout);
    expectEndContents(values.map(({ value }) => value));
  });

  test(
    'ends alike on the in-memory engines, with a crash on the way, and replays from there',
    async () => {
      expectEndContents([...(await inMemory(recording, [edit])).values()]);
    },
    RUN_DEADLINE_MS,
  );

  test('replays alike in two processes', async () => {
    const args = ['replay', recording, '--updates', TRACE_UPDATES, '--json'];
    const [one, other] = await Promise.all([toril(args), toril(args)]);
    expect(one.code).toBe(0);
    expect(one.stdout).toBe(other.stdout);
  });

  test('is refused with one byte changed, with the line', async () => {
    const text = lines.join('\n');
    for (const share of [0.1, 0.5, 0.9]) {
      const bytes = Buffer.from(`${text}\n`);
      const place = Math.floor(bytes.length * share);
      bytes[place] = (bytes[place] as number) ^ 1;
      const line = bytes.subarray(0, place).toString().split('\n').length;
      const { code, stderr } = await replayed(write('changed.jsonl', bytes));
      expect(stderr).toContain(`error RECORDING_DAMAGED: line ${line} of ${at('changed.jsonl')}`);
      expect(code).toBe(2);
    }
  });

  test('is refused with one entry dropped, and with two swapped, with the line', async () => {
    const dropped = await replayed(
      write('dropped.jsonl', `${lines.toSpliced(20, 1).join('\n')}\n`),
    );
    expect(dropped.stderr).toContain(`line 21 of ${at('dropped.jsonl')}: here should be line 21`);
    expect(dropped.code).toBe(2);
    const [a, b] = [lines[30] as string, lines[31] as string];
    const swapped = await replayed(
      write('swapped.jsonl', `${lines.toSpliced(30, 2, b, a).join('\n')}\n`),
    );
    expect(swapped.stderr).toContain(`line 31 of ${at('swapped.jsonl')}: here should be line 31`);
    expect(swapped.code).toBe(2);
  });

  test('catches a planted bug at its first differing commit, and with the former updates, its job', async () => {
    const updates = write(
      'bug.ts',
      `import { edit as right } from ${JSON.stringify(TRACE_UPDATES)};
       // Forgets one character of the first insertion of a "q".
       export const edit = { ...right, apply: (text, data, context) => {
         const patches = data.patches.map(([at, count, text]) => [at, count, text.replace('q', '')]);
         return right.apply(text, { ...data, patches }, context);
       } };`,
    );
    const isQ = ({ data }: { data: { patches: [number, number, string][] } }): boolean =>
      data.patches.some(([, , text]) => text.includes('q'));
    type Line = { commit?: { key: string; jobs: (Parameters<typeof isQ>[0] & { id: string })[] } };
    const places = new Map<string, { line: number; id: string }>();
    for (const [index, line] of lines.entries()) {
      const { commit } = JSON.parse(line) as Line;
      const job = commit?.jobs.find(isQ);
      if (commit === undefined || job === undefined || places.has(commit.key)) continue;
      places.set(commit.key, { line: index + 1, id: job.id });
    }
    expect(places.size).toBe(3);

    const { code, stdout } = await torilHere([
      ...['replay', recording, '--updates', updates, '--former', TRACE_UPDATES, '--json'],
    ]);
    expect(code).toBe(1);
    for (const { key, difference } of jsonLines(stdout).slice(0, -1)) {
      const { line, id } = places.get(key as string) as { line: number; id: string };
      expect(difference).toMatchObject({ line, jobs: [{ id }] });
      expect((difference as { diff: string }).diff).toContain('q');
    }
    const text = await torilHere(['replay', recording, '--updates', updates]);
    expect(text.stdout).toContain('DIFFERS first at line');
    expect(text.stdout).toContain('3 of 3 keys differ.');
  });
});

describe('record and replay', () => {
  const queueName = unique('replay');
  const keys = [1, 2, 3].map((n) => unique(`account-${n}`));
  const servers = ['--queue', queueName, '--redis', redisUrl()];
  let queue: Queue;
  const recording = at('accounts.jsonl');

  beforeAll(async () => {
    const connection = { url: redisUrl() };
    queue = new Queue(queueName, { connection, updates: cliUpdates });
    const worker = new Worker(queueName, {
      connection,
      memcached: memcachedAddresses(),
      updates: cliUpdates,
      history: 'on',
    });
    const done = new Promise<void>((resolve) => {
      let completed = 0;
      worker.on('completed', () => (completed += 1) === 30 && resolve());
    });
    for (let n = 0; n < 30; n++) await queue.add('deposit', { account: keys[n % 3], cents: n });
    await done;
    await worker.close();
    const { code, stderr } = await torilHere(['record', ...servers, '--out', recording]);
    expect(stderr).toContain('30 jobs, 3 keys');
    expect(code).toBe(0);
  });
  afterAll(async () => {
    await queue.obliterate({ force: true });
    await queue.close();
  });

  const replayed = (...args: string[]) => torilHere(['replay', ...args, '--updates', UPDATES]);

  test('agree with each other and with the live cells', async () => {
    const live = ['--live', '--memcached', memcachedAddresses().join()];
    const { code, stdout } = await replayed(recording, ...live, '--json');
    expect(jsonLines(stdout).map((key) => (key['live'] as { kind?: string })?.kind)).toEqual([
      ...['same', 'same', 'same', undefined],
    ]);
    expect(code).toBe(0);
    const text = await replayed(recording, ...live);
    expect(text.stdout).toContain('cell is the same');
    expect(text.stdout).toContain('Every value is what it was, byte for byte.');
  });

  test('write to standard output, of one key and from a time on', async () => {
    const key = keys[1] as string;
    const one = await torilHere(['record', ...servers, '--key', key, '--since', '1h']);
    expect(one.code).toBe(0);
    const lines = jsonLines(one.stdout) as { commit?: { key: string } }[];
    expect(new Set(lines.flatMap(({ commit }) => commit?.key ?? []))).toEqual(new Set([key]));
    expect((await replayed(write('one.jsonl', one.stdout), '--complete')).code).toBe(0);
  });

  test('mask, and say what that means', async () => {
    const mask = write('mask.mjs', 'export const data = (data) => ({ ...data, cents: 1 });');
    const out = at('masked.jsonl');
    const plain = await torilHere(['record', ...servers, '--out', out, '--mask', mask]);
    expect(plain.stderr).toContain('not replayable');
    expect(readFileSync(out, 'utf8')).not.toMatch(/"cents":(?!1[,}])/);
    const refused = await replayed(out);
    expect(refused.stderr).toContain('error RECORDING_MASKED');
    expect(refused.code).toBe(2);
    const again = ['record', ...servers, '--out', out, '--mask', mask, '--updates', UPDATES];
    expect((await torilHere(again)).code).toBe(0);
    expect((await replayed(out, '--complete')).code).toBe(0);
    expect((await replayed(out, '--values')).stdout).toContain('"cents":10,');
  });

  test('leave what was there before when a signal comes in the middle', async () => {
    const mask = write(
      'waiting.mjs',
      `export const data = () => {
         process.stderr.write('the mask waits\\n');
         return new Promise((resolve) => setTimeout(resolve, 1e6));
       };`,
    );
    const out = write('kept.jsonl', 'what was there');
    const running = startToril(['record', ...servers, '--out', out, '--mask', mask]);
    await running.printed('the mask waits');
    running.signal('SIGTERM');
    const { code, stderr } = await running.ended();
    expect(stderr).toContain('SIGTERM: cleaning up');
    expect(code).toBe(143);
    expect(readFileSync(out, 'utf8')).toBe('what was there');
    expect(readdirSync(folder).filter((name) => name.endsWith('.partial'))).toEqual([]);
  });

  const record = (...args: string[]) => torilHere(['record', ...servers, ...args]);

  test('refuse what makes no sense, each with a clear word and exit code', async () => {
    const text = readFileSync(recording, 'utf8');
    const header = text.slice(0, text.indexOf('\n'));
    const newer = header.replace('"format":1', '"format":7');
    const noUpdates = write('others.mjs', 'export { default } from "./accounts-less.ts";');
    const cases: [() => Promise<CliResult>, number, RegExp][] = [
      [() => replayed(at('no.jsonl')), 2, /error BAD_FILE: .*no.jsonl cannot be read/],
      [() => replayed(folder), 2, /error BAD_FILE: .* cannot be read/],
      [() => replayed(write('empty.jsonl', '')), 2, /error BAD_FILE: .*it is empty/],
      [
        () => replayed(write('zipped.gz', gzipSync(text).subarray(0, -20))),
        2,
        /error RECORDING_DAMAGED: .*zipped.gz is cut off/,
      ],
      [
        () => replayed(write('cut.jsonl', text.slice(0, -100))),
        2,
        /error RECORDING_DAMAGED: .*cut off/,
      ],
      [() => replayed(write('newer.jsonl', `${newer}\n`)), 2, /error RECORDING_NEWER: .*format 7/],
      [
        () => replayed(recording, '--key', 'eve'),
        4,
        /error NOTHING_RECORDED: .*no commit of the key "eve"/,
      ],
      [() => torilHere(['replay', recording, '--updates', noUpdates]), 2, /error BAD_FILE/],
      [() => torilHere(['replay', recording]), 2, /required option '-u, --updates <file>'/],
      [
        () => replayed(recording, '--live', '--memcached', '127.0.0.1:1'),
        3,
        /error MEMCACHED_UNREACHABLE/,
      ],
      [() => replayed(recording, '--key', ''), 2, /error INVALID_KEY: the key is empty/],
      [() => record('--key', ''), 2, /error INVALID_KEY: the key is empty/],
      [() => replayed(recording, '--allow-unchecked', 'all'), 2, /"all" is none of: before-start/],
      [() => record('--key', 'eve'), 4, /error NOTHING_RECORDED: .*no commit of the key "eve"/],
      [
        () => record('--since', 'yesterday'),
        2,
        /error INVALID_OPTIONS: --since "yesterday" is no time/,
      ],
      [() => record('--since', '0s'), 4, /error NOTHING_RECORDED/],
      [() => record('--mask', UPDATES), 2, /error BAD_FILE: .* is no mask/],
      [() => record('--mask', at('no.mjs')), 2, /error BAD_FILE: there is no file/],
      [() => record('--updates', UPDATES), 2, /--updates is of use with --mask only/],
      [() => record('--out', '/dev/full'), 2, /error FILE_NOT_WRITTEN: \/dev\/full .*ENOSPC/],
      [() => record('--out', at('no/such/folder.jsonl')), 2, /error FILE_NOT_WRITTEN/],
      [
        () => torilHere(['record', '--queue', unique('none'), '--redis', redisUrl()]),
        4,
        /error QUEUE_MISSING/,
      ],
      [() => torilHere(['record', '--redis', 'redis://127.0.0.1:1']), 3, /error REDIS_FAILED/],
    ];
    for (const [index, [run, code, message]] of cases.entries()) {
      const result = await run();
      expect(`${index} ${result.stderr}`).toMatch(message);
      expect([index, result.code]).toEqual([index, code]);
    }
    // Nothing half-written.
    expect(readdirSync(folder).filter((name) => name.includes('partial'))).toEqual([]);
  });

  test('are read compressed, and from standard input', async () => {
    const zipped = write('zipped.jsonl.gz', gzipSync(readFileSync(recording)));
    expect((await replayed(zipped)).stdout).toContain('Every value is what it was');
    const args = ['--import', 'tsx', MAIN, 'replay', '-', '--updates', UPDATES];
    const { status, stdout } = spawnSync(process.execPath, args, { input: readFileSync(zipped) });
    expect(stdout.toString()).toContain('Every value is what it was');
    expect(status).toBe(0);
  });

  test('are compared under two versions of the updates', async () => {
    const other = write(
      'dear.ts',
      `import updates from ${JSON.stringify(UPDATES)};
       const [deposit, ...others] = updates;
       export default [{ ...deposit, apply: (value, data, context) => {
         const right = deposit.apply(value, data, context);
         return data.cents === 20 ? { ...right, cents: right.cents - 5 } : right;
       } }, ...others];`,
    );
    const compared = (...args: string[]) =>
      torilHere(['compare', recording, '--old', UPDATES, ...args]);
    const same = await compared('--new', UPDATES);
    expect(same.stdout).toContain('Nothing differs.');
    expect(same.code).toBe(0);
    const differs = await compared('--new', other);
    expect(differs.stdout).toContain('deposit: 4 of 30 jobs differ');
    expect(differs.stdout).toContain('.cents: 1 jobs, -5 in all, -5 at most');
    expect(differs.stdout).toContain('1 of 3 keys differ.');
    expect(differs.code).toBe(1);
    const [report] = jsonLines((await compared('--new', other, '--json')).stdout);
    expect(report).toMatchObject({ verdict: 'differs', repeatedByOld: report?.['commits'] });
    expect(
      (await compared('--new', other, '--ignore', '.cents', '--ignore', 'result()')).code,
    ).toBe(0);
    const stranger = await torilHere(['compare', recording, '--old', other, '--new', other]);
    expect(stranger.stdout).toContain('is it what was run?');
    for (const [flags, message] of [
      [['--new', at('no.ts')], /error BAD_FILE/],
      [['--new', other, '--sample', '2'], /must be a number above 0/],
      [['--new', other, '--key', ''], /error INVALID_KEY/],
    ] as const) {
      const refused = await compared(...flags);
      expect(refused.stderr).toMatch(message);
      expect(refused.code).toBe(2);
    }
  });

  test('are sliced, and shrunk to what shows a difference', async () => {
    const [, key] = keys as [string, string];
    const out = at('slice.jsonl');
    const sliced = await torilHere(['slice', recording, '--key', key, '--out', out]);
    expect(sliced.code).toBe(0);
    expect((await replayed(out)).stdout).toContain('Every value is what it was');
    const other = write(
      'part.ts',
      `import updates from ${JSON.stringify(UPDATES)};
       const [deposit, ...others] = updates;
       export default [{ ...deposit, apply: (value, data, context) => {
         const right = deposit.apply(value, data, context);
         return data.cents === 22 ? { ...right, jobs: 0 } : right;
       } }, ...others];`,
    );
    const small = at('small.jsonl');
    const shrunk = await torilHere([
      ...['shrink', recording, '--old', UPDATES, '--new', other, '--out', small],
    ]);
    expect(shrunk.stderr).toMatch(new RegExp(`1 jobs of ${key}: 23; they part at line`));
    expect(shrunk.stderr).not.toContain('is it what was run?');
    const stranger = await torilHere(['shrink', recording, '--old', other, '--new', UPDATES]);
    expect(stranger.stderr).toContain('is it what was run?');
    expect((await replayed(small)).code).toBe(0);
    const differs = await torilHere(['replay', small, '--updates', other]);
    expect(differs.stdout).toContain('+  "jobs": 0');
    expect(differs.code).toBe(1);
    for (const [args, code, message] of [
      [['slice', recording, '--key', 'eve'], 4, /error NOTHING_RECORDED/],
      [['slice', recording, '--key', key, '--key', 'eve'], 4, /error NOTHING_RECORDED: .*"eve"/],
      [['slice', recording, '--until', 'then'], 2, /--until "then" is no time/],
      [['slice', recording, '--since', '1h', '--until', '2h'], 2, /since must be before until/],
      [['slice', recording, '--out', '/dev/full'], 2, /error FILE_NOT_WRITTEN/],
      [['shrink', recording, '--old', UPDATES, '--new', UPDATES], 4, /nothing in .* differs/],
    ] as const) {
      const result = await torilHere([...args]);
      expect(result.stderr).toMatch(message);
      expect(result.code).toBe(code);
    }
  });

  test('say what was not checked, with an exit code of its own', async () => {
    const bed = createTestBed({ updates: cliUpdates });
    for (const account of ['a', 'b', 'a', 'a']) {
      await bed.enqueue(bed.registry.require('deposit'), { account, cents: 1 });
      await bed.drain();
    }
    const later: RecordedCommit[] = [];
    for await (const line of recordOf(bed.queue)) {
      const { commit } = JSON.parse(line) as { commit?: RecordedCommit };
      if (commit !== undefined) later.push(commit);
    }
    const file = write('late.jsonl', linesOf(later.slice(1)).join(''));
    const { code, stdout } = await replayed(file);
    expect(stdout).toContain('NOT CHECKED: 1 of 3 commits, in 1 of 2 keys.');
    expect(stdout).toContain('1 not checked: the recording began in the middle of the key');
    expect(code).toBe(7);
    expect((await replayed(file, '--complete')).code).toBe(1);
    const allowed = await replayed(file, '--allow-unchecked', 'before-start');
    expect(allowed.stdout).toContain('1 commits were not, as allowed');
    expect(allowed.code).toBe(0);
  });

  test('tell of jobs that failed then and would succeed now, and of other results', async () => {
    const index = JSON.stringify(fileURLToPath(new URL('../../src/index.ts', import.meta.url)));
    const updates = (floor: number, name: string): string =>
      write(
        name,
        `import { defineUpdate } from ${index};
         export const draw = defineUpdate({ name: 'draw', key: () => '${keys[0]}-d', initial: () => 100,
           apply: (cents, { n }) => { if (cents - n < ${floor}) throw new Error('no funds'); return cents - n; },
           result: (cents) => cents > ${floor} });`,
      );
    const then = (await import(updates(0, 'then.ts'))) as { draw: AnyUpdate };
    const bed = createTestBed({ updates: [then.draw] });
    for (const n of [30, 70, 20]) await bed.enqueue(then.draw, { n });
    await bed.drain();
    await writeRecording(at('draws.jsonl'), recordOf(bed.queue));
    const same = await torilHere(['replay', at('draws.jsonl'), '-u', at('then.ts')]);
    expect(same.stdout).toContain('1 jobs failed then; 1 of them fail again');
    expect(same.stdout).toContain('Not looked at: onFailure of draw; onExhausted of draw');
    expect(same.code).toBe(0);
    const now = updates(-50, 'now.ts');
    const other = await torilHere(['replay', at('draws.jsonl'), '-u', now]);
    expect(other.stdout).toContain('1 failed then and would succeed now');
    expect(other.stdout).toContain('then Error no funds, now it succeeds');
    expect(other.stdout).toContain('1 results differ');
    expect(other.stdout).toContain('then false, now true');
    expect(other.code).toBe(1);
  });

  test('name an update that is no longer registered', async () => {
    const other = write(
      'other.ts',
      `import { defineUpdate } from ${JSON.stringify(fileURLToPath(new URL('../../src/index.ts', import.meta.url)))};
       export const withdraw = defineUpdate({ name: 'withdraw', key: () => 'k', apply: (v) => v });`,
    );
    const { code, stderr, stdout } = await torilHere(['replay', recording, '--updates', other]);
    expect(stderr).toContain(
      'error UNKNOWN_UPDATE: the recording has jobs of updates that --updates does not have: deposit',
    );
    expect(stdout).toContain('the update of a job is not registered (job 1, deposit)');
    expect(code).toBe(2);
  });

  test('say so when standard output is a full disk', () => {
    const full = openSync('/dev/full', 'w');
    const args = ['--import', 'tsx', MAIN, 'record', ...servers];
    const { status, stderr } = spawnSync(process.execPath, args, {
      stdio: ['ignore', full, 'pipe'],
    });
    closeSync(full);
    expect(stderr.toString()).toMatch(/error FILE_NOT_WRITTEN: .*ENOSPC/);
    expect(status).toBe(2);
  });
});
