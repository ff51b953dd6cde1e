#!/usr/bin/env node
/** The `toril` binary: runs one command and ends with its exit code. */
import { reportFailure } from './terminal/failure.ts';
import { runCommand } from './program.ts';
import { endWithTheReader, flushed } from './terminal/terminal.ts';

endWithTheReader();
process.on('uncaughtException', (thrown) => process.exit(reportFailure(thrown)));
const exitCode = await runCommand(process.argv.slice(2));
await flushed();
// Whatever the code in --updates has open does not keep a command from ending.
process.exit(exitCode);
