/**
 * `npm run chaos -- --minutes N [--seed S]`: real processes, real servers, real faults; then the audit.
 * `--twin NAME` takes a guard away, and the auditor must notice; `--twin list` names them.
 */
import { isKept } from './kept.ts';
import { figuresText, violationsText } from './report.ts';
import { auditAgain, runChaos, type RunResult } from './run.ts';
import { FAULT_KINDS, type FaultKind } from './schedule.ts';
import { LOCK_FORMS, PROTOCOLS } from './site.ts';
import { type TwinName, TWINS } from './twins.ts';
import { commandLine, usageError } from '../support/command-line.ts';

const MINUTES_DEFAULT = '1';
const SEED_MAX = 2 ** 31;

const USAGE = `npm run chaos -- --minutes N [--seed S] [--protocol P] [--locks L] [--only FAULT,FAULT] [--without FAULT,FAULT] [--twin NAME] [--keep]
npm run chaos -- --audit FOLDER
  --minutes N      minutes of faults, 1 by default
  --seed S         draws the faults and their times
  --protocol P     that is spoken with memcached: auto (the default), meta, binary, or mixed
  --locks L        how they are written: value (the default), cas, or mixed
  --only FAULTS    of these kinds; "list" names them
  --without FAULTS of all other kinds
  --twin NAME      with a guard taken away, which must be noticed; "list" names them
  --keep           history and logs stay also when all went well
  --audit FOLDER   looks again at what a run has left behind`;

const values = commandLine(USAGE, {
  minutes: { type: 'string', default: MINUTES_DEFAULT },
  seed: { type: 'string', default: String(Math.floor(Math.random() * SEED_MAX)) },
  protocol: { type: 'string', default: 'auto' },
  locks: { type: 'string', default: 'value' },
  only: { type: 'string' },
  without: { type: 'string' },
  twin: { type: 'string' },
  keep: { type: 'boolean', default: false },
  audit: { type: 'string' },
});

if (values.twin === 'list') {
  for (const [name, what] of Object.entries(TWINS)) console.log(`${name}: ${what}`);
} else if (values.only === 'list') {
  console.log(FAULT_KINDS.join('\n'));
} else if (values.audit !== undefined) {
  if (!isKept(values.audit))
    usageError(
      `${values.audit} has no end.json: either the run did not come to its end, and only its logs can be read, or this is not a folder that a run has left`,
    );
  process.exitCode = conclude(auditAgain(values.audit));
} else process.exitCode = await main();

async function main(): Promise<number> {
  const { only, without, keep } = values;
  const protocol = oneOf('protocol', PROTOCOLS, values.protocol);
  const locks = oneOf('locks', LOCK_FORMS, values.locks);
  const minutes = numberOf('minutes', values.minutes, 0.05);
  const seed = numberOf('seed', values.seed, 0);
  const twin = twinOf(values.twin);
  if (twin === 'no fences' && protocol !== 'binary')
    usageError('the twin "no fences" lives in the binary protocol: add --protocol binary');
  const faults = faultsOf(only, without);
  const more = Object.entries({ only, without, twin }).map(([option, value]) =>
    value === undefined ? '' : ` --${option} "${value}"`,
  );
  console.log(
    `npm run chaos -- --minutes ${minutes} --seed ${seed} --protocol ${protocol} --locks ${locks}${more.join('')}`,
  );
  const say = (line: string): void => console.log(line);
  const run = { minutes, seed, protocol, locks, twin, faults, keeps: keep, say };
  return conclude(await runChaos(run));
}

/** Tells people, and returns the exit code. */
function conclude({ violations, figures, history, artefacts }: RunResult): number {
  console.log(figuresText(figures));
  if (violations.length === 0) console.log('every promise was kept');
  else console.log(`\n${violations.length} VIOLATIONS\n${violationsText(violations, history)}`);
  if (artefacts !== undefined) console.log(`\nhistory and logs: ${artefacts}`);
  return violations.length === 0 ? 0 : 1;
}

function numberOf(option: string, text: string, least: number): number {
  const number = Number(text);
  if (text !== '' && Number.isFinite(number) && number >= least) return number;
  usageError(`--${option} must be a number from ${least} on, not "${text}"`);
}

function oneOf<T extends string>(option: string, choices: readonly T[], text: string): T {
  const found = choices.find((choice) => choice === text);
  return found ?? usageError(`--${option}: no "${text}", but ${choices.join(', ')}`);
}

function twinOf(name: string | undefined): TwinName | undefined {
  if (name === undefined || name in TWINS) return name as TwinName | undefined;
  usageError(`no twin "${name}": ${Object.keys(TWINS).join(', ')}`);
}

function faultsOf(only: string | undefined, without: string | undefined): readonly FaultKind[] {
  const left = new Set(kindsIn('without', without));
  const chosen = only === undefined ? FAULT_KINDS : kindsIn('only', only);
  return chosen.filter((kind) => !left.has(kind));
}

function kindsIn(option: string, text: string | undefined): FaultKind[] {
  const names = (text ?? '').split(',').filter((name) => name !== '');
  const wrong = names.find((name) => !FAULT_KINDS.includes(name as FaultKind));
  if (wrong !== undefined) usageError(`--${option}: no fault "${wrong}"; --only list names them`);
  return names as FaultKind[];
}
