/** `toril compare`: two versions of the updates on the same recorded traffic. */
import type { Command } from 'commander';
import { compare, type CompareReport } from '../../../history/compare/compare.ts';
import type { FieldReport, UpdateReport } from '../../../history/compare/tally.ts';
import { checkKey } from '../../../key.ts';
import { EXIT, type ExitWith } from '../../terminal/exit-codes.ts';
import { addJsonFlag, share } from '../../flags/flags.ts';
import { loadUpdates } from '../../flags/load-updates.ts';
import { startProgress } from '../../terminal/progress.ts';
import { inputOf } from '../../recordings/recording-input.ts';
import { colours, grouped, print, printJson, sheet } from '../../terminal/terminal.ts';

/** Fields of an update that are told; --json has all. */
const FIELDS_TOLD = 10;
const VALUE_MAX = 80;

interface CompareFlags {
  readonly old: string;
  readonly new: string;
  readonly ignore: readonly string[];
  readonly key?: string;
  readonly sample?: number;
  readonly json?: boolean;
}

const EXAMPLES = `
Both versions are given every job of the recording, each going on from its own value; so the report has
the work of the new rule, not only where it begins. Nothing is written anywhere. A job is blamed for a
field only if it changed the difference there. Strict updates are not run: both go on from what was
recorded.

Exit code 0: nothing differs; 1: something does; 7: nothing differs, but some commits could not be
given to both; 2: the file is damaged.

Examples:
  toril compare accounts.jsonl --old main/updates.mjs --new updates.mjs
  toril compare accounts.jsonl --old main/updates.mjs --new updates.mjs --ignore .updatedAt --ignore '.lines[].at'
  toril compare accounts.jsonl --old main/updates.mjs --new updates.mjs --sample 0.1 --json`;

export function addCompareCommand(program: Command, exitWith: ExitWith): void {
  const command = program
    .command('compare')
    .description('what a new version of the updates would have made of recorded traffic')
    .argument('<file>', 'what toril record wrote; - for standard input')
    .requiredOption('--old <file>', 'module with the updates as they are')
    .requiredOption('--new <file>', 'module with the updates as they shall be')
    .option(
      '--ignore <field>',
      'may differ, with all below it; may be given several times',
      gather,
      [],
    )
    .option('-k, --key <key>', 'only this key')
    .option('--sample <share>', 'of the keys, from above 0 to 1, always the same ones', share);
  addJsonFlag(command)
    .addHelpText('after', EXAMPLES)
    .action(async (file: string, flags: CompareFlags) => {
      exitWith(await compareFile(file, flags));
    });
}

async function compareFile(file: string, flags: CompareFlags): Promise<number> {
  if (flags.key !== undefined) checkKey(flags.key);
  const [old, now] = [await loadUpdates(flags.old), await loadUpdates(flags.new)];
  const progress = startProgress('comparing', 0, 'commits');
  let report: CompareReport;
  try {
    report = await compare(inputOf(file), {
      old,
      new: now,
      ignore: flags.ignore,
      key: flags.key,
      sample: flags.sample,
      onProgress: (commits) => progress.update(commits),
    });
  } finally {
    progress.stop();
  }
  if (flags.json === true) printJson(report);
  else print(compareText(report));
  const codes = { same: EXIT.done, differs: EXIT.checkFailed, 'not-compared': EXIT.notChecked };
  return codes[report.verdict];
}

function compareText(report: CompareReport): string {
  const { keys, differingKeys, commits, compared, repeatedByOld, updates } = report;
  const { red, green, yellow } = colours.out;
  const rows: [string, string | number][] = [
    ['queue', report.recording.queue],
    ['keys', keys],
    ['of these differing', differingKeys],
    ['commits', commits],
    ['of these given to both', compared],
    ['as recorded with --old', repeatedByOld],
  ];
  const verdicts = {
    same: green('Nothing differs.'),
    differs: red(`${grouped(differingKeys)} of ${grouped(keys)} keys differ.`),
    'not-compared': yellow(
      `NOT COMPARED: ${grouped(commits - compared)} of ${grouped(commits)} commits. Nothing else differs.`,
    ),
  };
  const doubt =
    repeatedByOld < compared
      ? [yellow('--old does not give what was recorded everywhere: is it what was run?')]
      : [];
  return [...updates.flatMap(updateLines), sheet(rows), ...doubt, verdicts[report.verdict]].join(
    '\n',
  );
}

function updateLines(update: UpdateReport): string[] {
  const { differ, jobs, failOnlyOld, failOnlyNew, failure, fields } = update;
  const { bold } = colours.out;
  const lines = [`${bold(update.update)}: ${grouped(differ)} of ${grouped(jobs)} jobs differ`];
  if (failOnlyOld > 0) lines.push(`  ${grouped(failOnlyOld)} fail with --old only`);
  if (failOnlyNew > 0) lines.push(`  ${grouped(failOnlyNew)} fail with --new only`);
  if (failure !== undefined) {
    const { job, key, line, message } = failure;
    lines.push(`    first: job ${job.id} of ${key} at line ${line}: ${message}`);
  }
  lines.push(...fields.slice(0, FIELDS_TOLD).flatMap(fieldLines));
  const more = fields.length - FIELDS_TOLD;
  if (more > 0) lines.push(`  and ${grouped(more)} more fields (--json has all)`);
  return lines;
}

function fieldLines({ field, jobs, sum, max, worst }: FieldReport): string[] {
  const name = field === '' ? 'the value' : field;
  const much = sum === 0 && max === 0 ? '' : `, ${signed(sum)} in all, ${signed(max)} at most`;
  const { job, key, line } = worst;
  return [
    `  ${name}: ${grouped(jobs)} jobs${much}`,
    `    e.g. job ${job.id} of ${key} at line ${line}: ${short(worst.old)} → ${short(worst.new)}`,
  ];
}

function signed(number: number): string {
  const rounded = Number(number.toPrecision(12));
  return rounded > 0 ? `+${rounded}` : String(rounded);
}

function short(value: unknown): string {
  const text = value === undefined ? 'nothing' : JSON.stringify(value);
  return text.length > VALUE_MAX ? `${text.slice(0, VALUE_MAX)}…` : text;
}

function gather(field: string, before: readonly string[]): string[] {
  return [...before, field];
}
