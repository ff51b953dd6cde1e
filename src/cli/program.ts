/** All commands of `toril`. */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { addCompareCommand } from './commands/recordings/compare-command.ts';
import { addDemoCommand } from './commands/demo-command.ts';
import { addEnqueueCommand } from './commands/enqueue-command.ts';
import { EXIT, type ExitWith } from './terminal/exit-codes.ts';
import { reportFailure } from './terminal/failure.ts';
import { addFixtureCommand } from './commands/recordings/fixture-command.ts';
import { addGetCommand } from './commands/get-command.ts';
import { addLaneCommand } from './commands/lane-command.ts';
import { addLoadCommand } from './commands/recordings/load-command.ts';
import { addDoctorCommand } from './commands/operate/doctor-command.ts';
import { addLanesCommand } from './commands/operate/lanes-command.ts';
import { addStatusCommand } from './commands/operate/status-command.ts';
import { addWhyCommand } from './commands/operate/why-command.ts';
import { addRecordCommand } from './commands/recordings/record-command.ts';
import { addReplayCommand } from './commands/recordings/replay-command.ts';
import { addShrinkCommand, addSliceCommand } from './commands/recordings/slice-command.ts';
import { addServersCommand } from './commands/servers-command.ts';
import { addTraceCommand } from './commands/trace-command.ts';
import { addDevCommand } from './commands/ui/dev-command.ts';
import { addUiCommand } from './commands/ui/ui-command.ts';
import { addWorkerCommand } from './commands/worker-command.ts';

const EPILOGUE = `
Exit codes:
  0 done                              4 not there (no value, lane not held, no copy)
  1 a check failed                    5 the stored value cannot be used as it is
  2 wrong usage or bad input          6 no lease in time, or an outcome is unknown
  3 a server is missing or refuses    7 a replay could not check everything
                                     70 internal error (DEBUG=toril shows where)

Examples:
  toril demo
  toril worker --updates updates.mjs --queue accounts
  toril enqueue deposit '{"account":"a-1","cents":500}' --queue accounts --updates updates.mjs
  toril get a-1`;

/** Runs the command that `args` name, and returns its exit code. Never throws. */
export async function runCommand(args: readonly string[]): Promise<number> {
  let exitCode: number = EXIT.done;
  try {
    await createProgram((code) => (exitCode = code)).parseAsync(args, { from: 'user' });
  } catch (thrown) {
    return reportFailure(thrown);
  }
  return exitCode;
}

/** What can be said on the command line. */
export function createProgram(exitWith: ExitWith): Command {
  const program = new Command('toril')
    .description(
      'BullMQ workers that change shared memcached values: in order, exactly once, under a lease.',
    )
    .version(version(), '-V, --version')
    .showHelpAfterError('Add --help to see what there is.')
    .exitOverride()
    .addHelpText('after', EPILOGUE);
  addWorkerCommand(program, exitWith);
  addEnqueueCommand(program, exitWith);
  addGetCommand(program, exitWith);
  addLaneCommand(program, exitWith);
  addStatusCommand(program, exitWith);
  addLanesCommand(program, exitWith);
  addWhyCommand(program, exitWith);
  addDoctorCommand(program, exitWith);
  addServersCommand(program, exitWith);
  addRecordCommand(program, exitWith);
  addReplayCommand(program, exitWith);
  addCompareCommand(program, exitWith);
  addSliceCommand(program, exitWith);
  addShrinkCommand(program, exitWith);
  addFixtureCommand(program, exitWith);
  addLoadCommand(program, exitWith);
  addTraceCommand(program, exitWith);
  addDemoCommand(program, exitWith);
  addUiCommand(program, exitWith);
  addDevCommand(program, exitWith);
  return program;
}

function version(): string {
  // As far from src/cli as from dist/cli.
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
