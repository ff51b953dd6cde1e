/** How searches are told to people. */
import { type Configuration, FAULT_KINDS, NO_FAULTS } from './configuration.ts';
import type { Report } from './explore.ts';

export const HEAD: string = row(
  'path',
  'workers',
  'faults',
  'states',
  'transitions',
  's',
  'verdict',
);

export function rowText(report: Report): string {
  const { configuration, states, transitions, seconds, found, complete, cuts } = report;
  const verdict = found === undefined ? (complete ? 'all seen' : 'not all seen') : 'FAILED';
  return row(
    pathText(configuration),
    String(configuration.workers),
    faultsText(configuration),
    number(states),
    number(transitions),
    seconds.toFixed(1),
    cuts > 0 && complete ? `${verdict}, ${number(cuts)} cut` : verdict,
  );
}

export function summaryText(reports: readonly Report[], seconds: number): string {
  const sum = (of: (report: Report) => number): number =>
    reports.reduce((total, report) => total + of(report), 0);
  const states = sum((report) => report.states);
  const failed = reports.filter(({ found }) => found !== undefined).length;
  return [
    `${number(states)} states, ${number(sum((report) => report.transitions))} transitions`,
    `${number(sum((report) => report.workerStates))} states of workers, reached by the real code`,
    `${seconds.toFixed(1)} s, ${number(Math.round(states / seconds))} states/s`,
    failed === 0 ? 'no promise was broken' : `${failed} FAILED`,
  ].join('; ');
}

export function failureText(report: Report, canary: string | undefined): string {
  const { found, lines, configuration } = report;
  if (found === undefined) return '';
  const more = canary === undefined ? '' : ` --canary "${canary}"`;
  return [
    `FAILED after ${number(report.states)} states, in ${found.steps.length} steps. ${found.promise}: ${found.what}`,
    ...lines,
    `repeat it with: npm run explore -- ${flagsText(configuration)}${more}`,
  ].join('\n');
}

/** Only what differs from a search without faults. */
function flagsText(configuration: Configuration): string {
  const flags = Object.entries(configuration).filter(
    ([name, value]) => value !== NO_FAULTS[name as keyof typeof NO_FAULTS],
  );
  return flags.map(([name, value]) => `--${name} ${value}`).join(' ');
}

function pathText(configuration: Configuration): string {
  const { path, protocol, locks, cell, batch, commits, others, clocks } = configuration;
  const { shared, pauses, endings } = configuration;
  const notes = [
    protocol === 'meta' && 'meta',
    locks === 'cas' && 'locks by CAS',
    cell === 'missing' && 'no cell',
    batch === 1 && 'one job at a time',
    commits + others > 2 && `${commits} and ${others} commits`,
    clocks === 'step' && 'clocks in step',
    shared === 'last' && 'shared key last',
    pauses === 'all' && 'all pauses long',
    endings === 'one' && 'one ending',
  ].filter((note) => note !== false);
  return [path, ...notes].join(', ');
}

function faultsText(configuration: Configuration): string {
  const kinds = FAULT_KINDS.filter((kind) => configuration[kind] > 0);
  const sum = kinds.reduce((total, kind) => total + configuration[kind], 0);
  if (sum === 0) return 'none';
  const text =
    kinds.length === FAULT_KINDS.length && sum === kinds.length
      ? 'one of every kind'
      : kinds.map((kind) => `${configuration[kind]} ${kind}`).join(', ');
  return configuration.faults < sum ? `${text}; ${configuration.faults} at most` : text;
}

function number(value: number): string {
  return value.toLocaleString('en');
}

function row(...cells: readonly string[]): string {
  const widths = [26, 7, 58, 12, 12, 6, 0];
  return cells
    .map((cell, index) => {
      const width = widths[index] as number;
      return index >= 3 && index <= 5 ? cell.padStart(width) : cell.padEnd(width);
    })
    .join('  ');
}
