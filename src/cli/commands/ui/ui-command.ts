/** `toril ui`: the page, until it is told to stop. */
import type { Command } from 'commander';
import type { Queue } from '../../../jobs/queue.ts';
import {
  addServerFlags,
  memcachedSettings,
  type ServerFlags,
  wholeNumber,
} from '../../flags/flags.ts';
import { asking, closeQuietly, missingText } from '../../servers/connections.ts';
import { EXIT, type ExitWith } from '../../terminal/exit-codes.ts';
import { onceToldToStop } from '../../terminal/signals.ts';
import { note, print, warn } from '../../terminal/terminal.ts';
import { lastingQueue } from '../../ui/lasting-queue.ts';
import { loadHide } from '../../ui/load-hide.ts';
import { serveUi, TOKEN_VARIABLE } from '../../ui/serve-ui.ts';

export const UI_PORT_DEFAULT = 7_777;

interface UiFlags extends ServerFlags {
  readonly host: string;
  readonly port: number;
  readonly readOnly?: boolean;
  readonly hide?: string;
  readonly bullBoard?: string;
}

const EXAMPLES = `
Prints the page's address, with a token in it that signs its reader in; ${TOKEN_VARIABLE} sets a token of
your own (16 characters or more). Everybody who has it may do all that the page can, or, with
--read-only, look. The page is plain HTTP: beyond this machine, put a proxy with TLS before it.
A worker need not run. Every act is noted in Redis with this user's name.

Examples:
  toril ui --queue accounts
  toril ui accounts orders --read-only --port 0
  toril ui --queue accounts --bull-board http://localhost:3000/admin/queues`;

export function addUiCommand(program: Command, exitWith: ExitWith): void {
  const command = program
    .command('ui')
    .description('a page that shows every key, and acts on them')
    .argument('[queues...]', 'names of queues (default: that of --queue)');
  addServerFlags(command)
    .option('--host <address>', 'where it listens', '127.0.0.1')
    .option('--port <n>', '0: one that is free', wholeNumber(0, 65_535), UI_PORT_DEFAULT)
    .option('--read-only', 'nothing can be done, only looked at')
    .option('--hide <file>', 'module that exports hide(value, about): what is shown instead')
    .option('--bull-board <url>', 'where bull-board is, for links to its pages of jobs')
    .addHelpText('after', EXAMPLES)
    .action(async (queues: string[], flags: UiFlags) => {
      exitWith(await serve(queues, flags));
    });
}

async function serve(names: readonly string[], flags: UiFlags): Promise<number> {
  const hide = flags.hide === undefined ? undefined : await loadHide(flags.hide);
  const { bullBoard } = flags;
  const queues: Queue[] = [];
  try {
    for (const queue of names.length > 0 ? new Set(names) : [flags.queue]) {
      const named = { ...flags, queue };
      const opened = await lastingQueue(named);
      queues.push(opened);
      // It may come: the page is often there before the first job.
      if (!(await asking(opened.inRedis.upkeep.isUsed()))) warn(missingText(named));
    }
    const served = await serveUi({
      host: flags.host,
      port: flags.port,
      may: flags.readOnly === true ? 'read' : 'write',
      ui: {
        queues,
        memcached: memcachedSettings(flags),
        ...(hide && { hide }),
        ...(bullBoard !== undefined && { bullBoard }),
      },
    });
    const toldToStop = new Promise((resolve) => onceToldToStop(resolve));
    if (!isLoopback(flags.host)) {
      warn(
        'the page is plain HTTP and can be reached from other machines: its token can be overheard.',
      );
    }
    print(served.address);
    note('Ctrl-C stops it.');
    await toldToStop;
    await served.close();
    return EXIT.done;
  } finally {
    await closeQuietly(...queues);
  }
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.');
}
