/** `toril get`: what memcached has under some keys. Needs no Redis. */
import type { Command } from 'commander';
import { Cells, type CellState } from '../../cells/cells.ts';
import { closeQuietly } from '../servers/connections.ts';
import { EXIT, type ExitWith } from '../terminal/exit-codes.ts';
import { reportFailure } from '../terminal/failure.ts';
import { addJsonFlag, addMemcachedFlags, type MemcachedFlags } from '../flags/flags.ts';
import { openMemcached } from '../servers/memcached.ts';
import { note, print, printJson } from '../terminal/terminal.ts';

interface GetFlags extends MemcachedFlags {
  readonly json?: boolean;
}

const EXAMPLES = `
Prints each value as JSON, one line per key. A key without a value is told on standard error, and
the exit code is 4. A cell that memcached has lost reads as no value until its key's next update
restores it; "toril lane KEY" shows the copy in Redis.

Examples:
  toril get account-1
  toril get account-1 account-2 --json | jq .value.balance
  toril get account-1 --memcached 10.0.0.6:11211,10.0.0.7:11211`;

export function addGetCommand(program: Command, exitWith: ExitWith): void {
  const command = program
    .command('get')
    .description('print the values of keys')
    .argument('<key...>');
  addJsonFlag(addMemcachedFlags(command))
    .addHelpText('after', EXAMPLES)
    .action(async (keys: string[], flags: GetFlags) => {
      exitWith(await get(keys, flags));
    });
}

async function get(keys: readonly string[], flags: GetFlags): Promise<number> {
  const servers = openMemcached(flags);
  const cells = new Cells(servers);
  let exitCode: number = EXIT.done;
  // All at once: a server that is away is waited for once, not for each of its keys.
  const read = await Promise.allSettled(keys.map((key) => cells.read(key)));
  for (const [at, one] of read.entries()) {
    if (one.status === 'rejected') {
      exitCode = reportFailure(one.reason); // the other keys may be well
      continue;
    }
    const code = show(keys[at] as string, one.value, flags.json === true);
    if (exitCode === EXIT.done) exitCode = code;
  }
  await closeQuietly(servers);
  return exitCode;
}

function show(key: string, cell: CellState<unknown> | undefined, json: boolean): number {
  if (cell?.value === undefined) {
    if (json) printJson({ key, found: false });
    else note(`${key}: no value`);
    return EXIT.nothing;
  }
  if (json) printJson({ key, found: true, ...cell });
  else print(JSON.stringify(cell.value));
  return EXIT.done;
}
