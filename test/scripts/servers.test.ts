/**
 * Getting servers, on machines that only pretend: a PATH whose redis-server, memcached, apt-get,
 * sudo and docker are small scripts. So the ways that this machine does not need are tried as well.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

const RUN = resolve('scripts/run.mjs');

/** Listens where a real one would, and says who it is as both would. */
const SERVER = `#!${process.execPath}
const { existsSync, writeFileSync } = require('node:fs');
if (process.argv.includes('-h')) process.exit();
const failOnce = process.env.FAIL_ONCE;
if (failOnce && !existsSync(failOnce)) { writeFileSync(failOnce, ''); process.exit(1); }
const port = Number(process.argv[process.argv.findIndex((word) => /^(--port|-p)$/.test(word)) + 1]);
const answer = 'process_id:' + process.pid + '\\r\\nSTAT pid ' + process.pid + '\\r\\n';
require('node:net').createServer((socket) => {
  socket.on('error', () => {}).on('data', () => socket.write(answer));
}).listen(port, '127.0.0.1');
`;

let folder: string;
let bin: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'toril-setup-'));
  bin = join(folder, 'bin');
  mkdirSync(bin);
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

function command(name: string, script: string): void {
  writeFileSync(join(bin, name), script);
  chmodSync(join(bin, name), 0o755);
}

/** A shell script that notes how it was called. */
function notingCommand(name: string, script: string): void {
  command(name, `#!/bin/sh\necho "${name} $*" >> "${folder}/notes"\n${script}\n`);
}

function notes(): string[] {
  const file = join(folder, 'notes');
  return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [];
}

function installedServers(): void {
  command('redis-server', SERVER);
  command('memcached', SERVER);
}

/** Prints what it was given, and ends with 7. */
const PRINT = `console.log(JSON.stringify([process.env.TORIL_REDIS, process.env.TORIL_MEMCACHED,
  process.env.TORIL_DEMO_MEMCACHED_BIN])); process.exitCode = 7;`;

function start(program: string, env: Record<string, string> = {}): ChildProcess {
  return spawn(
    process.execPath,
    [RUN, '--servers', '--', 'node', '-e', program],
    // TMPDIR: neither the lock of the real machine nor its left-overs are looked at.
    { env: { HOME: folder, PATH: bin, TMPDIR: folder, ...env }, stdio: ['ignore', 'pipe', 'pipe'] },
  );
}

interface Ending {
  readonly code: number | null;
  readonly output: string;
  readonly complaints: string;
}

async function ending(child: ChildProcess): Promise<Ending> {
  let output = '';
  let complaints = '';
  child.stdout?.on('data', (chunk) => (output += String(chunk)));
  child.stderr?.on('data', (chunk) => (complaints += String(chunk)));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, output, complaints };
}

const runToEnd = (env: Record<string, string> = {}): Promise<Ending> => ending(start(PRINT, env));

/** The addresses that PRINT printed. */
function given({ output }: Ending): string[] {
  return JSON.parse(output.trim()) as string[];
}

function isListening(address: string): Promise<boolean> {
  const socket = connect(Number(address.split(':').at(-1)), '127.0.0.1');
  return new Promise<boolean>((answer) => {
    socket.on('connect', () => answer(true)).on('error', () => answer(false));
  }).finally(() => socket.destroy());
}

async function untilGone(address: string): Promise<void> {
  while (await isListening(address)) await sleep(20);
}

function leftOver(): string[] {
  return readdirSync(folder).filter((name) => /^toril-(redis|memcached)-/.test(name));
}

describe('with binaries on the PATH', () => {
  beforeEach(installedServers);

  test('private servers are started for the command and are gone after it', async () => {
    const ended = await runToEnd();
    expect(ended.code).toBe(7);
    const [redis = '', memcached = '', binary] = given(ended);
    expect(redis).toMatch(/^redis:\/\/127\.0\.0\.1:\d+$/);
    expect(memcached).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(binary).toBe(join(bin, 'memcached'));
    expect(await isListening(redis)).toBe(false);
    expect(await isListening(memcached)).toBe(false);
    expect(leftOver()).toEqual([]);
  });

  test('two at the same time have servers of their own', async () => {
    const [one, other] = await Promise.all([runToEnd(), runToEnd()]);
    expect([one?.code, other?.code]).toEqual([7, 7]);
    expect(new Set([...given(one), ...given(other)]).size).toBe(5); // only the binary is the same
  });

  test('a port that somebody else took meanwhile is given up for another', async () => {
    const ended = await runToEnd({ FAIL_ONCE: join(folder, 'failed-once') });
    expect(ended.code).toBe(7);
    expect(existsSync(join(folder, 'failed-once'))).toBe(true);
  });

  test('SIGTERM goes to the command, which keeps its servers until it has ended', async () => {
    const slow = `process.on('SIGTERM', () => { console.log('ending'); setTimeout(() => process.exit(3), 200); });
      setInterval(() => {}, 1000); ${PRINT}`;
    const child = start(slow);
    const [printed] = (await once(child.stdout as NodeJS.EventEmitter, 'data')) as [Buffer];
    const [redis = ''] = JSON.parse(String(printed)) as string[];
    const ended = ending(child);
    child.kill('SIGTERM');
    await once(child.stdout as NodeJS.EventEmitter, 'data'); // it is ending
    expect(await isListening(redis)).toBe(true);
    expect((await ended).code).toBe(3);
    expect(await isListening(redis)).toBe(false);
  });

  test('the servers die with a runner that is killed', async () => {
    // The command ends by itself once its parent is gone.
    const child = start(`const parent = process.ppid; ${PRINT}
      setInterval(() => { if (process.ppid !== parent) process.exit(); }, 20);`);
    const [printed] = (await once(child.stdout as NodeJS.EventEmitter, 'data')) as [Buffer];
    const [redis = '', memcached = ''] = JSON.parse(String(printed)) as string[];
    child.kill('SIGKILL');
    await untilGone(redis);
    await untilGone(memcached);
    while (leftOver().length > 0) await sleep(20);
  });

  test.each(['TORIL_REDIS', 'TORIL_MEMCACHED'])('a wrong %s is not papered over', async (name) => {
    const unreachable = await runToEnd({ [name]: '127.0.0.1:1' });
    expect(unreachable.code).toBe(1);
    expect(unreachable.complaints).toContain(`${name} names 127.0.0.1:1, which cannot be reached`);
    const nonsense = await runToEnd({ [name]: 'a secret://x y' });
    expect(nonsense.code).toBe(1);
    expect(nonsense.complaints).toContain(`${name} is not an address`);
    expect(nonsense.complaints).not.toContain('secret');
  });
});

/** An apt-get that installs the pretended servers, and notes what keeps services from starting. */
function pretendDebian(): void {
  writeFileSync(join(folder, 'server'), SERVER, { mode: 0o755 });
  const install = ['redis-server', 'memcached'].map(
    (name) => `case "$*" in *install*${name}*) /bin/cp "${folder}/server" "${bin}/${name}";; esac`,
  );
  notingCommand('apt-get', `echo "RUNLEVEL=$RUNLEVEL" >> "${folder}/notes"\n${install.join('\n')}`);
  command('env', '#!/bin/sh\nexec /usr/bin/env "$@"\n');
  command('sudo', '#!/bin/sh\n[ "$2" = true ] && exit\nshift\nexec "$@"\n');
  command('systemctl', '#!/bin/sh\n');
}

describe('without binaries', () => {
  test("Debian's packages are installed, once for two at the same time, with no service", async () => {
    pretendDebian();
    const endings = await Promise.all([runToEnd(), runToEnd()]);
    expect(endings.map((ended) => ended.code)).toEqual([7, 7]);
    expect(notes()).toEqual([
      'apt-get -o DPkg::Lock::Timeout=300 -qq update',
      'RUNLEVEL=1',
      'apt-get -o DPkg::Lock::Timeout=300 -qq install -y --no-install-recommends redis-server memcached',
      'RUNLEVEL=1',
    ]);
  });

  test('only what is missing is installed', async () => {
    pretendDebian();
    command('memcached', SERVER);
    expect((await runToEnd()).code).toBe(7);
    expect(notes().filter((line) => line.includes('install'))).toEqual([
      expect.stringMatching(/ redis-server$/),
    ]);
  });

  test('containers are the next resort, and are taken down afterwards', async () => {
    notingCommand('docker', 'case "$*" in *" port "*) echo 127.0.0.1:4711;; esac');
    const ended = await runToEnd();
    expect(ended.code).toBe(7);
    expect(given(ended)).toEqual(['redis://127.0.0.1:4711', '127.0.0.1:4711', null]);
    const project = / --project-name toril-\d+ --file \S+ --file \S+ /;
    expect(
      notes()
        .filter((line) => project.test(line))
        .map((line) => line.split('.yml ')[2]),
    ).toEqual([
      'up --detach --wait redis memcached',
      'port redis 6379',
      'port memcached 11211',
      'down --volumes --timeout 1',
    ]);
  });

  test('the error says what to install', async () => {
    const ended = await runToEnd();
    expect(ended.code).toBe(1);
    expect(ended.complaints).toContain('redis-server and memcached not found');
    expect(ended.complaints).toContain('apt-get install redis-server memcached');
    expect(ended.complaints).toContain('brew install redis memcached');
    expect(ended.complaints).not.toMatch(/^\s+at /m);
  });
});
