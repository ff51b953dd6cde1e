/**
 * `npm run chaos -- --minutes N [--seed S]`: real processes, real servers, real faults; then the audit.
 * `--twin NAME` takes a guard away, and the auditor must notice; `--twin list` names them.
 */
import { figuresText, violationsText } from './report.ts';
import { runChaos } from './run.ts';
import { type TwinName, TWINS } from './twins.ts';
import { commandLine, usageError } from '../support/command-line.ts';

const MINUTES_DEFAULT = '1';
const SEED_MAX = 2 ** 31;

const USAGE = `npm run chaos -- --minutes N [--seed S] [--twin NAME]
  --minutes N    minutes of faults, 1 by default
  --seed S       draws the faults and their times
  --twin NAME    with a guard taken away, which must be noticed; "list" names them`;

const values = commandLine(USAGE, {
  minutes: { type: 'string', default: MINUTES_DEFAULT },
  seed: { type: 'string', default: String(Math.floor(Math.random() * SEED_MAX)) },
  twin: { type: 'string' },
});

if (values.twin === 'list') {
  for (const [name, what] of Object.entries(TWINS)) console.log(`${name}: ${what}`);
} else process.exitCode = await main();

async function main(): Promise<number> {
  const minutes = numberOf('minutes', values.minutes, 0.05);
  const seed = numberOf('seed', values.seed, 0);
  const twin = twinOf(values.twin);
  const more = twin === undefined ? '' : ` --twin "${twin}"`;
  console.log(`npm run chaos -- --minutes ${minutes} --seed ${seed}${more}`);
  const say = (line: string): void => console.log(line);
  const { violations, figures, history, artefacts } = await runChaos({ minutes, seed, twin, say });
  console.log(figuresText(figures));
  if (violations.length === 0) {
    console.log('every promise was kept');
    return 0;
  }
  console.log(`\n${violations.length} VIOLATIONS\n${violationsText(violations, history)}`);
  console.log(`\nhistory and logs: ${artefacts}`);
  return 1;
}

function numberOf(option: string, text: string, least: number): number {
  const number = Number(text);
  if (text !== '' && Number.isFinite(number) && number >= least) return number;
  usageError(`--${option} must be a number from ${least} on, not "${text}"`);
}

function twinOf(name: string | undefined): TwinName | undefined {
  if (name === undefined || name in TWINS) return name as TwinName | undefined;
  usageError(`no twin "${name}": ${Object.keys(TWINS).join(', ')}`);
}
