/**
 * `npm run explore`: a table of searches, on two processes.
 * `npm run explore -- --path queue --workers 2 --expiries 1 --timeouts 1 --seconds 60`: one search.
 * `--canary NAME` takes a guard away; `--canary list` names them. Exit code 1: a promise was broken.
 */
import { CANARIES } from './canaries.ts';
import { type Configuration, FAULT_KINDS, NO_FAULTS } from './configuration.ts';
import { damageOf, type Report, type Task } from './explore.ts';
import { failureText, HEAD, rowText, summaryText } from './report.ts';
import { rowsFor } from './rows.ts';
import { exploreAll } from './shards.ts';
import { commandLine, usageError } from '../support/command-line.ts';

const PATHS = ['queue', 'strict', 'lease', 'joint'] as const;
const NUMBERS = [
  'workers',
  'jobs',
  'batch',
  'commits',
  'others',
  ...FAULT_KINDS,
  'faults',
] as const;
/** A worker's letter and its place among four: more are too many to search anyway. */
const WORKERS_MAX = 4;
/** A lane is read as a whole. */
const JOBS_MAX = 9;

const text = { type: 'string' } as const;
const USAGE = `npm run explore                                                  a table of searches
npm run explore -- --path queue --workers 2 --expiries 1         one search
  --path queue|strict|lease|joint   --protocol binary|meta   --locks value|cas   --clocks apart|step   --cell present|missing   --shared first|last   --pauses looks|all   --endings all|one   --canary NAME (or "list")
  --workers --jobs --batch --commits --others, and faults: --expiries --renewals --evictions --restarts --timeouts --crashes
  --refusals, --faults of all kinds together   --seconds N   --processes P
What each means stands in docs/exploration.md.`;

const values = commandLine(USAGE, {
  path: text,
  protocol: text,
  locks: text,
  clocks: text,
  cell: text,
  shared: text,
  pauses: text,
  endings: text,
  canary: text,
  seconds: { type: 'string', default: '600' },
  processes: { type: 'string', default: '2' },
  ...(Object.fromEntries(NUMBERS.map((name) => [name, text])) as Record<
    (typeof NUMBERS)[number],
    typeof text
  >),
});

if (values.canary === 'list') console.log(Object.keys(CANARIES).join('\n'));
else process.exitCode = await main();

async function main(): Promise<number> {
  const { canary } = values;
  damageOf(canary);
  const startMs = performance.now();
  const endMs = startMs + numberOf('seconds', values.seconds) * 1000;
  const processes = numberOf('processes', values.processes);
  const configurations = chosen();
  // Each has its share of what the ones before have left.
  const tasks = configurations.map((configuration, index) => (): Task => {
    const share = processes / Math.max(processes, configurations.length - index);
    const seconds = Math.max(1, ((endMs - performance.now()) / 1000) * share);
    return { configuration, canary, seconds };
  });
  const reports: Report[] = [];
  console.log(HEAD);
  await exploreAll(tasks, processes, (report) => {
    reports.push(report);
    console.log(rowText(report));
  });
  for (const report of reports) {
    if (report.found !== undefined) console.log(`\n${failureText(report, canary)}`);
  }
  console.log(`\n${summaryText(reports, (performance.now() - startMs) / 1000)}`);
  return reports.some(({ found }) => found !== undefined) ? 1 : 0;
}

/** The table, or one search for each path if more than a path is given. */
function chosen(): Configuration[] {
  const path = oneOf('path', values.path, PATHS);
  const given = NUMBERS.filter((name) => values[name] !== undefined);
  const {
    protocol: spoken,
    locks: formed,
    clocks: running,
    cell: there,
    shared: standing,
    pauses: lasting,
    endings: ending,
  } = values;
  const isOne =
    given.length > 0 || [spoken, formed, running, there, standing, lasting, ending].some(Boolean);
  if (!isOne) {
    const within = CANARIES[values.canary ?? '']?.within;
    return within === undefined ? rowsFor(path) : [{ ...NO_FAULTS, ...within }];
  }
  const protocol =
    oneOf('protocol', values.protocol, ['binary', 'meta'] as const) ?? NO_FAULTS.protocol;
  const locks = oneOf('locks', values.locks, ['value', 'cas'] as const) ?? NO_FAULTS.locks;
  if (locks === 'cas' && protocol !== 'meta') usageError('--locks cas needs --protocol meta');
  const numbers: Partial<Record<(typeof NUMBERS)[number], number>> = Object.fromEntries(
    given.map((name) => [name, numberOf(name, values[name])]),
  );
  const clocks = oneOf('clocks', values.clocks, ['apart', 'step'] as const) ?? NO_FAULTS.clocks;
  const cell = oneOf('cell', values.cell, ['present', 'missing'] as const) ?? NO_FAULTS.cell;
  const shared = oneOf('shared', values.shared, ['first', 'last'] as const) ?? NO_FAULTS.shared;
  const pauses = oneOf('pauses', values.pauses, ['looks', 'all'] as const) ?? NO_FAULTS.pauses;
  const endings = oneOf('endings', values.endings, ['all', 'one'] as const) ?? NO_FAULTS.endings;
  const { workers = NO_FAULTS.workers, jobs = workers } = numbers;
  if (workers < 1 || workers > WORKERS_MAX || jobs < 1 || jobs > JOBS_MAX) {
    usageError(`--workers must be 1 to ${WORKERS_MAX}, --jobs 1 to ${JOBS_MAX}`);
  }
  if (path === 'joint' && jobs > workers)
    usageError('--path joint needs a worker for each job: the sweep is not played to its end');
  return (path === undefined ? PATHS : [path]).map((one) => {
    return {
      ...NO_FAULTS,
      path: one,
      protocol,
      locks,
      clocks,
      cell,
      shared,
      pauses,
      endings,
      ...numbers,
      workers,
      jobs,
    };
  });
}

function oneOf<Name extends string>(
  option: string,
  given: string | undefined,
  names: readonly Name[],
): Name | undefined {
  if (given === undefined) return undefined;
  const found = names.find((name) => name === given);
  if (found !== undefined) return found;
  usageError(`--${option} must be one of ${names.join(', ')}, not ${given}`);
}

function numberOf(option: string, given: string | undefined): number {
  const number = Number(given);
  if (Number.isSafeInteger(number) && number >= 0) return number;
  usageError(`--${option} must be a whole number, not ${given}`);
}
