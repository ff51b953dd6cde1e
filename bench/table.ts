/** Sheets as text: for the terminal and for the documentation. */
import Table from 'cli-table3';
import type { Grid, Sheet } from './sheet.ts';

/** System and work are words, everything else is numbers. */
const WORD_COLUMNS = 2;
/** No lines between rows. */
const COMPACT = { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' };

/** For the terminal. */
export function tablesOf(sheets: readonly Sheet[]): string {
  return sheets
    .map(({ title, results, costs, troubles }) =>
      [
        title,
        tableOf(results),
        ...(costs === undefined ? [] : [tableOf(costs)]),
        ...troubles.map((trouble) => `! ${trouble}`),
      ].join('\n'),
    )
    .join('\n\n');
}

function tableOf({ heads, lines }: Grid): string {
  const table = new Table({
    head: heads.map(inTwoLines),
    chars: COMPACT,
    style: { head: [], border: [] },
    colAligns: heads.map((_head, column) => (column < WORD_COLUMNS ? 'left' : 'right')),
  });
  const [first, ...others] = lines;
  if (first !== undefined) table.push([...first], ...others.map((line) => [...line]));
  return table.toString();
}

/** `Redis bytes/job` is wider than what stands below it. */
function inTwoLines(head: string): string {
  return head.replace(/ (?=\(|\S+\/job|MiB)/, '\n');
}

export function markdownOf({ results, costs, troubles }: Sheet): string {
  return [
    markdownTable(results),
    ...(costs === undefined ? [] : ['What it cost:', markdownTable(costs)]),
    ...(troubles.length === 0 ? [] : [troubles.map((trouble) => `- ${trouble}`).join('\n')]),
  ].join('\n\n');
}

function markdownTable({ heads, lines }: Grid): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [
    line(heads),
    line(heads.map((_head, column) => (column < WORD_COLUMNS ? '---' : '---:'))),
    ...lines.map(line),
  ].join('\n');
}
