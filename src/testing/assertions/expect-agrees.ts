/** An assertion about what a replay found out. */
import type { ReplayReport } from '../../history/replay/report.ts';
import { reportText } from '../../history/text/report-text.ts';
import { ExpectationError } from './expectation-error.ts';

const VERDICTS: Readonly<Record<ReplayReport['verdict'], string>> = {
  agrees: 'agrees',
  differs: 'differs',
  broken: 'breaks an invariant',
  'not-checked': 'could not check everything',
};

/**
 * Every commit was looked at and is what it was, and every job ended as it did. The error names the first
 * job of each key that differs, the value before it, and both values behind it.
 * @throws ExpectationError
 */
export function expectAgrees(report: ReplayReport): void {
  if (report.agrees) return;
  throw new ExpectationError(
    `the replay ${VERDICTS[report.verdict]}:\n${reportText(report)}`,
    report.verdict,
    'agrees',
  );
}
