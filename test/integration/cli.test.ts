/** The commands that do one thing and end, on good and on bad input. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { listen } from '../support/scripted-memcached.ts';
import { startMemcached } from '../support/servers.ts';
import { jsonLines, startToril, toril, torilHere, unique, UPDATES } from './cli-runner.ts';

const folder = mkdtempSync(join(tmpdir(), 'toril-cli-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Where nothing listens. */
const NOWHERE = '127.0.0.1:1';

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const deposit = (account: string, cents: number): string => JSON.stringify({ account, cents });

describe('toril', () => {
  test('shows its help, and says with its exit code that a command is missing', async () => {
    const [asked, bare] = await Promise.all([toril(['--help']), toril([])]);
    expect(asked).toMatchObject({ code: 0, stderr: '' });
    expect(asked.stdout).toContain('Examples:');
    expect(asked.stdout).toContain('Exit codes:');
    expect(bare).toMatchObject({ code: 2, stdout: '' });
    expect(bare.stderr).toContain('Usage: toril');
  });

  test('says its version', async () => {
    const { code, stdout } = await toril(['--version']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  test.each([
    [['nonsense'], "unknown command 'nonsense'"],
    [['get'], "missing required argument 'key'"],
    [['get', 'a', '--nonsense'], "unknown option '--nonsense'"],
    [['worker'], "required option '-u, --updates <file>' not specified"],
    [['worker', '-u', UPDATES, '--concurrency', 'many'], 'whole number from 1 to'],
    [['lane', 'a', '--retry', '--drop'], "'--retry' cannot be used with option '--drop'"],
    [['lane', 'a', '--trust', 'both'], 'Allowed choices are cell, copy'],
    [['enqueue', 'deposit'], 'what is the data of the job?'],
  ])('refuses %j as wrong usage', async (args, message) => {
    const { code, stdout, stderr } = await torilHere(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(`error: `);
    expect(stderr).toContain(message);
  });

  test.each([
    [['get', ''], 2, 'error INVALID_KEY: the key is empty'],
    [['get', 'k', '--memcached', 'a:b:c'], 2, 'error INVALID_OPTIONS: the option "memcached"'],
    [['get', 'k', '--memcached', NOWHERE], 3, 'error MEMCACHED_UNREACHABLE: '],
    [['lane', 'k', '--redis', `redis://u:secret@${NOWHERE}`], 3, 'error REDIS_FAILED: '],
    [['lane', 'k', '--redis', 'http://u:secret@host'], 2, 'error INVALID_OPTIONS: --redis'],
    [['lane', 'k', '--queue', 'a:b'], 2, 'error INVALID_OPTIONS: --queue'],
    [['enqueue', 'x', '{"a":'], 2, 'error DATA_NOT_JSON: '],
    [['enqueue', 'x', '{}', '--options', '[]'], 2, 'error INVALID_OPTIONS: --options'],
    [['enqueue', 'x', '{}', '-u', 'missing.mjs'], 2, 'error BAD_FILE: there is no file missing'],
    [['enqueue', 'x', '{}', '-u', UPDATES], 2, 'error UNKNOWN_UPDATE: '],
    [['enqueue', 'deposit', '{}', '-u', UPDATES], 2, 'error INVALID_DATA: '],
    [['enqueue', '-', '{}'], 2, 'error INVALID_OPTIONS: '],
    [['trace', 'missing.json.gz'], 2, 'error BAD_FILE: missing.json.gz cannot be read'],
    [['demo', '--jobs', '5'], 2, 'error INVALID_OPTIONS: --jobs (5)'],
    [['demo', '--workers', '1'], 2, 'error INVALID_OPTIONS: --workers'],
  ])('answers %j with exit code %i and %s', async (args, expected, message) => {
    const { code, stdout, stderr } = await torilHere(args);
    expect({ code, stdout }).toEqual({ code: expected, stdout: '' });
    expect(stderr).toContain(message);
    expect(stderr).not.toContain('secret');
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  });

  test('shows where an error came from only to whoever debugs', async () => {
    const debugged = startToril(['get', ''], { env: { DEBUG: 'toril' } });
    await expect(debugged.ended()).rejects.toThrow(/not to match/);
    expect(debugged.stderr).toMatch(/at .*key\.ts/);
  });

  test('ends without a word when its reader has gone', async () => {
    const shell = [
      '-c',
      `"$0" --import tsx src/cli/main.ts --help | true; echo "\${PIPESTATUS[0]}"`,
    ];
    const { stdout, stderr } = spawnSync('bash', [...shell, process.execPath], {
      encoding: 'utf8',
    });
    expect(['0', '141']).toContain(stdout.trim());
    expect(stderr).toBe('');
  });
});

describe('a server that takes connections and says nothing', () => {
  test('is an error of every command within some seconds', async () => {
    const silent = await listen(() => undefined);
    const [redis, memcached] = [`redis://${silent.address}`, silent.address];
    const commands: readonly (readonly [string[], string])[] = [
      [['enqueue', 'x', '{}', '--redis', redis], 'REDIS_FAILED'],
      [['lane', 'k', '--redis', redis], 'REDIS_FAILED'],
      [['servers', '--redis', redis], 'REDIS_FAILED'],
      [['record', '--redis', redis], 'REDIS_FAILED'],
      [['get', 'a', 'b', 'c', '--memcached', memcached], 'MEMCACHED_TIMED_OUT'],
      [
        ['lane', 'k', '--memcached', memcached, '--trust', 'copy', '--wait-ms', '500'],
        // The cell is looked at before its lease is asked for.
        'MEMCACHED_TIMED_OUT: nothing was changed, since the cell of "k" cannot be read: ',
      ],
    ];
    const startedMs = performance.now();
    const ended = await Promise.all(commands.map(([args]) => toril(args)));
    expect(performance.now() - startedMs).toBeLessThan(20_000); // six processes at once
    expect(ended.map(({ code }) => code)).toEqual([3, 3, 3, 3, 3, 3]);
    for (const [at, { stderr }] of ended.entries()) expect(stderr).toContain(commands[at]?.[1]);
    await silent.close();
  });
});

describe('a file of updates', () => {
  const single =
    'export const one = { name: "one", key: () => "k", apply: () => 1, onFailure: "block" };';

  test.each([
    ['nothing.mjs', 'export const x = 1;', 'exports no updates'],
    ['empty.mjs', 'export default [];', 'exports an empty list'],
    ['wrong.mjs', 'export const updates = [{ name: "x" }];', 'item 0 of the updates'],
    ['throws.mjs', 'throw new Error("on purpose");', 'cannot be loaded: on purpose'],
    ['syntax.mjs', 'export const = ;', 'cannot be loaded'],
    ['absent.mjs', 'import "no-such-package";', 'cannot be loaded'],
  ])('%s is refused', async (name, text, message) => {
    const { code, stderr } = await torilHere(['enqueue', 'x', '{}', '-u', file(name, text)]);
    expect(code).toBe(2);
    expect(stderr).toContain('error BAD_FILE: ');
    expect(stderr).toContain(message);
  });

  test.each([
    ['default.mjs', `${single} export default [one];`],
    ['named.mjs', `${single} export const updates = [one];`],
    ['each.mjs', single],
    ['alone.mjs', `${single} export default one;`],
  ])('%s is understood', async (name, text) => {
    const queue = unique('file');
    const { code, stderr } = await torilHere([
      ...['enqueue', 'one', '{}', '-u', file(name, text), '-q', queue],
    ]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });
});

describe('toril enqueue', () => {
  test('adds one job and tells its id', async () => {
    const [queue, account] = [unique('one'), unique('account')];
    const args = ['enqueue', 'deposit', deposit(account, 5), '-u', UPDATES, '-q', queue];
    const { code, stdout } = await toril([...args, '--json']);
    expect({ code, told: JSON.parse(stdout) }).toEqual({
      code: 0,
      told: { enqueued: 1, jobId: '1' },
    });
    const lane = await torilHere(['lane', account, '-q', queue, '--json']);
    expect(JSON.parse(lane.stdout)).toMatchObject({ length: 1, jobs: [{ name: 'deposit' }] });
  });

  test('without --updates adds a plain job, which enters its lane later', async () => {
    const [queue, account] = [unique('plain'), unique('account')];
    const { code } = await torilHere(['enqueue', 'deposit', deposit(account, 5), '-q', queue]);
    expect(code).toBe(0);
    const lane = await torilHere(['lane', account, '-q', queue, '--json']);
    expect(JSON.parse(lane.stdout)).toMatchObject({ length: 0 });
  });

  test('reads lines of data, in order, with blank ones, CRLF and a byte order mark', async () => {
    const [queue, account] = [unique('lines'), unique('account')];
    const many = Array.from({ length: 1_100 }, (_, cents) => deposit(account, cents));
    const input = `\uFEFF${many[0]}\r\n\r\n${many.slice(1).join('\n')}`;
    const args = ['enqueue', 'deposit', '-', '-u', UPDATES, '-q', queue];
    const { code, stdout } = await toril(args, { input });
    expect({ code, stdout }).toEqual({ code: 0, stdout: '1100 jobs enqueued\n' });
    const lane = await torilHere(['lane', account, '-q', queue, '--json']);
    expect(JSON.parse(lane.stdout)).toMatchObject({ length: 1_100 });
  });

  test('reads lines that name their update and their options', async () => {
    const [queue, account] = [unique('named'), unique('account')];
    const line = { name: 'deposit', data: { account, cents: 1 }, options: { jobId: 'mine' } };
    const args = ['enqueue', '-', '-u', UPDATES, '-q', queue, '--json'];
    const { code, stdout } = await toril(args, { input: JSON.stringify(line) });
    expect({ code, told: JSON.parse(stdout) }).toEqual({ code: 0, told: { enqueued: 1 } });
    const lane = await torilHere(['lane', account, '-q', queue, '--json']);
    expect(JSON.parse(lane.stdout)).toMatchObject({ jobs: [{ jobId: 'mine' }] });
  });

  test.each([
    ['no JSON', 'nonsense', 'DATA_NOT_JSON'],
    ['data that fails its schema', '{"account":"a","cents":0.5}', 'INVALID_DATA'],
    ['an empty key', '{"account":"","cents":1}', 'INVALID_KEY'],
  ])('stops at a line with %s, and says what was enqueued', async (_, bad, errorCode) => {
    const [queue, account] = [unique('bad'), unique('account')];
    const input = [deposit(account, 1), deposit(account, 2), bad, deposit(account, 4)].join('\n');
    const args = ['enqueue', 'deposit', '-', '-u', UPDATES, '-q', queue];
    const { code, stdout, stderr } = await toril(args, { input });
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(`error ${errorCode}: line 3: `);
    expect(stderr).toContain('2 jobs from the lines before it were enqueued, none after');
    const lane = await torilHere(['lane', account, '-q', queue, '--json']);
    expect(JSON.parse(lane.stdout)).toMatchObject({ length: 2 });
  });
});

describe('toril worker', () => {
  test('applies jobs, tells of them, and stops in good order', async () => {
    const [queue, account] = [unique('worker'), unique('account')];
    await torilHere(['enqueue', 'deposit', deposit(account, 5), '-u', UPDATES, '-q', queue]);
    const worker = startToril(['worker', '-u', UPDATES, '-q', queue, '--json', '--verbose']);
    expect(await worker.event('started')).toMatchObject({ queue, updates: 'deposit,slow' });
    expect(await worker.event('jobCompleted')).toMatchObject({ jobId: '1', name: 'deposit' });
    worker.signal('SIGTERM');
    expect(await worker.ended()).toMatchObject({ code: 0, stderr: '' });
    expect(worker.events().at(-1)).toMatchObject({ event: 'stopped', committed: 1 });

    const value = { cents: 5, jobs: 1 };
    const plain = await torilHere(['get', account]);
    expect(plain).toEqual({ code: 0, stdout: `${JSON.stringify(value)}\n`, stderr: '' });
    const both = await torilHere(['get', account, unique('nobody'), '--json']);
    expect(both.code).toBe(4);
    expect(jsonLines(both.stdout)).toMatchObject([
      { key: account, found: true, value },
      { found: false },
    ]);
  });

  test('finishes what it holds after SIGTERM, and ends at once at the second signal', async () => {
    const [queue, account] = [unique('stopping'), unique('account')];
    const startOn = async (ms: number): Promise<ReturnType<typeof startToril>> => {
      const data = JSON.stringify({ account, ms });
      await torilHere(['enqueue', 'slow', data, '-u', UPDATES, '-q', queue]);
      const worker = startToril(['worker', '-u', UPDATES, '-q', queue, '--json']);
      await worker.printed('slow began');
      return worker;
    };
    const patient = await startOn(1_000);
    patient.signal('SIGINT');
    expect((await patient.ended()).code).toBe(0);
    const { stdout } = await torilHere(['get', account]);
    expect(JSON.parse(stdout)).toEqual({ cents: 0, jobs: 1 });

    const hasty = await startOn(60_000);
    hasty.signal('SIGTERM');
    await hasty.event('stopping');
    hasty.signal('SIGTERM');
    expect((await hasty.ended()).code).toBe(143);
  });

  test('writes lines for people unless it is asked for JSON', async () => {
    const worker = startToril(['worker', '-u', UPDATES, '-q', unique('people')]);
    await worker.printed('started');
    worker.signal('SIGTERM');
    const { code, stdout } = await worker.ended();
    expect(code).toBe(0);
    expect(stdout).toMatch(/^\d\d:\d\d:\d\d started +queue=/);
    expect(stdout).not.toContain('\u001b');
  });

  test('does not start with options that contradict each other', async () => {
    const args = ['worker', '-u', UPDATES, '-q', unique('refused'), '--lease-ms', '900'];
    const { code, stdout, stderr } = await toril(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(`error INVALID_OPTIONS: `);
  });

  test.each([
    ['--redis', 'redis', 'REDIS_FAILED'],
    ['--memcached', NOWHERE, 'MEMCACHED_UNREACHABLE'],
  ])('waits for %s, says so once, and ends when it is told to', async (flag, server, code) => {
    const args = ['worker', '-u', UPDATES, '-q', unique('waiting'), flag, NOWHERE];
    const worker = startToril([...args, '--close-ms', '60000']);
    await worker.printed(`waiting for ${server}: ${code}`);
    worker.signal('SIGTERM');
    const startedMs = performance.now();
    const ended = await worker.ended();
    expect(performance.now() - startedMs).toBeLessThan(5_000);
    expect(ended.code).toBe(0);
    expect(ended.stderr.match(/waiting for/g)).toHaveLength(1);
    expect(ended.stdout).not.toContain('started');
  });

  test('begins when memcached comes', async () => {
    const memcached = await startMemcached();
    await memcached.kill();
    const queue = unique('later');
    const at = ['--memcached', memcached.address];
    const worker = startToril(['worker', '-u', UPDATES, '-q', queue, '--json', ...at]);
    await worker.printed('waiting for');
    await memcached.start();
    await worker.event('started');
    worker.signal('SIGTERM');
    expect((await worker.ended()).code).toBe(0);
    await memcached.stop();
  });

  test('does not start with other memcached servers until they are accepted', async () => {
    const queue = unique('servers');
    const first = startToril(['worker', '-u', UPDATES, '-q', queue, '--json']);
    await first.event('started');
    const { stdout } = await torilHere(['servers', '-q', queue, '--json']);
    const { registered, given, servers } = JSON.parse(stdout) as Record<string, string>;
    expect(registered).toBe(given);
    expect(servers).toMatchObject([{ version: expect.stringMatching(/^\d/), protocol: 'meta' }]);
    const binary = await torilHere(['servers', '-q', queue, '--memcached-protocol', 'binary']);
    expect(binary.stdout).toMatch(/memcached \d\S*, protocol binary/);
    const unheardOf = await torilHere(['servers', '--memcached-protocol', 'text']);
    expect([unheardOf.code, unheardOf.stderr]).toEqual([
      2,
      expect.stringContaining('auto, meta, binary'),
    ]);

    // The same server by another name: a list of its own, as far as hashing is concerned.
    const renamed = given?.replace(/^.*127\.0\.0\.1/, 'localhost') ?? '';
    const other = ['--memcached', renamed, '-q', queue];
    const refused = await toril(['worker', '-u', UPDATES, ...other]);
    expect(refused.code).toBe(3);
    expect(refused.stderr).toContain('error SERVER_LIST_CHANGED: ');
    expect((await torilHere(['servers', ...other])).code).toBe(3);

    const running = await torilHere(['servers', ...other, '--accept']);
    expect(running.code).toBe(3);
    expect(running.stderr).toContain('Stop them first');
    first.signal('SIGTERM');
    expect((await first.ended()).code).toBe(0);

    const accepted = await torilHere(['servers', ...other, '--accept', '--json']);
    expect(accepted.code).toBe(0);
    expect(accepted.stderr).toContain('warning');
    expect((await torilHere(['servers', ...other])).code).toBe(0);
    expect((await torilHere(['servers', '-q', queue])).code).toBe(3);
  });
});
