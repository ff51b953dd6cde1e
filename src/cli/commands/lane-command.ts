/** `toril lane`: what waits for a key, why it stands still, and an operator's word about it. */
import { type Command, Option } from 'commander';
import { systemClock } from '../../base/clock.ts';
import { systemRandom } from '../../base/random.ts';
import { checkKey } from '../../key.ts';
import type { Queue } from '../../jobs/queue.ts';
import { MemcachedLeaseLocks } from '../../lock/lease-locks.ts';
import type { MemcachedServers } from '../../memcached/servers.ts';
import { keysToTrust, trustedText, trustTogether } from '../../workers/trust/trust-together.ts';
import { type JobAction, why } from '../../jobs/reports/why.ts';
import { LaneInspector } from '../../workers/inspecting/inspector.ts';
import { tellUnheardOf } from '../lanes/unheard-of.ts';
import { asking, closeQuietly, openExistingQueue, openQueue } from '../servers/connections.ts';
import { EXIT, type ExitWith } from '../terminal/exit-codes.ts';
import { addJsonFlag, addServerFlags, type ServerFlags, wholeNumber } from '../flags/flags.ts';
import {
  acting,
  type ActingFlags,
  actionOf,
  actOnJob,
  addActingFlags,
  CARRIED_OUT_LATER,
  operatorName,
} from '../lanes/acting.ts';
import { laneTables } from '../lanes/lane-tables.ts';
import { openMemcached } from '../servers/memcached.ts';
import { note, plain, print, printJson } from '../terminal/terminal.ts';

const WAIT_DEFAULT_MS = 30_000;
const WAIT_MAX_MS = 3_600_000;

interface LaneFlags extends ServerFlags, ActingFlags {
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
Both wait for the key's lease first, so that they can be said while workers run. Whatever is done is
noted in the audit trail of the queue, with who did it.

Examples:
  toril lane account-1 --queue accounts
  toril lane account-1 --queue accounts --drop
  toril lane account-1 --queue accounts --trust cell`;

export function addLaneCommand(program: Command, exitWith: ExitWith): void {
  const command = program
    .command('lane')
    .description('show what waits for a key, and make it go on')
    .argument('<key>');
  addJsonFlag(addServerFlags(command));
  addActingFlags(command, ['trust'])
    .addOption(
      new Option('--trust <which>', 'settle which value is true').choices(['cell', 'copy']),
    )
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

async function lane(key: string, flags: LaneFlags): Promise<number> {
  checkKey(key);
  const servers = openMemcached(flags);
  // Where Redis was emptied, --trust makes the queue again; all else is about what is there.
  const queue = await (flags.trust === undefined ? openExistingQueue(flags) : openQueue(flags));
  try {
    if (flags.trust !== undefined) return await trust(flags.trust, key, queue, servers, flags);
    const what = actionOf(flags);
    if (what !== undefined) return await act(what, key, queue, flags);
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
  return tellUnheardOf(queue.name, report) ? EXIT.nothing : EXIT.done;
}

/** The job that holds the lane now, and no other one. */
async function act(
  what: JobAction,
  key: string,
  queue: Queue,
  { as, json }: LaneFlags,
): Promise<number> {
  const { head } = await asking(queue.inRedis.views.one(key));
  const { jobId = '' } = head ?? {};
  const keys = head?.joint?.keys ?? [key];
  await actOnJob(queue, what, { who: operatorName(as), key, jobId, keys });
  if (keys.length > 1) note(`job ${plain(jobId)} has several keys: ${list(keys)} go on`);
  if (json === true) printJson({ key, jobId, directive: what, ...(keys.length > 1 && { keys }) });
  else print(`${what} job ${plain(jobId)}: ${CARRIED_OUT_LATER}`);
  return EXIT.done;
}

function list(keys: readonly string[]): string {
  return keys.map(plain).join(', ');
}

async function trust(
  which: 'cell' | 'copy',
  key: string,
  queue: Queue,
  servers: MemcachedServers,
  { as, json, waitMs }: LaneFlags,
): Promise<number> {
  const clock = systemClock;
  const locks = new MemcachedLeaseLocks({ clock, random: systemRandom });
  const { inRedis, qualifiedName } = queue;
  const context = { queue: qualifiedName, servers, locks, lanes: inRedis.lanes, clock, waitMs };
  try {
    const keys = await asking(keysToTrust(context, key));
    if (keys.length > 1)
      note(`a commit of several keys is forgotten: ${list(keys)} are settled together`);
    const ends = await acting(
      queue,
      { who: operatorName(as), what: `trust-${which}`, key, keys, jobId: '' },
      () => trustTogether(context, which, keys),
      (told) => trustedText(keys, told),
    );
    const isDone = ends.some(({ kind }) => kind === 'copy-trusted' || kind === 'cell-trusted');
    if (json === true) ends.forEach((end, at) => printJson({ key: keys[at], ...end }));
    if (!isDone) note(`${plain(key)}: ${trustedText(keys, ends)}`);
    else if (json !== true) print(plain(trustedText(keys, ends)));
    return isDone ? EXIT.done : EXIT.nothing;
  } finally {
    await closeQuietly(locks);
  }
}
