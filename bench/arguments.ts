/** What can be said on the command line. */
import { Command, Option } from 'commander';
import type { CellFilter } from './bench.ts';
import { FAMILY_NAMES, type FamilyName, familyOf } from './families/families.ts';
import { SYSTEM_NAMES, type SystemName } from './systems.ts';
import { wholeNumber, wholeNumbers } from './whole-number.ts';

export interface Arguments {
  readonly families: readonly FamilyName[];
  /** Empty: all. */
  readonly systems: readonly SystemName[];
  readonly quick: boolean;
  readonly runs: number;
  readonly jobs: number | undefined;
  /** That a slow system may take for one run. */
  readonly slowRunSeconds: number;
  readonly cells: CellFilter;
  readonly json: string | undefined;
  readonly svg: string | undefined;
  readonly writeDocs: boolean;
}

interface Given {
  readonly quick?: true;
  readonly all?: true;
  readonly scorecard?: true;
  readonly only?: FamilyName[];
  readonly systems?: SystemName[];
  readonly runs?: number;
  readonly jobs?: number;
  readonly slowSeconds?: number;
  readonly keys?: number[];
  readonly concurrency?: number[];
  readonly processes?: number[];
  readonly json?: string;
  readonly svg?: string;
  readonly writeDocs?: true;
}

const RUNS = 5;
const RUNS_QUICK = 3;
const SLOW_RUN_SECONDS = 4;
const SLOW_RUN_SECONDS_QUICK = 1;
const ALL_CELLS: CellFilter = { keys: [], concurrency: [], processes: [] };
const SCORED_CELLS: CellFilter = { keys: [1, 0], concurrency: [32], processes: [1] };

export function parseArguments(words: readonly string[]): Arguments {
  const command = new Command('npm run bench --')
    .description('Measures Toril beside BullMQ and beside other ways of keeping a value right.')
    .option('--quick', 'fewer jobs, fewer runs: under 3 minutes')
    .option('--all', 'the parts that take long, too')
    .option(
      '--scorecard',
      'the parts that have figures to reach, and no more of the matrix than that',
    )
    .addOption(new Option('--only <part...>', 'only these parts').choices(FAMILY_NAMES))
    .addOption(new Option('--systems <name...>', 'only these systems').choices(SYSTEM_NAMES))
    .option('--runs <number>', `measured runs of each system, ${RUNS} by default`, wholeNumber)
    .option('--jobs <number>', 'jobs per run, instead of what each part says', wholeNumber)
    .option(
      '--slow-seconds <number>',
      `what a run of a slow system takes, about: it does as many jobs, ${SLOW_RUN_SECONDS} by default`,
      wholeNumber,
    )
    .option('--keys <number...>', 'of the matrix, only these; all: every key different', keyNumbers)
    .option('--concurrency <number...>', 'of the matrix, only these', wholeNumbers)
    .option('--processes <number...>', 'of the matrix, only these', wholeNumbers)
    .option('--json <file>', 'write one object per row, as a JSON array')
    .option('--svg <file>', 'write a chart')
    .option('--write-docs', 'write the tables into docs/performance.md')
    .addHelpText(
      'after',
      [
        '',
        'Examples:',
        '  npm run bench -- --quick',
        '  npm run bench -- --scorecard --write-docs',
        '  npm run bench -- --only gate enqueue --json result.json',
        '  npm run bench -- --only matrix --systems toril groupmq --svg chart.svg',
        '  npm run bench -- --only matrix --systems toril --keys 1 all --processes 2 --runs 3',
      ].join('\n'),
    )
    .parse(words, { from: 'user' });
  return argumentsOf(command.opts<Given>());
}

export function argumentsOf(given: Given): Arguments {
  const { quick = false, all = false, scorecard = false } = given;
  const { only, systems = [], runs, jobs, slowSeconds, json, svg } = given;
  const { keys, concurrency, processes } = { ...(scorecard ? SCORED_CELLS : ALL_CELLS), ...given };
  const families =
    only ??
    FAMILY_NAMES.filter((name) => {
      const { onlyWhenAsked, isScored } = familyOf(name);
      return scorecard ? isScored : all || onlyWhenAsked === undefined;
    });
  return {
    // In the order of the bench, whatever the order on the command line.
    families: FAMILY_NAMES.filter((name) => families.includes(name)),
    systems,
    quick,
    runs: runs ?? (quick ? RUNS_QUICK : RUNS),
    jobs,
    slowRunSeconds: slowSeconds ?? (quick ? SLOW_RUN_SECONDS_QUICK : SLOW_RUN_SECONDS),
    cells: { keys, concurrency, processes },
    json,
    svg,
    writeDocs: given.writeDocs ?? false,
  };
}

function keyNumbers(text: string, before: readonly number[] = []): number[] {
  return [...before, text === 'all' ? 0 : wholeNumber(text)];
}
