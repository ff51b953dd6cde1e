/** A trace run's result as tables for a person, and its verdict. Pure but for the colours. */
import { colours, sheet, table } from '../terminal/terminal.ts';
import type { TraceResult } from './run.ts';

export function isExact({ documents, failedJobs, drained }: TraceResult): boolean {
  return drained && failedJobs === 0 && documents.every(({ exact }) => exact);
}

export function traceReport(result: TraceResult): string {
  const rows = result.documents.map(({ name, jobs, editsPerSecond, bytes, exact }) => {
    return [name, jobs, editsPerSecond, bytes, exact ? 'yes' : 'NO'];
  });
  const all = ['all', result.jobs, result.editsPerSecond, sum(result), yesNo(isExact(result))];
  return [
    table(['document', 'jobs', 'edits/s', 'bytes', 'exact'], [...rows, all]),
    sheet([
      ['workers killed', result.killed],
      ['takeovers', result.takeovers],
      ['refused commits', result.refusedCommits],
      ['commits acknowledged by a successor', result.recoveredCommits],
      ['restored cells', result.restoredCells],
      ['failed jobs', result.failedJobs],
      ['seconds', result.seconds.toFixed(1)],
    ]),
    ...verdict(result),
  ].join('\n');
}

function verdict(result: TraceResult): string[] {
  const { out } = colours;
  if (isExact(result)) return [out.green('Every document is what was recorded, byte for byte.')];
  const lines = result.documents
    .filter(({ exact }) => !exact)
    .map(({ name, difference }) => `${name}: ${difference}`);
  if (result.failedJobs > 0) lines.push(`${result.failedJobs} jobs failed for good`);
  if (!result.drained) lines.push('nothing had happened for a minute: the rest was not waited for');
  return lines.map((line) => out.red(`WRONG: ${line}`));
}

function sum({ documents }: TraceResult): number {
  return documents.reduce((total, { bytes }) => total + bytes, 0);
}

function yesNo(exact: boolean): string {
  return exact ? 'yes' : 'NO';
}
