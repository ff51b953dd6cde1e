/** What a replay found out, in people's words. */
import { grouped } from '../../base/grouped.ts';
import type { RecordedJob } from '../recording/recording.ts';
import type {
  Difference,
  KeyReport,
  FailuresReport,
  LiveVerdict,
  NotLookedAt,
  ReplayReport,
  ResultsReport,
  UncheckedCounts,
  UncheckedReason,
  UntriedReason,
} from '../replay/report.ts';
import { invariantLine } from './invariant-text.ts';
import { type Colours, PLAIN, type ReportStyle } from './style.ts';

/** Keys told one by one; what is well is only counted. */
const KEYS_TOLD = 20;
/** Jobs of a commit that are named, and characters of a value. */
const JOBS_TOLD = 5;
const VALUE_MAX = 300;

export const UNCHECKED_TEXTS: Readonly<Record<UncheckedReason, string>> = {
  'commits-missing': 'commits are missing before it',
  'start-unknown': 'nobody knows which value it began with',
  'unknown-update': 'the update of a job is not registered',
  'strict-update': 'an update that acts on the outside world (strict) is not run again',
  'job-gone': 'a job had been removed from BullMQ before the commit was acknowledged',
  'data-gone': 'the data of a job are no JSON',
  'before-start': 'the recording began in the middle of the key, before its first recorded value',
  'behind-difference': 'the key differs before them',
  'other-key':
    'the value of another key of the same commit is not known there, or is not what it was',
};

const UNTRIED: Readonly<Record<UntriedReason, string>> = {
  'unknown-update': UNCHECKED_TEXTS['unknown-update'],
  'strict-update': UNCHECKED_TEXTS['strict-update'],
  'job-gone': 'it had been removed from BullMQ',
  'data-gone': 'its data are no JSON',
  'commit-unchecked': 'its commit was not checked',
  dropped: 'an operator had dropped it',
  cascaded: 'an earlier job had failed and cascaded',
  cancelled: 'it had been cancelled before its update was called',
  died: 'its process had died too often',
  'timed-out': 'it had taken too long',
  'too-large': 'its value, or its result, had been too large',
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

export function reportText(report: ReplayReport, { sheet, colours }: ReportStyle = PLAIN): string {
  const { keys, commits, checked, jobs, recording, torn } = report;
  const noteworthy = keys.filter(isNoteworthy);
  const told = noteworthy.slice(0, KEYS_TOLD).flatMap((key) => keyLines(key, colours));
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
  const tornText = `The history was trimmed while it was recorded: commits may be missing behind line ${torn.join(', ')}.`;
  return [
    ...told,
    ...(more > 0
      ? [`... and ${grouped(more)} more keys with something to tell (--json has all)`]
      : []),
    ...(sheet === undefined ? [] : [sheet(rows)]),
    ...uncheckedLines(report.unchecked),
    ...(torn.length > 0 ? [tornText] : []),
    ...failuresLines(report.failures, '', colours),
    ...resultsLines(report.results, '', colours),
    ...report.invariants.map((one) => invariantLine(one, colours)),
    notLookedAtLine(report.notLookedAt),
    verdict(report, colours),
  ].join('\n');
}

function isNoteworthy({ verdict: found, gapsCount, restarts, live }: KeyReport): boolean {
  return (
    found !== 'agrees' ||
    gapsCount > 0 ||
    restarts > 0 ||
    live?.kind === 'differs' ||
    live?.kind === 'unreadable'
  );
}

function keyLines(report: KeyReport, colours: Colours): string[] {
  const { key, difference, gaps, gapsCount, live, commits, checked, start } = report;
  const lines = [colours.bold(key)];
  if (difference !== undefined) lines.push(...differenceLines(difference, colours));
  for (const gap of gaps)
    lines.push(`  gap at line ${gap.line}: ${UNCHECKED_TEXTS[gap.reason]}${jobOf(gap.job)}`);
  if (gapsCount > gaps.length) lines.push(`  and ${grouped(gapsCount - gaps.length)} more gaps`);
  if (start === undefined)
    lines.push('  no place to begin: none of its values is in the recording');
  if (report.restarts > 0) {
    lines.push(
      `  started over ${grouped(report.restarts)} times though it had a value, which had expired or was lost`,
    );
  }
  if (checked < commits) {
    lines.push(`  ${grouped(checked)} of ${grouped(commits)} commits checked`);
    lines.push(...uncheckedLines(report.unchecked).map((line) => `  ${line}`));
  }
  if (report.failures?.examples.length !== 0)
    lines.push(...failuresLines(report.failures, '  ', colours));
  if (report.results?.examples.length !== 0)
    lines.push(...resultsLines(report.results, '  ', colours));
  if (live?.kind === 'differs')
    lines.push(
      '  the cell in memcached differs from what was recorded:',
      ...indented(live.diff, colours),
    );
  if (live?.kind === 'unreadable') lines.push(`  the cell cannot be read: ${live.message}`);
  return lines;
}

function differenceLines(difference: Difference, colours: Colours): string[] {
  const { line, token, jobs, failure, before, expected, actual, diff, comparedAt } = difference;
  const { formerRepeats } = difference;
  const { red } = colours;
  const at = `line ${line}, commit ${token}`;
  const lines = [`  ${red('DIFFERS')} first at ${at}: ${jobsText(jobs)}`];
  lines.push(`  before it: ${short(before.json)}`);
  if (failure !== undefined) lines.push(`  it failed now: ${failure}`);
  if (expected === undefined) {
    lines.push(
      `  it is now: ${short(actual?.json)}; of what it was, the recording has only the hash`,
    );
    if (formerRepeats === undefined)
      lines.push('  (--former FILE with the former updates shows it)');
  } else if (actual === undefined) lines.push(`  it was: ${short(expected.json)}`);
  if (formerRepeats === false) {
    lines.push(
      '  the former updates do not give the recorded value here: they are not those that made this history, and what they give is not shown',
    );
  }
  if (diff !== undefined) {
    const where =
      comparedAt.line === line
        ? ''
        : ` at line ${comparedAt.line}, where the value was recorded next`;
    lines.push(`  - as it was, + as it is now${where}:`, ...indented(diff, colours));
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

function indented(text: string, { red, green }: Colours): string[] {
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

function uncheckedLines(counts: UncheckedCounts): string[] {
  return (Object.entries(counts) as [UncheckedReason, number][]).map(
    ([reason, count]) => `${grouped(count)} not checked: ${UNCHECKED_TEXTS[reason]}`,
  );
}

function failuresLines(
  report: FailuresReport | undefined,
  indent: string,
  colours: Colours,
): string[] {
  if (report === undefined) return [];
  const { failed, failAgain, failOtherwise, succeedNow, causedOutside, untried } = report;
  const lines = [`${grouped(failed)} jobs failed then; ${grouped(failAgain)} of them fail again`];
  if (failOtherwise > 0) lines.push(`${grouped(failOtherwise)} of these with another error`);
  if (causedOutside > 0) {
    lines.push(
      `${grouped(causedOutside)} succeed now, but with the former updates too: the cause was outside`,
    );
  }
  for (const [reason, count] of Object.entries(untried) as [UntriedReason, number][])
    lines.push(`${grouped(count)} not tried again: ${UNTRIED[reason]}`);
  if (succeedNow > 0)
    lines.push(colours.red(`${grouped(succeedNow)} failed then and would succeed now`));
  for (const { job, line, now } of report.examples) {
    const then = job.outcome?.kind === 'failed' ? `${job.outcome.code} ${job.outcome.message}` : '';
    const today = now === undefined ? 'it succeeds' : `${now.code} ${now.message}`;
    lines.push(`  line ${line}${jobOf(job)}: then ${then}, now ${today}`);
  }
  return lines.map((line) => indent + line);
}

function resultsLines(
  report: ResultsReport | undefined,
  indent: string,
  colours: Colours,
): string[] {
  if (report === undefined) return [];
  const { compared, differ, notRecorded, examples } = report;
  const lines = [`${grouped(compared)} results compared`];
  if (notRecorded > 0)
    lines.push(`${grouped(notRecorded)} results not compared: what they were was not recorded`);
  if (differ > 0) lines.push(colours.red(`${grouped(differ)} results differ`));
  for (const { job, line, expected, actual } of examples) {
    const before =
      expected ?? (job.resultHash === undefined ? 'none' : `one of hash ${job.resultHash}`);
    lines.push(`  line ${line}${jobOf(job)}: then ${before}, now ${actual ?? 'none'}`);
  }
  return lines.map((line) => indent + line);
}

function notLookedAtLine(settings: readonly NotLookedAt[]): string {
  const named = settings.map(({ what, updates, changed }) => {
    const whose = updates.length === 0 ? '' : ` of ${updates.join(', ')}`;
    return `${what}${whose}${changed.length === 0 ? '' : ` (changed: ${changed.join(', ')})`}`;
  });
  return `Not looked at: ${named.join('; ')}.`;
}

function verdict(report: ReplayReport, { green, red, yellow }: Colours): string {
  const { checked, commits, keys, unknownUpdates, invariants } = report;
  if (unknownUpdates.length > 0)
    return red(`No update is registered that is named ${unknownUpdates.join(', ')}.`);
  const whole = grouped(keys.length);
  switch (report.verdict) {
    case 'differs': {
      const wrong = keys.filter(
        ({ verdict: found, live }) =>
          found === 'differs' || live?.kind === 'differs' || live?.kind === 'unreadable',
      );
      return red(`${grouped(wrong.length)} of ${whole} keys differ.`);
    }
    case 'broken': {
      const names = invariants.flatMap((one) => (one.verdict === 'broken' ? [one.name] : []));
      return red(
        `Every value is what it was, but an invariant does not hold: ${names.join(', ')}.`,
      );
    }
    case 'not-checked': {
      if (checked === 0) return red('NOT CHECKED: nothing could be checked.');
      const unasked = invariants.filter((one) => one.verdict !== 'holds');
      if (checked === commits && unasked.length > 0) {
        const names = unasked.map(({ name }) => name).join(', ');
        return yellow(`NOT CHECKED: the invariants ${names}. Every value is what it was.`);
      }
      const left = keys.filter(({ verdict: found }) => found !== 'agrees').length;
      return yellow(
        `NOT CHECKED: ${grouped(commits - checked)} of ${grouped(commits)} commits, in ${grouped(left)} of ${whole} keys. Everything else is what it was.`,
      );
    }
    case 'agrees':
      return report.complete
        ? green('Every value is what it was, byte for byte.')
        : yellow(
            `Every value that was checked is what it was; ${grouped(commits - checked)} commits were not, as allowed.`,
          );
  }
}
