/**
 * `npm test`: all tests, or those that the arguments name, on a machine that may have nothing yet.
 * Ends with one plain line, `N passed, N failed, N skipped`, which continuous integration reads.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { closingLine } from './closing-line.mjs';
import { run } from './runner.mjs';
import { runMain } from './setup-error.mjs';

async function main() {
  const folder = mkdtempSync(join(tmpdir(), 'toril-test-'));
  const report = join(folder, 'report.json');
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  try {
    const command = ['vitest', 'run', ...reporters, ...process.argv.slice(2)];
    const code = await run({ servers: true, build: false, command });
    console.log(closingLine(report));
    return code;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

await runMain(main);
