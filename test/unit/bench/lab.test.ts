/** The lab's judge, which must see what went wrong and nothing else, and its pages. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { withSection } from '../../../bench/docs.ts';
import { labChartOf } from '../../../bench/lab/chart.ts';
import { EvidenceFile, readEvidence } from '../../../bench/lab/evidence.ts';
import { showsUpdate } from '../../../bench/lab/faults.ts';
import { judge, longestStandstillMs, overtaken } from '../../../bench/lab/judge.ts';
import { percentText, sharesOf, sheetOf } from '../../../bench/lab/report.ts';
import type { Trial } from '../../../bench/lab/trial.ts';
import { markdownOf } from '../../../bench/table.ts';
import { chainHash } from '../../../bench/work.ts';

const folders: string[] = [];
afterAll(() => folders.forEach((folder) => rmSync(folder, { recursive: true })));

/** Two processes note what they did: one chain 0, 1, 2, 1 and one step that nobody built on. */
function evidenceOfTwo() {
  const folder = mkdtempSync(join(tmpdir(), 'toril-lab-test-'));
  folders.push(folder);
  const [one, other] = [new EvidenceFile(folder, '1'), new EvidenceFile(folder, '2')];
  let hash = 0;
  for (const i of [0, 1, 2, 1]) {
    const next = chainHash(hash, i);
    (i === 1 ? one : other).step(hash, i, next);
    hash = next;
  }
  one.step(0, 3, chainHash(0, 3));
  for (const i of [0, 1, 2, 3, 4]) one.arrived(i, i * 10, i * 10 + 1);
  for (const i of [0, 1, 2, 3]) other.done(i, 100 + i * i);
  return { hash, evidence: readEvidence(folder) };
}

describe('the judge', () => {
  test('finds what is lost and doubled in what several processes noted', () => {
    const { hash, evidence } = evidenceOfTwo();
    // 4 was never reported as done: nobody misses it.
    expect(judge(hash, evidence)).toEqual({ lost: 1, doubled: 1, reordered: 0 });
  });

  test('misses everything where there is no value', () => {
    expect(judge(undefined, evidenceOfTwo().evidence)).toMatchObject({ lost: 4 });
  });

  test('counts as overtaken only what was there before the other one came', () => {
    const arrivals = new Map([
      [0, { startedMs: 0, arrivedMs: 5 }],
      [1, { startedMs: 4, arrivedMs: 6 }], // at the same time as 0
      [2, { startedMs: 7, arrivedMs: 8 }],
    ]);
    expect(overtaken([0, 1, 2], arrivals)).toBe(0);
    expect(overtaken([1, 0, 2], arrivals)).toBe(0);
    expect(overtaken([0, 2, 1], arrivals)).toBe(1);
    expect(overtaken([2, 1, 0], arrivals)).toBe(2);
  });

  test('keeps the first arrival of an update that is tried again', () => {
    const folder = mkdtempSync(join(tmpdir(), 'toril-lab-test-'));
    folders.push(folder);
    const file = new EvidenceFile(folder, '1');
    file.arrived(7, 10, 11);
    file.arrived(7, 50, 51);
    expect(readEvidence(folder).arrivals.get(7)).toEqual({ startedMs: 10, arrivedMs: 11 });
  });

  test('measures the longest time without an answer', () => {
    expect(longestStandstillMs(90, evidenceOfTwo().evidence)).toBe(10);
  });
});

describe('a fault', () => {
  test('sees whether an update has been written, in a value and in an envelope', () => {
    const value = { count: 2, hash: 7, recent: [12, 3] };
    expect(showsUpdate(JSON.stringify(value), 3)).toBe(true);
    expect(showsUpdate(JSON.stringify({ version: 1, value }), 12)).toBe(true);
    expect(showsUpdate(JSON.stringify(value), 2)).toBe(false);
    expect(showsUpdate(undefined, 3)).toBe(false);
  });
});

const trial = (more: Partial<Trial>): Trial => ({
  ...{ scheme: 'check-then-set', clients: 10, situation: 'calm', updates: 200, done: 200 },
  ...{ lost: 0, doubled: 0, reordered: 0, wedged: false, seconds: 1, standstillSeconds: 0.5 },
  ...more,
});

describe('the report', () => {
  const trials = [
    trial({ lost: 100 }),
    trial({ clients: 100, done: 150, lost: 3 }),
    trial({ scheme: 'add-spin', situation: 'lock evicted', wedged: true }),
    trial({ scheme: 'cas-value' }),
  ];

  test('gives shares of what was done, over all runs', () => {
    expect(sharesOf([trial({ lost: 100 }), trial({ doubled: 1 })])).toEqual({
      ...{ lost: 25, doubled: 0.25, reordered: 0 },
    });
  });

  test('says 0 only where there was none, and 100 only where it was all', () => {
    expect([0, 0.001, 0.94, 1.23, 45.6, 99.9, 100].map(percentText)).toEqual([
      ...['0', '0.01', '0.94', '1.2', '46', '>99', '100'],
    ]);
  });

  test('has a table for each situation and a column for each crowd', () => {
    const text = markdownOf(sheetOf(trials));
    expect(text).toContain('| scheme | 10 clients | 100 clients |');
    expect(text).toContain('| 50 / 0 / 0 | 2.0 / 0 / 0 (25% not done in time) | 0 | 1.0 / 1.0 |');
    expect(text).toContain('| (b) add in a spin loop | 0 / 0 / 0 |  | 1 | 1.0 / - |');
    expect(text).toContain('| (e) optimistic CAS on the value | no lock in memcached |');
  });

  test('draws a chart', () => {
    const svg = labChartOf(trials);
    expect(svg).toContain('100 clients');
    expect(svg).toContain('>50</text>');
  });

  test('replaces its own section of a page and leaves the rest', () => {
    const page = '# Page\n\n<!-- lab -->\nold\n<!-- /lab -->\n\nafter';
    expect(withSection(page, 'lab', ['new'])).toBe(
      '# Page\n\n<!-- lab -->\nnew\n<!-- /lab -->\n\nafter',
    );
  });
});
