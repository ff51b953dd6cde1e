/**
 * docs/guide: the files and commands of every page, in an empty folder and on empty servers, print what the page
 * says. Programs are imported into this process: one of their own each would take a second.
 */
import { execFile } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { format, promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { runCommand } from '../../src/cli/program.ts';
import { blocksOf, type Command, isAsShown, type Step, stepsOf } from '../support/pages.ts';
import { type PrivateServer, startMemcached, startRedis } from '../support/servers.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const GUIDE = join(ROOT, 'docs', 'guide');
/** What this page defines, every page may import. */
const FIRST = 'first-steps.md';
const PAGES = readdirSync(GUIDE)
  .filter((file) => file.endsWith('.md'))
  .map((file) => ({ page: file, steps: stepsOf(readFileSync(join(GUIDE, file), 'utf8')) }))
  .filter(({ steps }) => steps.length > 0);

const nameOf = (page: string): string => page.replace(/\.md$/, '');
const isFile = (step: Step): step is Step & { kind: 'file' } => step.kind === 'file';

let folder: string;
let servers: { redis: PrivateServer; memcached: PrivateServer } | undefined;

beforeAll(() => {
  mkdirSync(join(ROOT, '.toril'), { recursive: true });
  folder = mkdtempSync(join(ROOT, '.toril', 'guide-'));
  const shared = PAGES.find(({ page }) => page === FIRST)?.steps.filter(isFile) ?? [];
  for (const { page, steps } of PAGES) {
    mkdirSync(join(folder, nameOf(page)));
    const own = new Map<string, string>();
    for (const { name, content } of [...shared, ...steps.filter(isFile)]) {
      own.set(name, content);
      writeFileSync(join(folder, nameOf(page), name), content);
    }
  }
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What a user has who has read the page: `localhost` leads to servers of the page's own. */
async function onEmptyServers(page: string): Promise<void> {
  const [redis, memcached] = await Promise.all([startRedis(), startMemcached()]);
  servers = { redis, memcached };
  vi.stubEnv('TORIL_REDIS', `redis://localhost:${redis.port}`);
  vi.stubEnv('TORIL_MEMCACHED', `localhost:${memcached.port}`);
  for (const file of readdirSync(join(folder, page))) {
    const path = join(folder, page, file);
    const here = readFileSync(path, 'utf8')
      .replaceAll('port: 6379', `port: ${redis.port}`)
      .replaceAll(/(localhost|127\.0\.0\.1):11211/g, `$1:${memcached.port}`);
    writeFileSync(path, here);
  }
}

afterEach(async () => {
  process.chdir(ROOT);
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  await Promise.all([servers?.redis.stop(), servers?.memcached.stop()]);
});

let runs = 0;

/** From a copy of its own, since two processes do not share what their modules hold. */
async function runProgram(page: string, file: string): Promise<void> {
  runs += 1;
  const copy = join(folder, 'runs', String(runs));
  cpSync(join(folder, page), copy, { recursive: true });
  await import(pathToFileURL(join(copy, file)).href);
}

/** Words, and words in single quotes. */
const wordsOf = (line: string): string[] =>
  [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');

async function run(page: string, { line }: Command): Promise<string[]> {
  let text = '';
  const log = vi.spyOn(console, 'log').mockImplementation((...args) => {
    text += `${format(...args)}\n`;
  });
  const write = vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    text += String(chunk);
    return true;
  });
  try {
    const [npx, tool, ...args] = wordsOf(line.replace(/ &$/, ''));
    if (npx !== 'npx') throw new Error(`the guide's commands begin with npx: ${line}`);
    if (tool === 'tsx') await runProgram(page, args[0] ?? '');
    else if (tool === 'toril') await runCommand(args);
    else throw new Error(`no test knows how to run ${line}`);
  } finally {
    write.mockRestore();
    log.mockRestore();
  }
  return text.split('\n').slice(0, -1);
}

describe.each(PAGES)('$page', ({ page, steps }) => {
  test('prints what it says', async () => {
    const name = nameOf(page);
    await onEmptyServers(name);
    process.chdir(join(folder, name));
    const others = process.listeners('SIGTERM');
    const wrong: string[] = [];
    for (const step of steps) {
      if (step.kind === 'file') continue;
      const printed = await run(name, step);
      if (isAsShown(printed, step.shown) || step.line.endsWith(' &')) continue;
      wrong.push(
        `$ ${step.line}\n${printed.join('\n')}\n--- but the page:\n${step.shown.join('\n')}`,
      );
    }
    // What runs in the background is told to stop, as the pages tell it.
    vi.spyOn(console, 'log').mockImplementation(() => undefined);
    for (const stop of process.listeners('SIGTERM').filter((one) => !others.includes(one))) {
      process.off('SIGTERM', stop);
      await (stop as () => unknown)();
    }
    expect(wrong.join('\n\n')).toBe('');
  });

  test('runs each of its programs', () => {
    const files = steps.filter(isFile);
    const commands = steps.filter((step) => step.kind === 'command').map(({ line }) => line);
    const used = (name: string): boolean =>
      commands.some((line) => line.includes(name)) ||
      files.some(({ content }) => content.includes(`'./${name}'`));
    expect(files.map(({ name }) => name).filter((name) => !used(name))).toEqual([]);
  });
});

/** What TypeScript says of a folder. */
async function compiled(path: string, compilerOptions: object): Promise<string> {
  writeFileSync(
    join(path, 'tsconfig.json'),
    JSON.stringify({
      extends: join(ROOT, 'tsconfig.json'),
      compilerOptions: {
        paths: { toril: [join(ROOT, 'src/index.ts')], 'toril/*': [join(ROOT, 'src/*.ts')] },
        ...compilerOptions,
      },
      include: ['**/*.ts', join(ROOT, 'src/**/*.d.ts')],
      exclude: ['runs', 'fragments'],
    }),
  );
  const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
  const args = [tsc, '-p', path, '--rootDir', ROOT];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: ROOT }).catch(
    (thrown: { stdout: string }) => thrown,
  );
  return stdout;
}

test('has the right types', async () => {
  expect(await compiled(folder, {})).toBe('');
});

/** What a fragment of a page takes for granted, by the name that it uses. */
const GRANTED: Readonly<Record<string, string>> = {
  ...{ connection: `const connection = { host: 'localhost' };`, password: `const password = '';` },
  memcached: `const memcached = 'localhost';`,
  updates: `import type { AnyUpdate } from 'toril'; declare const updates: AnyUpdate[];`,
  queue: `import type { Queue } from 'toril'; declare const queue: Queue;`,
  deposit: `declare const deposit: import('toril').AnyUpdate;`,
  interest: `declare const interest: import('toril').AnyUpdate;`,
  expect: `import { expect } from 'vitest';`,
  test: `import { test } from 'vitest';`,
  Account: `interface Account { readonly cents: number }`,
  assert: `import assert from 'node:assert/strict';`,
  memjs: `import memjs from 'memjs';`,
  ...Object.fromEntries(
    ['Worker', 'record', 'replay', 'writeRecording', 'checkDeterminism'].map((name) => [
      name,
      `import { ${name} } from 'toril';`,
    ]),
  ),
};

/** Pages with code that no other test runs: pieces of programs, and modules for the command line. */
const FRAGMENTED = ['replay', 'memcached', 'cli', 'telemetry'];

test('the fragments of other pages have the right types', async () => {
  const into = join(folder, 'fragments');
  mkdirSync(into);
  writeFileSync(join(into, 'updates.ts'), `export const none = [];`);
  for (const page of FRAGMENTED) {
    const blocks = blocksOf(readFileSync(join(ROOT, 'docs', `${page}.md`), 'utf8'));
    const code = blocks.filter(({ language }) => ['ts', 'js', 'mjs'].includes(language));
    expect(code.length).toBeGreaterThan(0);
    for (const [at, { language, text }] of code.entries()) {
      const granted = Object.entries(GRANTED).filter(
        ([name]) =>
          new RegExp(`(?<![.\\w'])${name}\\b(?!:)`).test(text) &&
          !new RegExp(`import [^;]*\\b${name}\\b|(const|let|type) ${name}\\b`).test(text),
      );
      const file = text.replaceAll(/'(\.\.\/)+src\/updates\.js'/g, `'./updates.ts'`);
      const head = granted.map(([, line]) => `${line}\n`).join('');
      // Of JavaScript, which has no types, only the syntax is looked at.
      const js = language === 'ts' ? '' : '// @ts-nocheck\n';
      writeFileSync(join(into, `${page}-${at}.ts`), `${js}${head}${file}\nexport {};\n`);
    }
  }
  expect(await compiled(into, { noUnusedLocals: false, noUnusedParameters: false })).toBe('');
});
