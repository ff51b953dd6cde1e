/** The demo's result as tables for a person, and its verdict. Pure but for the colours. */
import { colours, grouped, sheet, table } from '../terminal/terminal.ts';
import type { DemoResult } from './run.ts';

const KEYS_NAMED_MAX = 5;

export function isRight(result: DemoResult): boolean {
  const { lost, doubled, reordered, wrongKeys } = result;
  const { notCompleted, completedAgain, wrongResults, attemptsCharged, drained } = result;
  const wrong = [lost, doubled, reordered, wrongKeys.length];
  wrong.push(notCompleted, completedAgain, wrongResults, attemptsCharged);
  return drained && wrong.every((count) => count === 0);
}

export function demoReport(jobs: number, keys: number, result: DemoResult): string {
  const { lost, doubled, reordered, takeovers, refusedCommits, restoredCells } = result;
  return [
    table(
      [
        ...['jobs', 'lost', 'doubled', 'reordered', 'takeovers'],
        ...['refused commits', 'restored cells', 'jobs/s'],
      ],
      [
        [
          ...[jobs, lost, doubled, reordered, takeovers],
          ...[refusedCommits, restoredCells, result.jobsPerSecond],
        ],
      ],
    ),
    sheet([
      ['values as one sequential fold gives them', `${keys - result.wrongKeys.length} of ${keys}`],
      ['jobs that BullMQ completed', `${grouped(jobs - result.notCompleted)} of ${grouped(jobs)}`],
      ['completed more than once', result.completedAgain],
      ['completed with a result not their own', result.wrongResults],
      ['attempts charged beyond the first', result.attemptsCharged],
      ['leases lost on the way', result.lostLeases],
      ['commits acknowledged by a successor', result.recoveredCommits],
      ['memcached restarted', result.memcachedRestarted ? 'yes' : 'no: left out'],
      ['seconds', result.seconds.toFixed(1)],
    ]),
    verdict(result),
  ].join('\n');
}

function verdict(result: DemoResult): string {
  const { wrongKeys, drained } = result;
  const { out } = colours;
  if (isRight(result)) return out.green('Every value is exact, and every job was done once.');
  const parts = ['WRONG: see the table above.'];
  if (!drained) parts.push('Nothing had happened for a minute, so the rest was not waited for.');
  if (wrongKeys.length > 0) {
    const more = wrongKeys.length > KEYS_NAMED_MAX ? ', …' : '';
    parts.push(`Wrong values: ${wrongKeys.slice(0, KEYS_NAMED_MAX).join(', ')}${more}`);
  }
  return out.red(parts.join(' '));
}
