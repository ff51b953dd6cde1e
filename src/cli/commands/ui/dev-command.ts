/** `toril dev`: servers, a worker that follows the updates file, and the page, in one command. */
import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { systemClock } from '../../../base/clock.ts';
import { TorilError } from '../../../errors.ts';
import {
  addNamedServers,
  addQueueFlags,
  MEMCACHED_VARIABLE,
  memcachedSettings,
  type QueueFlags,
  REDIS_VARIABLE,
  wholeNumber,
} from '../../flags/flags.ts';
import { ReloadingWorker } from '../../dev/reloading-worker.ts';
import { closeQuietly } from '../../servers/connections.ts';
import { ownServers, type OwnServers } from '../../servers/own-servers.ts';
import type { ExitWith } from '../../terminal/exit-codes.ts';
import { interruptible, whenAborted } from '../../terminal/signals.ts';
import { note, print } from '../../terminal/terminal.ts';
import { lastingQueue } from '../../ui/lasting-queue.ts';
import { serveUi } from '../../ui/serve-ui.ts';
import { UI_PORT_DEFAULT } from './ui-command.ts';

interface DevFlags extends QueueFlags {
  readonly updates: string;
  readonly port: number;
  readonly redis?: string;
  readonly memcached?: string;
}

const EXAMPLES = `
Starts a private Redis and memcached (unless some are named), a worker that is started again whenever
a file beside the updates changes, and the page. Updates run three times each (--verify-updates), and what is
committed is recorded, so that the page shows what each commit changed.
Programs of yours find the servers by the variables that are printed. Ctrl-C ends it all, and the
values with it, if the servers are private.

Examples:
  toril dev --updates updates.mjs --queue accounts`;

export function addDevCommand(program: Command, exitWith: ExitWith): void {
  const command = program
    .command('dev')
    .description('servers, a worker that follows your updates file, and the page')
    .requiredOption('-u, --updates <file>', 'module with the updates (.mjs, .js)');
  addNamedServers(addQueueFlags(command))
    .option(
      '--port <n>',
      'of the page; 0: one that is free',
      wholeNumber(0, 65_535),
      UI_PORT_DEFAULT,
    )
    .addHelpText('after', EXAMPLES)
    .action(async (flags: DevFlags) => {
      exitWith(await interruptible((signal) => develop(flags, signal)));
    });
}

async function develop(flags: DevFlags, signal: AbortSignal): Promise<number> {
  // The worker says what is wrong with a file, and waits for its change; this one may be a misspelt name.
  if (!existsSync(flags.updates)) {
    throw new TorilError(
      'BAD_FILE',
      `there is no file ${flags.updates}; --updates names a module of yours.`,
    );
  }
  const servers = await ownServers(flags, false);
  try {
    return await withServers(flags, servers, signal);
  } finally {
    await servers.stop();
  }
}

async function withServers(
  flags: DevFlags,
  servers: OwnServers,
  signal: AbortSignal,
): Promise<number> {
  const { queue: name, prefix, port, updates } = flags;
  const { redis, memcached } = servers;
  const queue = await lastingQueue({ queue: name, prefix, redis });
  const env = { [REDIS_VARIABLE]: redis, [MEMCACHED_VARIABLE]: memcached };
  let worker: ReloadingWorker | undefined;
  try {
    const served = await serveUi({
      ...{ host: '127.0.0.1', port, may: 'write' },
      ui: { queues: [queue], memcached: memcachedSettings({ memcached }) },
    });
    try {
      const args = ['--queue', name, '--prefix', prefix, '--history', '--verify-updates'];
      worker = new ReloadingWorker({ updates, args, env }, systemClock);
      print(`page: ${served.address}`);
      print(
        `variables: ${REDIS_VARIABLE}=${redis} ${MEMCACHED_VARIABLE}=${memcached} TORIL_QUEUE=${name}`,
      );
      note('Ctrl-C ends it all.');
      return await whenAborted(signal);
    } finally {
      await worker?.stop();
      await served.close();
    }
  } finally {
    await closeQuietly(queue);
  }
}
