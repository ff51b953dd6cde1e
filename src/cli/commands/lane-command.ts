/** `toril lane`: what waits for a key, why it stands still, and an operator's word about it. */
import { type Command, Option } from 'commander';
import { systemClock } from '../../base/clock.ts';
import { systemRandom } from '../../base/random.ts';
import { checkKey } from '../../key.ts';
import type { Queue } from '../../jobs/queue.ts';
import { MemcachedLeaseLocks } from '../../lock/lease-locks.ts';
import type { MemcachedServers } from '../../memcached/servers.ts';
import { trustCell, trustCopy, type TrustEnd } from '../../workers/trust.ts';
import { why } from '../../jobs/reports/why.ts';
import { LaneInspector } from '../../workers/inspecting/inspector.ts';
import { asking, closeQuietly, openQueue } from '../servers/connections.ts';
import { EXIT, type ExitWith } from '../terminal/exit-codes.ts';
import { reportFailure } from '../terminal/failure.ts';
import {
  addJsonFlag,
  addMemcachedFlags,
  addQueueFlags,
  addRedisFlags,
  type MemcachedFlags,
  type QueueFlags,
  type RedisFlags,
  wholeNumber,
} from '../flags/flags.ts';
import { laneTables } from '../lanes/lane-tables.ts';
import { openMemcached } from '../servers/memcached.ts';
import { note, print, printJson } from '../terminal/terminal.ts';

const WAIT_DEFAULT_MS = 30_000;
const WAIT_MAX_MS = 3_600_000;

interface LaneFlags extends QueueFlags, RedisFlags, MemcachedFlags {
  readonly retry?: boolean;
  readonly skip?: boolean;
  readonly drop?: boolean;
  readonly trust?: 'cell' | 'copy';
  readonly waitMs: number;
  readonly json?: boolean;
}

const EXAMPLES = `
Without a flag: shows the lane. A lane is held by a job that has failed for good and whose update
says onExhausted: "hold"; then one of --retry, --skip and --drop makes it go on (a worker carries
it out). --trust is for a lane that stands because cell and copy contradict each other:
  copy   the value in Redis is true: the cell is deleted, and restored from Redis by the next job
  cell   the value in memcached is true: Redis takes it over (after REDIS_WENT_BACK)
Both wait for the key's lease first, so that they can be said while workers run.

Examples:
  toril lane account-1 --queue accounts
  toril lane account-1 --queue accounts --drop
  toril lane account-1 --queue accounts --trust cell`;

const ACTIONS = ['retry', 'skip', 'drop', 'trust'] as const;

export function addLaneCommand(program: Command, exitWith: ExitWith): void {
  const command = program
    .command('lane')
    .description('show what waits for a key, and make it go on')
    .argument('<key>');
  addJsonFlag(addMemcachedFlags(addRedisFlags(addQueueFlags(command))))
    .addOption(action('--retry', 'try the job that holds the lane again'))
    .addOption(action('--skip', "send it to the lane's end, and go on"))
    .addOption(action('--drop', 'fail it for good, and go on'))
    .addOption(action('--trust <which>', 'settle which value is true').choices(['cell', 'copy']))
    .option(
      '--wait-ms <ms>',
      "how long --trust waits for the key's lease",
      wholeNumber(0, WAIT_MAX_MS),
      WAIT_DEFAULT_MS,
    )
    .addHelpText('after', EXAMPLES)
    .action(async (key: string, flags: LaneFlags) => {
      exitWith(await lane(key, flags));
    });
}

/** One of them at a time. */
function action(flag: string, description: string): Option {
  const own = /^--(\w+)/.exec(flag)?.[1];
  return new Option(flag, description).conflicts(ACTIONS.filter((name) => name !== own));
}

async function lane(key: string, flags: LaneFlags): Promise<number> {
  checkKey(key);
  const servers = openMemcached(flags);
  const queue = await openQueue(flags);
  try {
    if (flags.trust !== undefined) return await trust(flags.trust, key, queue, servers, flags);
    const directive = (['retry', 'skip', 'drop'] as const).find((name) => flags[name] === true);
    if (directive !== undefined) return await direct(directive, key, queue, flags);
    return await show(key, queue, servers, flags);
  } finally {
    await closeQuietly(queue, servers);
  }
}

async function show(
  key: string,
  queue: Queue,
  servers: MemcachedServers,
  flags: LaneFlags,
): Promise<number> {
  const report = await asking(new LaneInspector(queue, servers).inspect(key));
  if (flags.json === true) printJson({ ...report, why: why(report) });
  else print(laneTables(report, report.cell));
  return EXIT.done;
}

async function direct(
  directive: 'retry' | 'skip' | 'drop',
  key: string,
  queue: Queue,
  flags: LaneFlags,
): Promise<number> {
  const jobId = await asking(queue.lane(key)[directive]());
  if (flags.json === true) printJson({ key, jobId, directive });
  else print(`${directive} job ${jobId}: the next worker that receives it carries it out`);
  return EXIT.done;
}

async function trust(
  which: 'cell' | 'copy',
  key: string,
  queue: Queue,
  servers: MemcachedServers,
  flags: LaneFlags,
): Promise<number> {
  const locks = new MemcachedLeaseLocks({ clock: systemClock, random: systemRandom });
  const { lanesInRedis: lanes, qualifiedName } = queue;
  const context = {
    queue: qualifiedName,
    servers,
    locks,
    lanes,
    clock: systemClock,
    waitMs: flags.waitMs,
  };
  try {
    const settle = which === 'cell' ? trustCell : trustCopy;
    return reportTrust(key, await asking(settle(context, key)), flags.json === true);
  } finally {
    await closeQuietly(locks);
  }
}

function reportTrust(key: string, end: TrustEnd, json: boolean): number {
  if (end.kind === 'unusable') return reportFailure(end.cause);
  if (json) printJson({ key, ...end });
  switch (end.kind) {
    case 'copy-trusted':
      if (!json) print(`the cell is deleted; the next job restores it from commit ${end.token}`);
      return EXIT.done;
    case 'cell-trusted':
      if (!json) print(`the copy is now the cell's commit ${end.token}`);
      return EXIT.done;
    case 'copy-is-newer':
      note(`${key}: the copy in Redis is as new as the cell or newer; workers trust it anyway`);
      return EXIT.nothing;
    case 'no-cell':
      note(`${key}: there is no cell, so the copy is trusted anyway; nothing was changed`);
      return EXIT.nothing;
    case 'no-copy':
      note(
        `${key}: Redis has no value to restore; nothing was changed. To begin anew, delete the item with a memcached client.`,
      );
      return EXIT.nothing;
  }
}
