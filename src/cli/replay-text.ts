/** What a replay found out, in people's words. */
import type { RecordedJob } from '../history/recording/recording.ts';
import type {
  Difference,
  Gap,
  KeyReport,
  LiveVerdict,
  ReplayReport,
} from '../history/replay/report.ts';
import { colours, grouped, sheet } from './terminal.ts';

/** Keys told one by one; what is well is only counted. */
const KEYS_TOLD = 20;
/** Jobs of a commit that are named, and characters of a value. */
const JOBS_TOLD = 5;
const VALUE_MAX = 300;

const REASONS: Readonly<Record<Gap['reason'], string>> = {
  'commits-missing': 'commits are missing before it',
  'start-unknown': 'nobody knows which value it began with',
  'unknown-update': 'the update of a job is not registered',
  'strict-update': 'an update that acts on the outside world (strict) is not run again',
  'job-gone': 'a job had been removed from BullMQ before the commit was acknowledged',
  'data-gone': 'the data of a job are no JSON',
};

const LIVE: Readonly<Record<LiveVerdict['kind'], string>> = {
  same: 'is the same',
  differs: 'DIFFERS',
  newer: 'has gone on since',
  older: 'is older',
  missing: 'is not in memcached',
  unknown: 'has nothing to be compared with',
  unreadable: 'CANNOT BE READ',
};

export function replayText(report: ReplayReport): string {
  const { keys, commits, checked, jobs, recording } = report;
  const noteworthy = keys.filter(isNoteworthy);
  const told = noteworthy.slice(0, KEYS_TOLD).flatMap(keyLines);
  const more = noteworthy.length - KEYS_TOLD;
  const rows: [string, string | number][] = [
    ['queue', recording.queue],
    ['recorded', recording.recordedAt],
    ['keys', keys.length],
    ['commits', commits],
    ['of these checked', checked],
    ['jobs', jobs],
    ...liveRows(keys),
  ];
  return [
    ...told,
    ...(more > 0
      ? [`... and ${grouped(more)} more keys with something to tell (--json has all)`]
      : []),
    sheet(rows),
    verdict(report),
  ].join('\n');
}

function isNoteworthy({ verdict: found, gapsCount, live }: KeyReport): boolean {
  return (
    found !== 'agrees' || gapsCount > 0 || live?.kind === 'differs' || live?.kind === 'unreadable'
  );
}

function keyLines(report: KeyReport): string[] {
  const { key, difference, gaps, gapsCount, live, commits, checked, start } = report;
  const lines = [colours.out.bold(key)];
  if (difference !== undefined) lines.push(...differenceLines(difference));
  for (const gap of gaps)
    lines.push(`  gap at line ${gap.line}: ${REASONS[gap.reason]}${jobOf(gap.job)}`);
  if (gapsCount > gaps.length) lines.push(`  and ${grouped(gapsCount - gaps.length)} more gaps`);
  if (start === undefined)
    lines.push('  no place to begin: none of its values is in the recording');
  if (checked < commits) lines.push(`  ${grouped(checked)} of ${grouped(commits)} commits checked`);
  if (live?.kind === 'differs')
    lines.push('  the cell in memcached differs from what was recorded:', ...indented(live.diff));
  if (live?.kind === 'unreadable') lines.push(`  the cell cannot be read: ${live.message}`);
  return lines;
}

function differenceLines(difference: Difference): string[] {
  const { line, token, jobs, failure, before, expected, actual, diff, comparedAt } = difference;
  const { red } = colours.out;
  const at = `line ${line}, commit ${token}`;
  const lines = [`  ${red('DIFFERS')} first at ${at}: ${jobsText(jobs)}`];
  lines.push(`  before it: ${short(before.json)}`);
  if (failure !== undefined) lines.push(`  it failed now: ${failure}`);
  if (expected === undefined) {
    lines.push(
      `  it is now: ${short(actual?.json)}; of what it was, the recording has only the hash`,
    );
    lines.push('  (--former FILE with the former updates shows it)');
  } else if (actual === undefined) lines.push(`  it was: ${short(expected.json)}`);
  if (diff !== undefined) {
    const where =
      comparedAt.line === line
        ? ''
        : ` at line ${comparedAt.line}, where the value was recorded next`;
    lines.push(`  - as it was, + as it is now${where}:`, ...indented(diff));
  }
  return lines;
}

function jobsText(jobs: readonly RecordedJob[]): string {
  const named = jobs.slice(0, JOBS_TOLD).map(({ id, update }) => `${id} (${update ?? 'gone'})`);
  const more = jobs.length > JOBS_TOLD ? `, ... ${grouped(jobs.length)} in all` : '';
  return jobs.length === 1 ? `job ${named[0]}` : `one of the jobs ${named.join(', ')}${more}`;
}

function jobOf(job: RecordedJob | undefined): string {
  return job === undefined
    ? ''
    : ` (job ${job.id}${job.update === undefined ? '' : `, ${job.update}`})`;
}

function short(json: string | undefined): string {
  if (json === undefined) return 'no value';
  return json.length <= VALUE_MAX
    ? json
    : `${json.slice(0, VALUE_MAX)}… (${grouped(json.length)} characters)`;
}

function indented(text: string): string[] {
  const { red, green } = colours.out;
  return text.split('\n').map((line) => {
    const coloured = line.startsWith('-') ? red(line) : line.startsWith('+') ? green(line) : line;
    return `    ${coloured}`;
  });
}

function liveRows(keys: readonly KeyReport[]): [string, number][] {
  const counts = new Map<LiveVerdict['kind'], number>();
  for (const { live } of keys)
    if (live !== undefined) counts.set(live.kind, (counts.get(live.kind) ?? 0) + 1);
  return [...counts].map(([kind, count]) => [`cell ${LIVE[kind]}`, count]);
}

function verdict({
  agrees,
  complete,
  checked,
  commits,
  keys,
  unknownUpdates,
}: ReplayReport): string {
  const { green, red, yellow } = colours.out;
  if (unknownUpdates.length > 0)
    return red(`No update is registered that is named ${unknownUpdates.join(', ')}.`);
  if (checked === 0) return red('Nothing could be checked.');
  if (!agrees) {
    const wrong = keys.filter(
      ({ verdict: found, live }) => found === 'differs' || live?.kind === 'differs',
    );
    return red(`${grouped(wrong.length)} of ${grouped(keys.length)} keys differ.`);
  }
  if (complete) return green('Every value is what it was, byte for byte.');
  return yellow(
    `Every value that could be checked is what it was; ${grouped(commits - checked)} commits could not be checked.`,
  );
}
