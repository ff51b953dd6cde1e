/**
 * `npm run bullmq -- VERSION`: holds Toril against another version of BullMQ. Installs it into a folder of its own, says which of the
 * scripts that Toril knows are others there, and runs the suites that concern BullMQ on a copy of the tree with it. `unknown` stands for
 * the version that is installed with one script unknown. Exit code 1 if a suite fails.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SCRIPTS } from '../../src/jobs/bullmq/state/layout.ts';
import { commandLine, usageError } from '../support/command-line.ts';
import { plant, type Tree } from '../twins/tree.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const LAYOUT = 'src/jobs/bullmq/state/layout.ts';
const UNKNOWN = 'unknown';
const USAGE = `npm run bullmq -- VERSION|${UNKNOWN} [--only FILE,FILE]
  VERSION   of bullmq; ${UNKNOWN}: the one that is installed, with one script that Toril does not know
  --only    these test files instead of all that concern BullMQ`;

/** All that meet BullMQ itself. */
const SUITES = [
  ...['unit/jobs/bullmq-layout', 'conformance/finishing', 'conformance/played-bullmq'],
  ...['conformance/lanes', 'integration/adding', 'integration/adding-once', 'integration/limits'],
  ...['integration/bullmq-flows', 'integration/bullmq-jobs', 'integration/bullmq-workers'],
  ...['integration/calling-updates', 'integration/changing-jobs', 'integration/closing'],
  ...[
    'integration/failing',
    'integration/filling',
    'integration/holding',
    'integration/kept-lanes',
    'integration/names',
  ],
  ...['integration/missing-jobs', 'integration/ordering', 'integration/snoozing'],
  ...['integration/plain-worker', 'integration/redis-refusing', 'integration/snoozed-jobs'],
  ...['integration/throwing', 'integration/unknown-bullmq', 'integration/wrong-clocks'],
].map((suite) => `test/${suite}.test.ts`);

const [version] = process.argv[2]?.startsWith('-') === true ? [] : process.argv.splice(2, 1);
const { only } = commandLine(USAGE, { only: { type: 'string' } });
if (version === undefined) usageError(USAGE);
process.exitCode = holdAgainst(version, only?.split(',') ?? SUITES);

function holdAgainst(wanted: string, suites: readonly string[]): number {
  const tree = wanted === UNKNOWN ? withOneUnknown() : withBullMQ(wanted, install(wanted));
  try {
    return tell(runSuites(tree.folder, suites), tree.folder);
  } finally {
    tree.remove();
  }
}

function withOneUnknown(): Tree {
  const [name, hash] = Object.entries(SCRIPTS).find(([one]) => one === 'moveToFinished') ?? [];
  console.log(`as if the text of ${name} were another one`);
  const edit = { file: LAYOUT, find: `${name}: '${hash}'`, replace: `${name}: 'of another text'` };
  return plant({ name: 'bullmq-unknown', edits: [edit] });
}

/** The folder of the package. */
function install(wanted: string): string {
  const folder = join(ROOT, '.toril', 'bullmq', wanted);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true }));
  const args = ['install', '--no-save', '--no-audit', '--no-fund', '--ignore-scripts'];
  const { status } = spawnSync('npm', [...args, `bullmq@${wanted}`], {
    ...{ cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] },
  });
  if (status !== 0) usageError(`bullmq@${wanted} could not be installed`);
  return join(folder, 'node_modules', 'bullmq');
}

function withBullMQ(wanted: string, bullmq: string): Tree {
  compareScripts(wanted, bullmq);
  const tree = plant({ name: `bullmq-${wanted}`, edits: [] });
  const modules = join(tree.folder, 'node_modules');
  rmSync(modules);
  mkdirSync(modules);
  for (const name of readdirSync(join(ROOT, 'node_modules'))) {
    const from = name === 'bullmq' ? bullmq : join(ROOT, 'node_modules', name);
    symlinkSync(from, join(modules, name), 'dir');
  }
  return tree;
}

/** As its own package has them. */
function compareScripts(wanted: string, bullmq: string): void {
  const { RedisConnection } = createRequire(join(bullmq, 'package.json'))(bullmq) as {
    RedisConnection: { prototype: { loadCommands(this: object, version: string): void } };
  };
  const texts = new Map<string, string>();
  const defineCommand = (command: string, { lua }: { lua: string }): void =>
    void texts.set(command.slice(0, command.lastIndexOf(':')), lua);
  RedisConnection.prototype.loadCommands.call({ _client: { defineCommand } }, 'any');
  const rows = Object.entries(SCRIPTS).map(([name, hash]) => {
    const lua = texts.get(name);
    if (lua === undefined) return [name, 'missing'];
    const found = createHash('sha1').update(lua).digest('hex');
    return [name, found === hash ? 'same' : `another: ${found}`];
  });
  const others = rows.filter(([, what]) => what !== 'same');
  console.log(
    `bullmq ${wanted}: ${rows.length - others.length} of ${rows.length} scripts the same`,
  );
  for (const [name = '', what] of others) console.log(`  ${name.padEnd(28)} ${what}`);
}

interface Report {
  readonly testResults: readonly {
    readonly name: string;
    readonly message: string;
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

function runSuites(folder: string, suites: readonly string[]): Report {
  const manifest = createRequire(import.meta.url).resolve('vitest/package.json');
  const output = join(folder, 'report.json');
  const args = ['run', '--reporter=json', `--outputFile=${output}`, ...suites];
  spawnSync(process.execPath, [join(dirname(manifest), 'vitest.mjs'), ...args], {
    ...{ cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] },
  });
  return JSON.parse(readFileSync(output, 'utf8')) as Report;
}

function tell({ testResults }: Report, folder: string): number {
  let failures = 0;
  for (const { name, message, assertionResults } of testResults) {
    const failed = assertionResults.filter(({ status }) => status === 'failed');
    const isBroken = failed.length > 0 || assertionResults.length === 0;
    if (isBroken) failures += 1;
    const file = name.slice(name.indexOf(folder) + folder.length + 1);
    console.log(
      `${isBroken ? 'FAILED' : 'passed'} ${file.padEnd(48)} ${assertionResults.length - failed.length} passed, ${failed.length} failed`,
    );
    for (const { fullName } of failed) console.log(`       × ${fullName}`);
    if (assertionResults.length === 0) console.log(`       ${message.split('\n')[0] ?? ''}`);
  }
  return failures === 0 ? 0 : 1;
}
