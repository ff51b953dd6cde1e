/**
 * `npm test`: all tests, or those that the arguments name, on a machine that may have nothing yet.
 * Ends with one plain line, `N passed, N failed, N skipped`, which continuous integration reads.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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

/** @param {string} report */
function closingLine(report) {
  /** @type {Report} */
  let counts;
  try {
    counts = JSON.parse(readFileSync(report, 'utf8'));
  } catch {
    return 'The test runner ended before it could count its tests.';
  }
  // A file that cannot even be loaded has no tests to fail, and counts as one failure.
  const broken = counts.testResults.filter(
    (file) => file.status === 'failed' && file.assertionResults.every((t) => t.status !== 'failed'),
  );
  const failed = counts.numFailedTests + broken.length;
  const skipped = counts.numPendingTests + counts.numTodoTests;
  return `${counts.numPassedTests} passed, ${failed} failed, ${skipped} skipped`;
}

/**
 * @typedef {object} Report what we read of vitest's
 * @property {number} numPassedTests
 * @property {number} numFailedTests
 * @property {number} numPendingTests
 * @property {number} numTodoTests
 * @property {{ status: string, assertionResults: { status: string }[] }[]} testResults
 */

await runMain(main);
