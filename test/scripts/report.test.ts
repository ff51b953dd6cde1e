import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';

const { closingLine } = (await import(resolve('scripts/closing-line.mjs'))) as {
  closingLine: (path: string) => string;
};

function lineOf(report: unknown): string {
  const folder = mkdtempSync(join(tmpdir(), 'toril-setup-'));
  try {
    writeFileSync(join(folder, 'report'), JSON.stringify(report));
    return closingLine(join(folder, 'report'));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const COUNTS = { numPassedTests: 5, numFailedTests: 1, numPendingTests: 2, numTodoTests: 1 };

test('the closing line has the form that continuous integration reads', () => {
  const testResults = [
    { status: 'passed', assertionResults: [{ status: 'passed' }] },
    { status: 'failed', assertionResults: [{ status: 'failed' }, { status: 'passed' }] },
  ];
  expect(lineOf({ ...COUNTS, testResults })).toBe('5 passed, 1 failed, 3 skipped');
});

test('a file that could not be loaded counts as a failure', () => {
  const testResults = [{ status: 'failed', assertionResults: [] }];
  expect(lineOf({ ...COUNTS, numFailedTests: 0, testResults })).toBe(
    '5 passed, 1 failed, 3 skipped',
  );
});

test('no report, no counts', () => {
  expect(closingLine(join(tmpdir(), 'toril-there-is-no-such-file'))).not.toMatch(/\d+ passed/);
});
