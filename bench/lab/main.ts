/** `npm run lab`: the locking schemes that people try, under the same load; ends with 1 if Toril failed. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { Command, Option } from 'commander';
import { isFlawless } from '../chain-audit.ts';
import { withSection } from '../docs.ts';
import { enter } from '../front-door.ts';
import { describeMachine } from '../machine.ts';
import { progressOn } from '../progress.ts';
import { Stage } from '../stage.ts';
import { markdownOf, tablesOf } from '../table.ts';
import { wholeNumber, wholeNumbers } from '../whole-number.ts';
import { labChartOf } from './chart.ts';
import { SITUATIONS, type Situation } from './faults.ts';
import { type Lab, withLab } from './lab.ts';
import { percentText, sharesOf, sheetOf } from './report.ts';
import { SCHEME_NAMES, type SchemeName, schemeOf } from './schemes/schemes.ts';
import { runTrial, type Trial } from './trial.ts';

interface Given {
  readonly clients?: number[];
  readonly updates: number;
  readonly schemes: SchemeName[];
  readonly situations: Situation[];
  readonly hosts: number;
  readonly runs: number;
  readonly with?: string[];
  readonly json?: string;
  readonly writeDocs?: true;
}

const CROWDS = [10, 100, 1_000];
const PAGE = new URL('../../docs/lab.md', import.meta.url);
const CHART = new URL('../../docs/lab.svg', import.meta.url);
const progress = progressOn(process.stderr, 'lab');

async function main(): Promise<number> {
  const given = parse(process.argv.slice(2));
  return withLab(async (lab) => {
    const machine = await machineOf(lab);
    const before = (given.with ?? []).flatMap(readTrials);
    const trials = [...before, ...(await runAll(lab, given))];
    process.stdout.write(`${machine}\n\n${tablesOf([sheetOf(trials)])}\n`);
    if (given.json !== undefined) {
      writeFileSync(given.json, `${JSON.stringify(trials, null, 2)}\n`);
    }
    if (given.writeDocs) writeDocs(trials, machine);
    return trials.some(torilFailed) ? 1 : 0;
  });
}

function readTrials(file: string): Trial[] {
  return JSON.parse(readFileSync(file, 'utf8')) as Trial[];
}

function torilFailed(trial: Trial): boolean {
  return trial.scheme === 'toril' && (!isFlawless(trial) || trial.wedged);
}

async function runAll(
  lab: Lab,
  { hosts, updates, runs, clients: crowds = CROWDS, ...chosen }: Given,
): Promise<Trial[]> {
  const trials: Trial[] = [];
  for (const clients of crowds) {
    for (const situation of chosen.situations) {
      for (const scheme of chosen.schemes) {
        if (situation === 'lock evicted' && schemeOf(scheme).lock === 'none') continue;
        for (let run = 0; run < runs; run++) {
          const { title } = schemeOf(scheme);
          const what = `${clients} clients, ${situation}, ${title}`;
          progress.now(what);
          const trial = await runTrial(lab, { scheme, clients, situation, updates, hosts });
          trials.push(trial);
          progress.say(`${what}: ${outcomeOf(trial)}`);
        }
      }
    }
  }
  return trials;
}

function outcomeOf(trial: Trial): string {
  const { lost, doubled, reordered } = sharesOf([trial]);
  const shares = [lost, doubled, reordered].map(percentText).join(' / ');
  return `${shares} % lost / doubled / reordered, ${trial.seconds.toFixed(1)} s${trial.wedged ? ', wedged' : ''}`;
}

async function machineOf({ launcher, site }: Lab): Promise<string> {
  const stage = await Stage.open(site, launcher);
  try {
    return await describeMachine(stage);
  } finally {
    await stage.close();
  }
}

function writeDocs(trials: readonly Trial[], machine: string): void {
  const page = existsSync(PAGE) ? readFileSync(PAGE, 'utf8') : '# The lab\n';
  const counts = [...new Set(trials.map(({ updates }) => updates.toLocaleString('en')))];
  const section = [
    '',
    `${machine}. Updates per trial: ${counts.join(', ')}.`,
    '',
    markdownOf(sheetOf(trials)),
    '',
  ];
  writeFileSync(PAGE, `${withSection(page, 'lab', section).trimEnd()}\n`);
  writeFileSync(CHART, labChartOf(trials));
}

function parse(words: readonly string[]): Given {
  return new Command('npm run lab --')
    .description('What becomes of a shared value under the locking schemes that people try.')
    .option('--clients <number...>', `simultaneous clients (${CROWDS.join(', ')})`, wholeNumbers)
    .option('--updates <number>', 'of all clients together', wholeNumber, 2_000)
    .addOption(new Option('--schemes <name...>').choices(SCHEME_NAMES).default(SCHEME_NAMES))
    .addOption(new Option('--situations <name...>').choices(SITUATIONS).default(SITUATIONS))
    .option('--hosts <number>', 'processes that share the clients', wholeNumber, hostsHere())
    .option('--runs <number>', 'of each, taken together', wholeNumber, 1)
    .option('--with <file...>', 'report the trials of earlier runs, too (what --json wrote)')
    .option('--json <file>', 'write one object per trial, as a JSON array')
    .option('--write-docs', 'write the tables into docs/lab.md, and docs/lab.svg')
    .addHelpText(
      'after',
      [
        '',
        'Examples:',
        '  npm run lab -- --clients 10 --situations calm --json calm.json',
        '  npm run lab -- --clients 10 --situations pause --with calm.json --write-docs',
        '  npm run lab -- --clients 1000 --schemes add-spin toril --situations pause crash',
      ].join('\n'),
    )
    .parse(words, { from: 'user' })
    .opts<Given>();
}

/** At least two, so that clients really run at the same time. */
function hostsHere(): number {
  return Math.max(2, Math.min(4, availableParallelism()));
}

await enter('lab', main);
