/** A lane's report as tables for a person. */
import { isoTime } from '../../base/clock.ts';
import { durationText } from '../../base/duration-text.ts';
import { refusedText, withKeysText } from '../../jobs/reports/lane-past.ts';
import type { LaneCommit, LaneReport } from '../../jobs/reports/lane-report.ts';
import type { CellStanding } from '../../workers/inspecting/cell-standing.ts';
import { why } from '../../jobs/reports/why.ts';
import { grouped, plain, sheet, table } from '../terminal/terminal.ts';

const VALUE_CHARS_SHOWN = 60;

const STANDINGS: Readonly<Record<CellStanding['standing'], string>> = {
  clean: 'as Redis knows it',
  unacknowledged: 'one commit ahead of Redis; the next worker acknowledges it',
  missing: 'missing; the next job restores it from the copy',
  stale: 'older than the copy; the next job restores it',
  fresh: 'none: the key is new',
  foreign: 'a value that Toril did not write',
  refused: 'refused',
  unreachable: 'memcached does not tell',
};

export function laneTables(report: LaneReport, cell: CellStanding): string {
  const { key, length, heldBy, watermark, copy, paceMs, jobs, lastCommits } = report;
  const { headAgeMs, expectedWaitMs, refusedCommits } = report;
  const explained = why(report);
  const code = cell.code === undefined ? '' : ` (${cell.code})`;
  const facts = sheet([
    ['key', plain(key)],
    ['state', explained.sentence],
    ['jobs waiting', length],
    ['first waits for', length === 0 ? 'none' : durationText(headAgeMs)],
    ['expected wait', expectedWaitMs === 0 ? 'not known' : durationText(expectedWaitMs)],
    ['held by', heldBy === undefined ? 'nobody' : `job ${plain(heldBy)}`],
    ['cell', STANDINGS[cell.standing] + code],
    ['copy in Redis', copy === undefined ? 'none' : shortened(JSON.stringify(copy))],
    ['last commits', lastCommits.map(commitLine).join('\n') || 'none'],
    ['refused commits', refusedText(refusedCommits) || 'none'],
    ['watermark', String(watermark)],
    ['ms per job', paceMs === 0 ? 'not known' : String(paceMs)],
  ]);
  const rows = jobs.map(
    ({ jobId, name, state, attemptsMade, failedReason, sequence, keys = [] }) => [
      plain(jobId),
      plain(name) + withOthers(keys.filter((one) => one !== key)),
      state,
      attemptsMade,
      String(sequence),
      shortened(failedReason ?? ''),
    ],
  );
  const head = ['job', 'update', 'state', 'attempts', 'sequence', 'failed because'];
  const parts = [facts];
  if (explained.advice !== '') parts.push(explained.advice);
  if (cell.reason !== undefined) parts.push(plain(cell.reason));
  if (rows.length > 0) parts.push(table(head, rows));
  if (length > rows.length) parts.push(`and ${grouped(length - rows.length)} more`);
  return parts.join('\n');
}

function commitLine({ token, atMs, jobs, otherKeys = [], recovered }: LaneCommit): string {
  const decided = jobs === undefined ? '' : `, ${jobs} ${jobs === 1 ? 'job' : 'jobs'}`;
  return `${token} at ${isoTime(atMs)}${decided}${withKeysText(otherKeys, plain)}${recovered ? ', by a successor' : ''}`;
}

function withOthers(keys: readonly string[]): string {
  return keys.length === 0 ? '' : ` with ${keys.map(plain).join(', ')}`;
}

function shortened(text: string): string {
  const shown = plain(text);
  return shown.length <= VALUE_CHARS_SHOWN ? shown : `${shown.slice(0, VALUE_CHARS_SHOWN)}…`;
}
