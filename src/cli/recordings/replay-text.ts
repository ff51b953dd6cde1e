/** What a replay found out, on this terminal. */
import type { ReplayReport } from '../../history/replay/report.ts';
import { reportText } from '../../history/text/report-text.ts';
import { colours, sheet } from '../terminal/terminal.ts';

export function replayText(report: ReplayReport): string {
  return reportText(report, { sheet, colours: colours.out });
}

export function unknownUpdatesText(names: readonly string[]): string {
  return `the recording has jobs of updates that --updates does not have: ${names.join(', ')}.`;
}
