/**
 * `npm run compatibility`: the suites that meet Node, Redis and memcached, once for each of their versions, and a table of what passed. Nodes
 * come from npm, servers from Debian's packages; both are unpacked below `.toril`. Exit code 1 if anything fails.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { unpacked, type Wanted } from '../../scripts/debian-packages.ts';
import { commandLine, usageError } from '../support/command-line.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PAGE = join(ROOT, 'docs', 'compatibility.md');
const TABLE = /(?<=<!-- table -->\n)[\s\S]*(?=<!-- end -->)/;
const VITEST = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs');

/** All engines of lanes and of memcached, and what a user sees of order, failures, strictness and reading. */
const SUITES = [
  'test/conformance/lanes.test.ts',
  'test/conformance/memcached.test.ts',
  'test/integration/ordering.test.ts',
  'test/integration/failing.test.ts',
  'test/integration/snoozing.test.ts',
  'test/integration/strict-updates.test.ts',
  'test/integration/reading-copies.test.ts',
];

interface Candidate {
  readonly what: string;
  /** A folder that comes first on the PATH, or the Node that runs the suites. */
  prepare(): Promise<{ folder?: string; node?: string; version: string }>;
}

const CANDIDATES: Readonly<Record<string, Candidate>> = {
  'node-20': node('20'),
  'node-22': node('22'),
  'node-24': node('24'),
  'node-26': node('26'),
  'redis-7.0': debian('Redis', 'redis-server', ['redis-server', 'redis-tools'], 'bookworm'),
  'redis-8': debian('Redis', 'redis-server', ['redis-server', 'redis-tools'], 'trixie'),
  'valkey-8': debian(
    'Valkey',
    'valkey-server',
    ['valkey-server', 'valkey-tools'],
    'trixie',
    'redis-server',
  ),
  'memcached-1.6.18': debian('memcached', 'memcached', ['memcached'], 'bookworm'),
  'memcached-1.6.38': debian('memcached', 'memcached', ['memcached'], 'trixie'),
};
const USAGE = `npm run compatibility -- [--only NAME,NAME] [--suites FILE,FILE] [--write]
  --only    some of: ${Object.keys(CANDIDATES).join(', ')}
  --suites  instead of those that the table is about
  --write   puts the rows into docs/compatibility.md`;

const { only, suites, write } = commandLine(USAGE, {
  ...{ only: { type: 'string' }, suites: { type: 'string' }, write: { type: 'boolean' } },
});
const rows: string[] = [];
for (const name of only?.split(',') ?? Object.keys(CANDIDATES)) {
  const candidate = CANDIDATES[name] ?? usageError(USAGE);
  const { folder, node: binary, version } = await candidate.prepare();
  const { passed, failed } = runSuites(suites?.split(',') ?? SUITES, folder, binary);
  const row = `| ${candidate.what} | ${version} | ${passed} passed, ${failed.length} failed |`;
  console.log([row, ...failed].join('\n  '));
  if (failed.length > 0 || passed === 0) process.exitCode = 1;
  rows.push(row);
}
if (write === true) {
  const page = readFileSync(PAGE, 'utf8');
  const head = ['| | version | tests |', '| --- | --- | --- |'];
  // A row of the same version is replaced, the others stay.
  const kept = (TABLE.exec(page)?.[0] ?? '').split('\n').filter((row) => /\d/.test(row));
  const table = new Map([...kept, ...rows].map((row) => [/^\|[^|]*\|[^|]*/.exec(row)?.[0], row]));
  const lines = [...head, ...[...table.values()].toSorted(), ''];
  writeFileSync(PAGE, page.replace(TABLE, lines.join('\n')));
}

/** The newest of a major version. */
function node(major: string): Candidate {
  return {
    what: 'Node',
    prepare: async () => {
      const folder = join(ROOT, '.toril', 'node', major);
      const name = `node-${process.platform}-${process.arch}`;
      const binary = join(folder, 'node_modules', name, 'bin', 'node');
      if (!existsSync(binary)) {
        mkdirSync(folder, { recursive: true });
        writeFileSync(join(folder, 'package.json'), '{ "private": true }');
        const args = ['install', '--no-save', '--no-audit', '--no-fund', `${name}@${major}`];
        const { status } = spawnSync('npm', args, { cwd: folder, stdio: ['ignore', 2, 2] });
        if (status !== 0) usageError(`${name}@${major} could not be installed`);
      }
      return { node: binary, version: asked(binary, /^v(\S+)/) };
    },
  };
}

/** @param as the name under which the suites look for the program */
function debian(
  what: string,
  program: string,
  packages: Wanted['packages'],
  release: string,
  as = program,
): Candidate {
  return {
    what,
    prepare: async () => {
      const folder = join(ROOT, '.toril', 'servers', `${program}-${release}`);
      await unpacked({ release, packages, programs: [program] }, folder);
      const bin = join(folder, 'first-on-the-path');
      rmSync(bin, { recursive: true, force: true });
      mkdirSync(bin);
      symlinkSync(join(folder, program), join(bin, as));
      return { folder: bin, version: asked(join(folder, program), /(?:v=|memcached )(\S+)/) };
    },
  };
}

function asked(binary: string, pattern: RegExp): string {
  const flag = binary.endsWith('memcached') ? '-V' : '--version';
  const { stdout } = spawnSync(binary, [flag], { encoding: 'utf8' });
  return pattern.exec(stdout ?? '')?.[1] ?? usageError(`${binary} does not run here`);
}

interface Report {
  readonly testResults: readonly {
    readonly name: string;
    readonly message: string;
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

function runSuites(
  files: readonly string[],
  folder: string | undefined,
  binary = process.execPath,
): { passed: number; failed: readonly string[] } {
  const output = join(ROOT, '.toril', `compatibility-${process.pid}.json`);
  const PATH = [...(folder === undefined ? [] : [folder]), process.env['PATH']].join(':');
  const { TORIL_REDIS: _, TORIL_MEMCACHED: __, ...others } = process.env;
  spawnSync(binary, [VITEST, 'run', '--reporter=json', `--outputFile=${output}`, ...files], {
    ...{ cwd: ROOT, stdio: ['ignore', 'ignore', 'inherit'] },
    env: { ...others, PATH, NODE_OPTIONS: '' },
  });
  const { testResults } = JSON.parse(readFileSync(output, 'utf8')) as Report;
  rmSync(output);
  const results = testResults.flatMap(({ assertionResults }) => assertionResults);
  const broken = testResults.filter(({ assertionResults }) => assertionResults.length === 0);
  return {
    passed: results.filter(({ status }) => status === 'passed').length,
    failed: [
      ...results.filter(({ status }) => status === 'failed').map(({ fullName }) => fullName),
      ...broken.map(({ name, message }) => `${name}: ${message.split('\n')[0]}`),
    ],
  };
}
