/**
 * Measured tables in docs/performance.md, each between marks of its own, so that a part of the bench
 * that was not run keeps what it has.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { chartOf } from './chart.ts';
import { FAMILY_NAMES, familyOf } from './families/families.ts';
import type { Row } from './row.ts';
import { scorecardOf } from './scorecard.ts';
import { type Sheet, sheetsOf } from './sheet.ts';
import { markdownOf } from './table.ts';

const PAGE = new URL('../docs/performance.md', import.meta.url);
const CHART = new URL('../docs/performance.svg', import.meta.url);
const CHART_FAMILY = 'matrix';
const HEADING = '## Measured';

export function writeDocs(rows: readonly Row[], machine: string): void {
  const page = existsSync(PAGE) ? readFileSync(PAGE, 'utf8') : '# Performance\n';
  const withTables = withSheets(page, sheetsOf(rows), machine);
  writeFileSync(PAGE, withScorecard(withTables, rows, machine));
  const charted = rows.filter(({ family }) => family === CHART_FAMILY);
  if (charted.length > 0) writeFileSync(CHART, chartOf(charted));
}

/** A run of a part or two leaves the scorecard as it is. */
export function withScorecard(page: string, rows: readonly Row[], machine: string): string {
  const measured = new Set(rows.map(({ family }) => family));
  const isWhole = FAMILY_NAMES.every((name) => !familyOf(name).isScored || measured.has(name));
  if (!isWhole) return page;
  const sheet = scorecardOf(rows);
  const section = [`### ${sheet.title}`, '', `${machine}.`, '', markdownOf(sheet), ''];
  return `${withSection(page, 'bench:scorecard', section).trimEnd()}\n`;
}

/** The page with these tables in it: in the place of the ones it has, else at its end. */
export function withSheets(page: string, sheets: readonly Sheet[], machine: string): string {
  let text = page.trimEnd();
  for (const sheet of sheets) {
    text = withSection(text, `bench:${sheet.family}`, sectionOf(sheet, machine));
  }
  return `${text}\n`;
}

/** @param name of the marks around it, in the place of which it comes; else it comes at the end */
export function withSection(page: string, name: string, lines: readonly string[]): string {
  const begin = `<!-- ${name} -->`;
  const end = `<!-- /${name} -->`;
  const section = [begin, ...lines, end].join('\n');
  const first = page.indexOf(begin);
  const last = page.indexOf(end);
  if (first !== -1 && last !== -1) {
    return page.slice(0, first) + section + page.slice(last + end.length);
  }
  const heading = page.includes(`\n${HEADING}\n`) ? '' : `\n\n${HEADING}`;
  return `${page.trimEnd()}${heading}\n\n${section}`;
}

function sectionOf(sheet: Sheet, machine: string): string[] {
  const chart = sheet.family === CHART_FAMILY ? ['', '![Jobs per second](performance.svg)'] : [];
  return [`### ${sheet.title}`, '', `${machine}.`, ...chart, '', markdownOf(sheet), ''];
}
