/** Systems down, kinds of work across: a table for each number of processes and concurrency. */
import { count, whole } from './number-text.ts';
import { type Row, standingOf } from './row.ts';
import type { Grid } from './sheet.ts';

const MISSING = '';

export function crossTables(rows: readonly Row[]): Grid[] {
  const captions = [...new Set(rows.map(captionOf))];
  return captions.map((caption) =>
    crossTable(
      caption,
      rows.filter((row) => captionOf(row) === caption),
    ),
  );
}

function captionOf({ concurrency, processes }: Row): string {
  const workers = processes === 1 ? '1 process' : `${processes} processes`;
  return `${workers}, concurrency ${concurrency}:`;
}

function crossTable(caption: string, rows: readonly Row[]): Grid {
  const works = [...new Set(rows.map(({ work }) => work))];
  const systems = [...new Set(rows.map(({ system }) => system))];
  return {
    caption,
    wordColumns: 2,
    heads: ['system', 'promises', ...works, 'lost', 'doubled', 'reordered'],
    lines: systems.map((system) => {
      const own = rows.filter((row) => row.system === system);
      const [first] = own;
      return [
        first?.title ?? system,
        first?.promised ?? MISSING,
        ...works.map((work) => cellOf(own.find((row) => row.work === work))),
        ...(['lost', 'doubled', 'reordered'] as const).map((fault) => sumOf(own, fault)),
      ];
    }),
  };
}

/** `6,786 ±11% 0.92`, and a cross if the values were wrong afterwards. */
function cellOf(row: Row | undefined): string {
  if (row === undefined || row.jobsPerSecond === null) return MISSING;
  const { jobsPerSecond, jobsPerSecondSpread: range, ratio } = row;
  const spread =
    range === null || range.max === range.min
      ? []
      : [`±${Math.round(((range.max - range.min) / 2 / jobsPerSecond) * 100)}%`];
  const mark = standingOf(row) === 'wrong' ? ['✗'] : [];
  const ratioText = ratio === null ? [] : [ratio.toFixed(2)];
  return [whole(jobsPerSecond), ...spread, ...ratioText, ...mark].join(' ');
}

function sumOf(rows: readonly Row[], fault: 'lost' | 'doubled' | 'reordered'): string {
  const known = rows.flatMap((row) => row[fault] ?? []);
  return count(known.length === 0 ? null : known.reduce((sum, number) => sum + number, 0));
}
