/** The line that continuous integration reads, of a small project that has everything. */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';

const VITEST = resolve('node_modules/vitest/vitest.mjs');
const REPORTER = resolve('test/support/closing-line.ts');

/** Standard output of `vitest run` on these files. */
function outputOf(files: Readonly<Record<string, string>>): Promise<string> {
  mkdirSync('.toril', { recursive: true });
  const root = mkdtempSync(join(resolve('.toril'), 'closing-line-')); // so that vitest is found
  onTestFinished(() => rmSync(root, { recursive: true }));
  writeFileSync(join(root, 'vitest.config.mjs'), 'export default {};');
  for (const [name, code] of Object.entries(files)) {
    writeFileSync(join(root, name), `import { test } from 'vitest';\n${code}`);
  }
  const args = [VITEST, 'run', '--root', root, `--reporter=${REPORTER}`];
  return new Promise((done) => {
    execFile(process.execPath, args, { cwd: root }, (_error, stdout) => done(stdout));
  });
}

test('counts what passed, failed and was skipped', { timeout: 60_000 }, async () => {
  const one = `test('a', () => {}); test('b', () => { throw new Error('no'); }); test.skip('c', () => {}); test.todo('d');`;
  expect(await outputOf({ 'one.test.ts': one, 'two.test.ts': `test('e', () => {});` })).toMatch(
    /^2 passed, 1 failed, 2 skipped\n$/m,
  );
});

test('a file that cannot be loaded counts as a failure', { timeout: 60_000 }, async () => {
  const files = { 'one.test.ts': `test('a', () => {});`, 'two.test.ts': `throw new Error('no');` };
  expect(await outputOf(files)).toMatch(/^1 passed, 1 failed, 0 skipped\n$/m);
});
