/** Installing the dependencies, against an npm that only pretends. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';

const INSTALL = resolve('scripts/install.mjs');
const LOCKED = {
  packages: {
    '': { version: '1.0.0' },
    'node_modules/a': { version: '1.0.0', integrity: 'sha512-a' },
    'node_modules/for-another-platform': { version: '1.0.0', optional: true },
  },
};
const INSTALLED = { packages: { 'node_modules/a': LOCKED.packages['node_modules/a'] } };

/** Notes that it was called, takes its time, and leaves npm's account of what it installed. */
const PRETENDED_NPM = `
const { appendFileSync, mkdirSync, writeFileSync } = require('node:fs');
appendFileSync('calls', process.argv.slice(2).join(' ') + '\\n');
setTimeout(() => {
  mkdirSync('node_modules', { recursive: true });
  writeFileSync('node_modules/.package-lock.json', ${JSON.stringify(JSON.stringify(INSTALLED))});
}, 300);
`;

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'toril-setup-'));
  writeFileSync(join(root, 'package-lock.json'), JSON.stringify(LOCKED));
  writeFileSync(join(root, 'npm-cli.js'), PRETENDED_NPM);
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

async function install(): Promise<number> {
  const program = `const { installDependencies } = await import(process.argv[1]);
    await installDependencies(process.argv[2]);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program, INSTALL, root], {
    env: { ...process.env, npm_execpath: join(root, 'npm-cli.js') },
    stdio: 'ignore',
  });
  const [code] = (await once(child, 'exit')) as [number];
  return code;
}

function npmCalls(): number {
  const calls = join(root, 'calls');
  return existsSync(calls) ? readFileSync(calls, 'utf8').trim().split('\n').length : 0;
}

function writeInstalled(packages: object): void {
  mkdirSync(join(root, 'node_modules'));
  writeFileSync(join(root, 'node_modules', '.package-lock.json'), JSON.stringify({ packages }));
}

test('two processes that start at the same time install once, and both wait for it', async () => {
  expect(await Promise.all([install(), install()])).toEqual([0, 0]);
  expect(npmCalls()).toBe(1);
  expect(existsSync(join(root, '.toril', 'install.lock'))).toBe(false);
});

test('what is installed already is left alone, optional packages of other platforms or not', async () => {
  writeInstalled(INSTALLED.packages);
  expect(await install()).toBe(0);
  expect(npmCalls()).toBe(0);
});

test.each([
  ['in another version', { 'node_modules/a': { version: '0.9.0', integrity: 'sha512-a' } }],
  ['with other contents', { 'node_modules/a': { version: '1.0.0', integrity: 'sha512-b' } }],
  ['not at all', {}],
])('a package that is there %s makes it install anew', async (_how, packages) => {
  writeInstalled(packages);
  expect(await install()).toBe(0);
  expect(npmCalls()).toBe(1);
});

test('nothing is installed through a link: other trees use what it leads to', async () => {
  const shared = join(root, 'shared');
  mkdirSync(shared);
  symlinkSync(shared, join(root, 'node_modules'), 'dir');
  expect(await install()).not.toBe(0);
  expect(npmCalls()).toBe(0);
  writeFileSync(join(shared, '.package-lock.json'), JSON.stringify(INSTALLED));
  expect(await install()).toBe(0);
  expect(npmCalls()).toBe(0);
});

test('the lock of a process that died is taken over', async () => {
  const dead = spawnSync(process.execPath, ['-e', '']).pid;
  mkdirSync(join(root, '.toril', 'install.lock'), { recursive: true });
  writeFileSync(join(root, '.toril', 'install.lock', 'pid'), String(dead));
  expect(await Promise.all([install(), install()])).toEqual([0, 0]);
  expect(npmCalls()).toBe(1);
});

test('package-lock.json names no registry: each machine has its own', () => {
  // What is linked from this tree says where.
  const resolved = readFileSync('package-lock.json', 'utf8').match(/"resolved": ".*"/g);
  expect(resolved).toEqual(['"resolved": "bench"']);
});
