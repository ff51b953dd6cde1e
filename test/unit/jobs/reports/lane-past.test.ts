import { describe, expect, test } from 'vitest';
import { lastCommits, refusedText } from '../../../../src/jobs/reports/lane-past.ts';

const commit = (token: number) => ({ token, atMs: token / 1_000, jobs: 2, recovered: false });
const TOKEN = 1_700_000_000_000_000;

describe('the last commits', () => {
  test('are those of the history, as long as it has the last one', () => {
    const recorded = [commit(TOKEN), commit(TOKEN - 5)];
    expect(lastCommits(TOKEN, recorded)).toBe(recorded);
    expect(lastCommits(0, [])).toEqual([]);
  });

  test('begin with the copy’s where the history was switched off, and are five at most', () => {
    const recorded = [5, 4, 3, 2, 1].map(commit);
    const last = { token: TOKEN, atMs: 1_700_000_000_000, jobs: undefined, recovered: false };
    expect(lastCommits(TOKEN, recorded)).toEqual([last, ...[5, 4, 3, 2].map(commit)]);
  });
});

test('refused commits are told with the last one, or not at all', () => {
  const last = { token: 7, atMs: 1_700_000_000_000, by: 'redis' } as const;
  expect(refusedText({ count: 1, last })).toBe(
    '1 commit was refused, the last by redis at 2023-11-14T22:13:20.000Z: the key had gone another way',
  );
  expect(refusedText({ count: 0, last: undefined })).toBe('');
});
