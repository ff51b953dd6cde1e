/** `toril trace`: recorded editing histories of real documents as jobs. */
import type { Command } from 'commander';
import { EXIT, type ExitWith } from '../terminal/exit-codes.ts';
import { addJsonFlag, addNamedServers, wholeNumber } from '../flags/flags.ts';
import { ownServers } from '../servers/own-servers.ts';
import { interruptible } from '../terminal/signals.ts';
import { grouped, note, print, printJson } from '../terminal/terminal.ts';
import { isExact, traceReport } from '../trace/report.ts';
import { runTraces } from '../trace/run.ts';
import { readTrace } from '../trace/trace-file.ts';

interface TraceFlags {
  readonly workers: number;
  readonly kill: number;
  readonly record?: string;
  readonly redis?: string;
  readonly memcached?: string;
  readonly json?: boolean;
}

const EXAMPLES = `
FILE is JSON, perhaps gzipped, as in github.com/josephg/editing-traces (sequential_traces):
  { startContent, endContent, txns: [{ patches: [[position, deleteCount, inserted], ...] }] }
Each document becomes a key and each transaction a job; all documents are edited at once by several
worker processes, random ones of which are killed on the way (SIGKILL) and replaced. Then each value
is compared with endContent, byte for byte. Exit code 1 if anything differs or a job fails.

Examples:
  toril trace traces/*.json.gz
  toril trace traces/*.json.gz --workers 4 --kill 3 --json`;

export function addTraceCommand(program: Command, exitWith: ExitWith): void {
  const command = program
    .command('trace')
    .description('replay recorded editing of documents, and compare what comes out')
    .argument('<file...>')
    .option('--workers <n>', 'worker processes', wholeNumber(1, 64), 4)
    .option('--kill <n>', 'how many workers are killed on the way', wholeNumber(0, 1_000), 3)
    .option('--record <file>', 'write the history of the run, for toril replay');
  addJsonFlag(addNamedServers(command))
    .addHelpText('after', EXAMPLES)
    .action(async (files: string[], flags: TraceFlags) => {
      exitWith(await interruptible((signal) => trace(files, flags, signal)));
    });
}

async function trace(
  files: readonly string[],
  flags: TraceFlags,
  signal: AbortSignal,
): Promise<number> {
  const traces = await Promise.all(files.map(readTrace));
  const servers = await ownServers(flags, false);
  try {
    const edits = traces.reduce((sum, { transactions }) => sum + transactions.length, 0);
    note(
      `${flags.workers} worker processes, ${grouped(edits)} edits of ${traces.length} documents`,
    );
    const { workers } = flags;
    const result = await runTraces(traces, flags, servers, signal);
    if (flags.json === true) printJson({ ok: isExact(result), workers, ...result });
    else print(traceReport(result));
    return isExact(result) ? EXIT.done : EXIT.checkFailed;
  } finally {
    await servers.stop();
  }
}
