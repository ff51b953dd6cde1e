/** `toril fixture`: a recording, and the test that replays it. */
import { basename } from 'node:path';
import { type Command, Option } from 'commander';
import { TorilError } from '../../../errors.ts';
import { Masking } from '../../../history/recording/mask.ts';
import type { ReplayReport } from '../../../history/replay/report.ts';
import { loadMask } from '../../flags/load-mask.ts';
import { loadUpdates } from '../../flags/load-updates.ts';
import { TEST_RUNNERS, type TestRunner } from '../../recordings/fixture/test-runner.ts';
import { type Fixture, writeFixture } from '../../recordings/fixture/write-fixture.ts';
import { inputOf, STANDARD_INPUT } from '../../recordings/recording-input.ts';
import { replayText, unknownUpdatesText } from '../../recordings/replay-text.ts';
import { EXIT, type ExitWith, exitCodeFor } from '../../terminal/exit-codes.ts';
import { noteError } from '../../terminal/failure.ts';
import { startProgress } from '../../terminal/progress.ts';
import { interruptible } from '../../terminal/signals.ts';
import { grouped, note, print, warn } from '../../terminal/terminal.ts';

interface FixtureFlags {
  readonly out: string;
  readonly updates: string;
  readonly mask?: string;
  readonly name?: string;
  readonly runner?: TestRunner;
  readonly force?: boolean;
}

const EXAMPLES = `
Writes NAME.jsonl.gz, the recording, and NAME.test.js (.mjs, .ts), a test that replays it with the updates
and is green as it stands: both, or nothing. They are what the updates do today; if the recording does
not agree with them, nothing is written (exit code 1), since such a test would be red.

With --mask, data and values go through your module first (as in toril record), and the values are
recomputed from them. Keys are not masked. Cut a large recording down before: toril slice, toril shrink.

Examples:
  toril fixture accounts.jsonl --updates updates.mjs --out test/fixtures
  toril fixture accounts.jsonl --updates updates.mjs --mask mask.mjs --out test/fixtures --runner node`;

const RUN: Readonly<Record<TestRunner, string>> = {
  vitest: 'npx vitest run',
  jest: 'NODE_OPTIONS=--experimental-vm-modules npx jest',
  node: 'node --test',
};

export function addFixtureCommand(program: Command, exitWith: ExitWith): void {
  program
    .command('fixture')
    .description('a recording as a test for vitest, Jest or Node')
    .argument('<file>', 'what toril record wrote; - for standard input')
    .requiredOption('-o, --out <folder>', 'where both files go; it is made if it is not there')
    .requiredOption('-u, --updates <file>', 'module with the updates, which the test imports')
    .option('--mask <file>', 'module that takes secrets out')
    .option('--name <name>', "of both files, without endings (default: the recording's)")
    .addOption(
      new Option('--runner <runner>', 'default: what the project depends on, else node').choices(
        TEST_RUNNERS,
      ),
    )
    .option('--force', 'replace files that are there')
    .addHelpText('after', EXAMPLES)
    .action(async (file: string, flags: FixtureFlags) => {
      exitWith(await interruptible((signal) => fixture(file, flags, signal)));
    });
}

async function fixture(file: string, flags: FixtureFlags, signal: AbortSignal): Promise<number> {
  const name = flags.name ?? nameOf(file);
  if (!/^[\w.-]+$/.test(name) || name.startsWith('.')) {
    throw new TorilError(
      'INVALID_OPTIONS',
      `${JSON.stringify(name)} is no name for a fixture. Give it one of letters, digits, dots and dashes with --name.`,
    );
  }
  const updates = await loadUpdates(flags.updates);
  const mask = flags.mask === undefined ? undefined : await loadMask(flags.mask);
  const progress = startProgress('copying', 0, 'commits');
  let written: Fixture | ReplayReport;
  try {
    written = await writeFixture({
      ...{ recording: inputOf(file), folder: flags.out, name, updates, signal },
      updatesFile: flags.updates,
      masking: mask && new Masking(mask, updates),
      runner: flags.runner,
      isForced: flags.force === true,
      onProgress: (commits) => progress.update(commits),
    });
  } finally {
    progress.stop();
  }
  return 'testFile' in written ? told(written) : refused(written);
}

function told({ report, recordingFile, testFile, runner, allowUnchecked }: Fixture): number {
  const { commits, jobs, keys } = report;
  print(
    `${recordingFile}: ${grouped(commits)} commits, ${grouped(jobs)} jobs, ${grouped(keys.length)} keys`,
  );
  print(`${testFile}: ${runOf(runner, testFile)} ${testFile}`);
  if (allowUnchecked.length > 0) {
    warn(
      `not all of it can be checked; the test lets that pass (allowUnchecked: ${allowUnchecked.join(', ')}).`,
    );
  }
  return EXIT.done;
}

/** Node 20 needs a loader for TypeScript. */
function runOf(runner: TestRunner, testFile: string): string {
  return runner === 'node' && testFile.endsWith('.ts') ? 'node --import tsx --test' : RUN[runner];
}

function refused(report: ReplayReport): number {
  print(replayText(report));
  note('Nothing was written: the test would not be green.');
  if (report.unknownUpdates.length > 0) {
    noteError('UNKNOWN_UPDATE', unknownUpdatesText(report.unknownUpdates));
    return exitCodeFor('UNKNOWN_UPDATE');
  }
  return report.verdict === 'differs' ? EXIT.checkFailed : EXIT.notChecked;
}

function nameOf(file: string): string {
  return file === STANDARD_INPUT ? 'recording' : basename(file).replace(/(\.jsonl)?(\.gz)?$/, '');
}
