/**
 * The table of all twins in docs/twins.md, between its marks. Twins that were not hunted this time
 * keep the rows that they have.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import type { Catch } from './hunt.ts';
import type { Twin } from './twin.ts';

const PAGE = new URL('../../docs/twins.md', import.meta.url);
const BEGIN = '<!-- twins -->';
const END = '<!-- /twins -->';
const HEAD = ['| taken away | caught by | which said |', '| --- | --- | --- |'];

export function writeDocs(catches: readonly Catch[], twins: readonly Twin[]): void {
  writeFileSync(PAGE, withTable(readFileSync(PAGE, 'utf8'), catches, twins));
}

function withTable(page: string, catches: readonly Catch[], twins: readonly Twin[]): string {
  const from = page.indexOf(BEGIN);
  const to = page.indexOf(END);
  if (from === -1 || to === -1) throw new Error(`docs/twins.md has lost its marks ${BEGIN} ${END}`);
  const known = page.slice(from, to).split('\n');
  const rows = twins.map((twin) => {
    const now = catches.find((one) => one.twin === twin);
    const start = `| ${cell(twin.guard)} |`;
    const before = known.find((row) => row.startsWith(start));
    return now === undefined ? (before ?? `${start} not hunted yet | |`) : rowOf(now, start);
  });
  const table = [BEGIN, ...HEAD, ...rows].join('\n');
  return `${page.slice(0, from)}${table}\n${page.slice(to)}`;
}

function rowOf({ twin, caught, by, verdict }: Catch, start: string): string {
  const why = twin.hunt.by === 'test' ? ` (no simulation or search: ${cell(twin.hunt.why)})` : '';
  return `${start} ${caught ? cell(by) : 'NOTHING'}${why} | ${cell(verdict)} |`;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;').replaceAll('\n', ' ');
}
