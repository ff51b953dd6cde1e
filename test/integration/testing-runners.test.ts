/** toril/testing: in other runners, and without what it must not need. docs/testing.md is run as it stands. */
import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const SRC = join(ROOT, 'src');
/** Below the root, so that packages are found. */
const FOLDER = join(ROOT, '.toril', `docs-testing-${process.pid}`);
/** The machine may be busy. */
const CHILD_MS = 120_000;

interface Ended {
  readonly code: number;
  readonly output: string;
}

function run(args: readonly string[]): Promise<Ended> {
  const env = { ...process.env, NODE_OPTIONS: '', FORCE_COLOR: '0', NODE_TEST_CONTEXT: undefined };
  return new Promise((resolve) => {
    execFile(process.execPath, args, { cwd: ROOT, env }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), output: stdout + stderr });
    });
  });
}

/** The examples, by the name in their first line. */
function examples(): Map<string, string> {
  const page = readFileSync(join(ROOT, 'docs', 'testing.md'), 'utf8');
  const blocks = page.matchAll(/^```ts\n\/\/ (\S+)\n([\s\S]*?)^```$/gm);
  return new Map([...blocks].map(([, name = '', code = '']) => [name, code]));
}

function fromSources(code: string): string {
  return code
    .replace(
      `from 'toril/testing/fast-check'`,
      `from '${relative(FOLDER, join(SRC, 'testing', 'fast-check.ts'))}'`,
    )
    .replace(`from 'toril/testing'`, `from '${relative(FOLDER, join(SRC, 'testing.ts'))}'`)
    .replace(`from 'toril'`, `from '${relative(FOLDER, join(SRC, 'index.ts'))}'`);
}

describe('the page docs/testing.md', () => {
  const files = examples();
  const suites = [...files.keys()].filter((name) => name.endsWith('.test.ts'));

  beforeAll(() => {
    mkdirSync(FOLDER, { recursive: true });
    for (const [name, code] of files) writeFileSync(join(FOLDER, name), fromSources(code));
    const all = suites.map((name) => `import './${name}';\n`).join('');
    writeFileSync(join(FOLDER, 'all.test.ts'), all);
    writeFileSync(
      join(FOLDER, 'tsconfig.json'),
      JSON.stringify({ extends: '../../tsconfig.json', include: ['*.ts', '../../src/**/*.d.ts'] }),
    );
    // Else vitest takes the project's own.
    writeFileSync(join(FOLDER, 'vitest.config.ts'), 'export default {};\n');
  });
  afterAll(() => rmSync(FOLDER, { recursive: true, force: true }));

  test('has an example for everything', () => {
    expect(suites.length).toBeGreaterThanOrEqual(6);
    const page = readFileSync(join(ROOT, 'docs', 'testing.md'), 'utf8');
    const count = page.match(/^```ts$/gm)?.length;
    expect(files.size).toBe(count); // none without a name
  });

  test("passes under node's own test runner", { timeout: CHILD_MS }, async () => {
    const { code, output } = await run(['--import', 'tsx', '--test', join(FOLDER, 'all.test.ts')]);
    expect(output).toMatch(/^# fail 0$|^ℹ fail 0$/m);
    expect(Number(/(?:#|ℹ) pass (\d+)/.exec(output)?.[1])).toBeGreaterThan(suites.length);
    expect(code).toBe(0);
  });

  test('passes under vitest, with matchers', { timeout: CHILD_MS }, async () => {
    const vitest = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs');
    const { code, output } = await run([vitest, 'run', '--root', FOLDER, 'bank.spec']);
    expect(output).toContain('1 passed');
    expect(code).toBe(0);
  });

  test('has the right types', { timeout: CHILD_MS }, async () => {
    const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
    const { output } = await run([tsc, '-p', FOLDER, '--rootDir', ROOT]);
    expect(output).toBe('');
  });
});

describe('what it imports', () => {
  /** Files and packages that are loaded at run time. */
  function reachable(from: string): { files: Set<string>; packages: Set<string> } {
    const files = new Set<string>();
    const packages = new Set<string>();
    const visit = (file: string): void => {
      if (files.has(file)) return;
      files.add(file);
      const code = readFileSync(file, 'utf8').replace(/\/\*[\s\S]*?\*\//g, '');
      // `import { type X }` stays an import under verbatimModuleSyntax; `import type` does not.
      const imports = code.matchAll(/^(?:import|export)\b(?! type\b)[^;]*?\bfrom\s+'([^']+)'/gm);
      const others = code.matchAll(
        /^import '([^']+)'|\b(?:import|require|getBuiltinModule)\('([^']+)'\)/gm,
      );
      for (const [, ...found] of [...imports, ...others]) {
        const specifier = found.find((one) => one !== undefined) ?? '';
        if (specifier.startsWith('.')) visit(join(dirname(file), specifier));
        else packages.add(specifier);
      }
    };
    visit(from);
    return { files, packages };
  }

  test('is nothing but Node and Toril itself', () => {
    const { files, packages } = reachable(join(SRC, 'testing.ts'));
    expect([...packages].filter((name) => !name.startsWith('node:'))).toEqual([]);
    expect(
      [...packages].filter((name) => /^node:(net|tls|http|https|dns|cluster)/.test(name)),
    ).toEqual([]);
    const names = [...files].map((file) => relative(SRC, file));
    expect(names).toContain('workers/gate/gate.ts');
    expect(names).toContain('lock/lease-locks.ts');
  });

  test('of toril/testing/fast-check is fast-check, and it says so where that is missing', async () => {
    const { packages } = reachable(join(SRC, 'testing', 'fast-check.ts'));
    expect([...packages].filter((name) => !name.startsWith('node:'))).toEqual(['fast-check']);
    const hooks = `export const resolve = (name, context, next) => {
      if (name !== 'fast-check') return next(name, context);
      throw Object.assign(new Error('Cannot find package'), { code: 'ERR_MODULE_NOT_FOUND' });
    };`;
    const script = `
      import { register } from 'node:module';
      register('data:text/javascript,' + encodeURIComponent(${JSON.stringify(hooks)}));
      await import(${JSON.stringify(pathToFileURL(join(SRC, 'testing', 'fast-check.ts')).href)});`;
    const args = ['--import', 'tsx', '--input-type=module', '--eval', script];
    const { code, output } = await run(args);
    expect(output).toContain("code: 'PEER_MISSING'");
    expect(output).toContain('npm install --save-dev fast-check');
    expect(code).toBe(1);
  });

  test('is found out by this very check where it should be', () => {
    const { packages } = reachable(join(SRC, 'index.ts'));
    for (const name of ['bullmq', 'node:tls', 'node:net']) expect([...packages]).toContain(name);
  });
});
