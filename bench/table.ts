/** Sheets as text: for the terminal and for the documentation. */
import Table from 'cli-table3';
import type { Grid, Sheet } from './sheet.ts';

/** No lines between rows. */
const COMPACT = { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' };

/** For the terminal. */
export function tablesOf(sheets: readonly Omit<Sheet, 'family'>[]): string {
  return sheets
    .map(({ title, grids, troubles }) =>
      [
        `${title}\n${'='.repeat(title.length)}`,
        ...grids.map((grid) => (grid.caption === '' ? '' : `${grid.caption}\n`) + tableOf(grid)),
        ...troubles.map((trouble) => `! ${trouble}`),
      ].join('\n'),
    )
    .join('\n\n');
}

function tableOf({ heads, lines, wordColumns }: Grid): string {
  const table = new Table({
    head: heads.map(inTwoLines),
    chars: COMPACT,
    style: { head: [], border: [] },
    colAligns: heads.map((_head, column) => (column < wordColumns ? 'left' : 'right')),
  });
  table.push(...lines.map((line) => [...line]));
  return table.toString();
}

/** `Redis bytes/job` is wider than what stands below it. */
function inTwoLines(head: string): string {
  return head.replace(/ (?=\(|\S+\/job|MiB)/, '\n');
}

export function markdownOf({ grids, troubles }: Pick<Sheet, 'grids' | 'troubles'>): string {
  return [
    ...grids.flatMap((grid) => [
      ...(grid.caption === '' ? [] : [grid.caption]),
      markdownTable(grid),
    ]),
    ...(troubles.length === 0 ? [] : [troubles.map((trouble) => `- ${trouble}`).join('\n')]),
  ].join('\n\n');
}

function markdownTable({ heads, lines, wordColumns }: Grid): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [
    line(heads),
    line(heads.map((_head, column) => (column < wordColumns ? '---' : '---:'))),
    ...lines.map(line),
  ].join('\n');
}
