/** `toril servers`: which memcached servers a queue's values live on, and changing that deliberately. */
import type { Command } from 'commander';
import { messageOf, TorilError } from '../../errors.ts';
import type { Queue } from '../../jobs/queue.ts';
import type { MemcachedServer } from '../../memcached/server.ts';
import { asking, closeQuietly, openQueue } from '../servers/connections.ts';
import { EXIT, type ExitWith } from '../terminal/exit-codes.ts';
import { addJsonFlag, addServerFlags, type ServerFlags } from '../flags/flags.ts';
import { openMemcached } from '../servers/memcached.ts';
import { print, printJson, sheet, warn } from '../terminal/terminal.ts';

interface ServersFlags extends ServerFlags {
  readonly accept?: boolean;
  readonly force?: boolean;
  readonly json?: boolean;
}

const EXAMPLES = `
Workers with another list than the registered one refuse to start: two lists would keep two locks
for one key. To change the list, stop all workers, say --accept with the new list, start them again.
Each key's value moves by way of its copy in Redis, with its next job; without durable copies the
values of keys that move are lost. Exit code 3 if the lists differ.

Examples:
  toril servers --queue accounts --memcached 10.0.0.6,10.0.0.7
  toril servers --queue accounts --memcached 10.0.0.6,10.0.0.7,10.0.0.8 --accept`;

export function addServersCommand(program: Command, exitWith: ExitWith): void {
  const command = program
    .command('servers')
    .description('show or replace the memcached servers registered for a queue');
  addJsonFlag(addServerFlags(command))
    .option('--accept', 'register the given list instead')
    .option('--force', 'also if workers seem to be running')
    .addHelpText('after', EXAMPLES)
    .action(async (flags: ServersFlags) => {
      exitWith(await servers(flags));
    });
}

async function servers(flags: ServersFlags): Promise<number> {
  const memcached = openMemcached(flags);
  const given = memcached.fingerprint;
  const queue = await openQueue(flags, { isReadOnly: flags.accept !== true });
  try {
    // Unlike a worker that starts, it registers none.
    const registered = await asking(queue.inRedis.servers.read());
    if (flags.accept === true && registered !== given) {
      if (registered !== undefined) await refuseIfWorking(queue, flags.force === true);
      await asking(queue.inRedis.servers.replace(given));
      report(flags, given, given, await Promise.all(memcached.all.map(lookedAt)));
      return EXIT.done;
    }
    report(flags, registered, given, await Promise.all(memcached.all.map(lookedAt)));
    return registered === undefined || registered === given ? EXIT.done : EXIT.server;
  } finally {
    await closeQuietly(queue, memcached);
  }
}

interface LookedAt {
  readonly server: string;
  readonly version?: string;
  readonly protocol?: string;
  /** Why it cannot be used now. */
  readonly error?: string;
}

async function lookedAt(memcached: MemcachedServer): Promise<LookedAt> {
  const server = memcached.address;
  try {
    await memcached.connection();
    const { version, protocol } = memcached.facts ?? {};
    return { server, ...(version && { version }), ...(protocol && { protocol }) };
  } catch (error) {
    return { server, error: messageOf(error) };
  }
}

function report(
  flags: ServersFlags,
  registered: string | undefined,
  given: string,
  servers: readonly LookedAt[],
): void {
  if (flags.json === true) {
    printJson({ queue: flags.queue, registered: registered ?? null, given, servers });
    return;
  }
  print(
    sheet([
      ['queue', flags.queue],
      ['registered', registered ?? 'none yet: the first worker registers its own'],
      ['given here', given === registered ? 'the same' : given],
      ...servers.map(({ server, version, protocol, error }): [string, string] => [
        server,
        error ?? `memcached ${version}, protocol ${protocol}`,
      ]),
    ]),
  );
}

/** A worker that runs on with the old list would keep locks where nobody looks any more. */
async function refuseIfWorking(queue: Queue, force: boolean): Promise<void> {
  const count = force ? 0 : await asking(queue.getWorkersCount());
  if (count > 0) {
    throw new TorilError(
      'SERVER_LIST_CHANGED',
      `${count} workers of "${queue.name}" are connected to Redis. Stop them first; with --force the list is replaced in spite of them.`,
    );
  }
  warn('workers that still run with the old list must be stopped before any new one starts.');
}
