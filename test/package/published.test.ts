/** The package as npm would publish it: what is in it, what it asks for, and who can import it. */
import { execFileSync, spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Packed, packed, textOf } from '../support/packed.ts';

const EXAMPLES = fileURLToPath(new URL('../../examples', import.meta.url));
const BIN = fileURLToPath(new URL('../../node_modules/.bin', import.meta.url));

/** Bytes; about a tenth above what they are, so that growth is a decision. */
const SIZE_MAX = 1_000_000;
const UNPACKED_SIZE_MAX = 3_300_000;

let toril: Packed;
beforeAll(async () => {
  toril = await packed();
});
afterAll(() => toril.remove());

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta: Readonly<Record<string, { optional: boolean }>>;
}

const manifest = (): Manifest => JSON.parse(textOf(toril, 'package.json')) as Manifest;

/** Runs a program in a project that has installed Toril. */
function run(program: string, type: 'module' | 'commonjs' = 'module'): string {
  const args = [`--input-type=${type}`, '--expose-gc', '-e', program];
  const env = { ...process.env, NODE_OPTIONS: '' };
  const ran = spawnSync(process.execPath, args, { cwd: toril.folder, env, encoding: 'utf8' });
  expect(ran.stderr).toBe('');
  return ran.stdout.trim();
}

describe('its files', () => {
  test('stay within their budget', () => {
    expect(toril.size).toBeLessThan(SIZE_MAX);
    expect(toril.unpackedSize).toBeLessThan(UNPACKED_SIZE_MAX);
  });

  test('are neither sources nor maps of sources', () => {
    const strange = toril.files.filter(
      ({ path }) => /\.map$|(?<!\.d)\.ts$|tsbuildinfo/.test(path) || path.includes('node_modules'),
    );
    expect(strange).toEqual([]);
    const scripts = toril.files.filter(({ path }) => path.endsWith('.js'));
    expect(scripts.length).toBeGreaterThan(200);
    expect(scripts.filter(({ path }) => textOf(toril, path).includes('sourceMappingURL'))).toEqual(
      [],
    );
  });

  test('import what package.json asks for, and nothing else', () => {
    const { dependencies, peerDependencies } = manifest();
    const imported = new Set<string>();
    for (const { path } of toril.files.filter((one) => /\.(js|d\.ts)$/.test(one.path))) {
      // Minified libraries have their own `from"node:module"`.
      const code = textOf(toril, path).replaceAll(/\/\*[\s\S]*?\*\//g, '');
      const imports = code.matchAll(
        /(?:^|[;}\s])(?:from|import)\s*\(?\s*["'](@?[a-z][\w:/.-]*)["']/g,
      );
      for (const [, name = ''] of imports) {
        if (isBuiltin(name)) continue;
        imported.add(name.split('/', name.startsWith('@') ? 2 : 1).join('/'));
      }
    }
    imported.delete('toril'); // in the text of tests that `toril fixture` writes
    imported.delete('vitest');
    // BullMQ loads it: a peer of its.
    const asked = Object.keys({ ...dependencies, ...peerDependencies });
    expect([...imported, 'ioredis'].filter((name) => !asked.includes(name))).toEqual([]);
  });

  test('ask nobody to install what only some need', () => {
    const { peerDependencies, peerDependenciesMeta, dependencies } = manifest();
    expect(Object.keys(dependencies)).toEqual([
      '@standard-schema/spec',
      'bullmq',
      'ioredis',
      'memjs',
    ]);
    const optional = Object.entries(peerDependenciesMeta).filter(([, { optional }]) => optional);
    expect(optional.map(([name]) => name)).toEqual(Object.keys(peerDependencies));
  });

  test('have the licences of what comes along', () => {
    const licences = textOf(toril, 'dist/vendor/LICENSES.txt');
    for (const name of ['commander', 'cli-progress', 'string-width', 'diff'])
      expect(licences).toMatch(
        new RegExp(`^${name} [\\d.]+ \\((MIT|ISC|BSD-3-Clause)\\)\n\n\\S`, 'm'),
      );
  });
});

describe('importing it', () => {
  test('finds types and code from every kind of project', () => {
    // attw calls it a problem that a CommonJS file gets a module: from Node 20.19 on, that works (below).
    const attw = join(BIN, 'attw');
    const { stdout, status } = spawnSync(
      attw,
      [toril.tarball, '--ignore-rules', 'cjs-resolves-to-esm', '--format', 'ascii'],
      { encoding: 'utf8' },
    );
    expect(stdout).toContain('No problems found');
    expect(status).toBe(0);
  });

  test('works by require', () => {
    const program = `const { Worker } = require('toril'), { openCells } = require('toril/cells'), { createUi } = require('toril/ui');
      console.log(typeof Worker, typeof openCells, typeof createUi, typeof require('toril/testing').createTestBed)`;
    expect(run(program, 'commonjs')).toBe('function function function function');
  });

  test('gives one TorilError, whichever door it comes through', () => {
    const program = `const [all, cells] = [await import('toril'), await import('toril/cells')];
      console.log(all.TorilError === cells.TorilError);
      try { cells.openCells({ memcached: [] }) } catch (error) { console.log(error instanceof all.TorilError, error.code) }`;
    expect(run(program)).toBe('true\ntrue INVALID_OPTIONS');
  });

  test('has a command line that needs nothing else', () => {
    const main = join(toril.folder, 'node_modules/toril/dist/cli/main.js');
    const ran = spawnSync(process.execPath, [main, 'servers', '--help'], { encoding: 'utf8' });
    expect(ran.stdout).toContain('Usage: toril servers');
  });

  test('has a command line that reads TypeScript with the tsx of the project', () => {
    const main = join(toril.folder, 'node_modules/toril/dist/cli/main.js');
    const ledger = (file: string): string => join(EXAMPLES, 'ledger', file);
    const replay = (folder: string): SpawnSyncReturns<string> => {
      copyFileSync(ledger('updates.ts'), join(folder, 'updates.ts'));
      const args = [main, 'replay', ledger('recording.jsonl'), '--updates', 'updates.ts'];
      const env = { ...process.env, NODE_OPTIONS: '' };
      return spawnSync(process.execPath, args, { cwd: folder, env, encoding: 'utf8' });
    };
    const ran = replay(toril.folder);
    expect(ran.stderr).toBe('');
    expect(ran.status).toBe(0);
    if ('typescript' in process.features) return; // a Node that reads it by itself
    const elsewhere = mkdtempSync(join(tmpdir(), 'toril-no-tsx-'));
    try {
      expect(replay(elsewhere).stderr).toContain('npm install --save-dev tsx');
    } finally {
      rmSync(elsewhere, { recursive: true });
    }
  });

  test('loads every file of it', () => {
    const files = toril.files
      .map(({ path }) => path)
      .filter((path) => path.endsWith('.js') && !/cli\/(main|fleet)|fast-check/.test(path));
    writeFileSync(join(toril.folder, 'files.json'), JSON.stringify(files));
    const program = `import { readFileSync } from 'node:fs';
      const files = JSON.parse(readFileSync('files.json', 'utf8'));
      await Promise.all(files.map((file) => import(process.cwd() + '/node_modules/toril/' + file)));
      console.log('all')`;
    expect(run(program)).toBe('all');
  });
});

describe('a reader of cells', () => {
  /** Of several runs, the least: what other programs of this machine add is not its own. */
  function least(program: string, runs = 5): { cpuMs: number; megabytes: number } {
    const file = join(toril.folder, 'least.mjs');
    writeFileSync(file, program);
    // A file, since a program that is handed over by -e has not loaded the module loader yet; and without the certificates that
    // Node reads at its start where this is set, which made a bare start 66 ms instead of 21.
    const env = { ...process.env, NODE_OPTIONS: '', NODE_EXTRA_CA_CERTS: '' };
    const once = (): string => String(execFileSync(process.execPath, [file], { env }));
    const results = Array.from(
      { length: runs },
      () => JSON.parse(once()) as { cpuMs: number; megabytes: number },
    );
    const min = (name: 'cpuMs' | 'megabytes'): number =>
      Math.min(...results.map((one) => one[name]));
    return { cpuMs: min('cpuMs'), megabytes: min('megabytes') };
  }
  const told = `const { user, system } = process.cpuUsage(before);
    console.log(JSON.stringify({ cpuMs: (user + system) / 1000, megabytes: process.memoryUsage().rss / 2 ** 20 }))`;

  test('loads in no more time than Node takes to start, and 6 MB', () => {
    const bare = least(`const before = { user: 0, system: 0 }; ${told}`);
    const reader = least(`const before = process.cpuUsage(); await import('toril/cells'); ${told}`);
    expect(reader.megabytes - bare.megabytes).toBeLessThan(6);
    // 11 ms beside 28, up to 33 beside 35 where others work. When it loaded memjs and TLS, it was more than twice as much as now.
    expect(reader.cpuMs / bare.cpuMs).toBeLessThan(1.2);
  });

  test('loads neither BullMQ nor a Redis client nor memjs', () => {
    const program = `import { createRequire } from 'node:module';
      await import('toril/cells');
      console.log(Object.keys(createRequire(process.cwd() + '/x.js').cache).length)`;
    expect(run(program)).toBe('0'); // they are CommonJS, all three
  });
});
