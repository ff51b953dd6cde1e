/**
 * `npm run bullmq -- VERSION`: holds Toril against another version of BullMQ. Installs it into a folder of its own, says which of the
 * scripts that Toril knows are others there, and runs the suites that meet BullMQ on a copy of the tree with it. `unknown` stands for
 * the version that is installed with one script unknown. Where any script is another one, the tests of what Toril does by imitating
 * BullMQ's scripts are left out, and named. Exit code 1 if a suite fails.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SCRIPTS } from '../../src/jobs/bullmq/state/layout.ts';
import { commandLine, usageError } from '../support/command-line.ts';
import { copiedTree, type Tree } from '../twins/tree.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const LAYOUT = 'src/jobs/bullmq/state/layout.ts';
const UNKNOWN = 'unknown';
const USAGE = `npm run bullmq -- VERSION|${UNKNOWN} [--only FILE,FILE]
  VERSION   of bullmq; ${UNKNOWN}: the one that is installed, with one script that Toril does not know
  --only    these test files or folders instead of all that may meet BullMQ`;

/** All that may meet BullMQ. */
const SUITES = ['test/unit/jobs', 'test/conformance', 'test/integration'];

const [version] = process.argv[2]?.startsWith('-') === true ? [] : process.argv.splice(2, 1);
const { only } = commandLine(USAGE, { only: { type: 'string' } });
if (version === undefined) usageError(USAGE);
process.exitCode = holdAgainst(version, only?.split(',') ?? SUITES);

function holdAgainst(wanted: string, suites: readonly string[]): number {
  const { tree, isKnown } =
    wanted === UNKNOWN ? withOneUnknown() : withBullMQ(wanted, install(wanted));
  try {
    return tell(runSuites(tree.folder, suites, isKnown), tree.folder);
  } finally {
    tree.remove();
  }
}

interface Trial {
  readonly tree: Tree;
  /** All scripts are those that Toril knows. */
  readonly isKnown: boolean;
}

function withOneUnknown(): Trial {
  const [name, hash] = Object.entries(SCRIPTS).find(([one]) => one === 'moveToFinished') ?? [];
  console.log(`as if the text of ${name} were another one`);
  const edit = { file: LAYOUT, find: `${name}: '${hash}'`, replace: `${name}: 'of another text'` };
  const tree = copiedTree();
  tree.plant({ name: 'bullmq-unknown', edits: [edit] });
  return { tree, isKnown: false };
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

function withBullMQ(wanted: string, bullmq: string): Trial {
  const isKnown = compareScripts(wanted, bullmq);
  const tree = copiedTree();
  const modules = join(tree.folder, 'node_modules');
  rmSync(modules);
  mkdirSync(modules);
  for (const name of readdirSync(join(ROOT, 'node_modules'))) {
    const from = name === 'bullmq' ? bullmq : join(ROOT, 'node_modules', name);
    symlinkSync(from, join(modules, name), 'dir');
  }
  return { tree, isKnown };
}

/** As its own package has them. Whether all are known. */
function compareScripts(wanted: string, bullmq: string): boolean {
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
  return others.length === 0;
}

interface Report {
  readonly testResults: readonly {
    readonly name: string;
    readonly message: string;
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

function runSuites(folder: string, suites: readonly string[], isKnown: boolean): Report {
  const manifest = createRequire(import.meta.url).resolve('vitest/package.json');
  const output = join(folder, 'report.json');
  const args = ['run', '--reporter=json', `--outputFile=${output}`, ...suites];
  if (!isKnown) args.push('--tags-filter=!imitation');
  spawnSync(process.execPath, [join(dirname(manifest), 'vitest.mjs'), ...args], {
    ...{ cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] },
  });
  return JSON.parse(readFileSync(output, 'utf8')) as Report;
}

function tell({ testResults }: Report, folder: string): number {
  let failures = 0;
  const omitted: string[] = [];
  for (const { name, message, assertionResults } of testResults) {
    const namesOf = (wanted: string): string[] =>
      assertionResults
        .filter(({ status }) => status === wanted)
        .map(({ fullName }) => `       ${fullName}`);
    const [passed, failed, skipped] = [namesOf('passed'), namesOf('failed'), namesOf('skipped')];
    const isBroken = failed.length > 0 || assertionResults.length === 0;
    if (isBroken) failures += 1;
    const file = name.slice(name.indexOf(folder) + folder.length + 1);
    console.log(
      `${isBroken ? 'FAILED' : 'passed'} ${file.padEnd(52)} ${passed.length} passed, ${failed.length} failed, ${skipped.length} left out`,
    );
    for (const row of failed) console.log(row);
    if (assertionResults.length === 0) console.log(`       ${message.split('\n')[0] ?? ''}`);
    if (skipped.length > 0) omitted.push(file, ...skipped);
  }
  if (omitted.length > 0) {
    console.log(
      '\nleft out, since they are about an imitation of BullMQ, which is off (or skipped anyway):',
    );
    for (const row of omitted) console.log(row);
  }
  return failures === 0 ? 0 : 1;
}
