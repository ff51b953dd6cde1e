import { readFileSync } from 'node:fs';

/**
 * @typedef {object} Report what we read of the report that vitest writes as JSON
 * @property {number} numPassedTests
 * @property {number} numFailedTests
 * @property {number} numPendingTests
 * @property {number} numTodoTests
 * @property {{ status: string, assertionResults: { status: string }[] }[]} testResults by file
 */

/**
 * `N passed, N failed, N skipped`, which continuous integration reads.
 * @param {string} path of the report
 */
export function closingLine(path) {
  /** @type {Report} */
  let report;
  try {
    report = JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return 'The test runner ended before it could count its tests.';
  }
  const failed = report.numFailedTests + report.testResults.filter(failedAsAWhole).length;
  const skipped = report.numPendingTests + report.numTodoTests;
  return `${report.numPassedTests} passed, ${failed} failed, ${skipped} skipped`;
}

/**
 * A file that cannot be loaded, or that left something open, failed although none of its tests did.
 * @param {Report['testResults'][number]} file
 */
function failedAsAWhole({ status, assertionResults }) {
  return status === 'failed' && assertionResults.every((test) => test.status !== 'failed');
}
