/** `toril lanes`: the keys that have jobs, the oldest first, and an operator's word on all that are held. */
import type { Command } from 'commander';
import { pause, systemClock } from '../../../base/clock.ts';
import { durationText } from '../../../base/duration-text.ts';
import type { LaneSummary } from '../../../jobs/reports/lane-report.ts';
import { type JobAction, why } from '../../../jobs/reports/why.ts';
import type { Queue } from '../../../jobs/queue.ts';
import {
  addJsonFlag,
  addQueueFlags,
  addRedisFlags,
  type QueueFlags,
  type RedisFlags,
  wholeNumber,
} from '../../flags/flags.ts';
import {
  type ActingFlags,
  actionOf,
  actOnJob,
  addActingFlags,
  operatorName,
} from '../../lanes/acting.ts';
import { asking, closeQuietly, openExistingQueue } from '../../servers/connections.ts';
import { EXIT, type ExitWith } from '../../terminal/exit-codes.ts';
import { interruptible } from '../../terminal/signals.ts';
import { isTorilError } from '../../terminal/failure.ts';
import { note, plain, print, printJson, table } from '../../terminal/terminal.ts';

const SHOWN_DEFAULT = 20;
const SHOWN_MAX = 500;
const WATCH_EVERY_MS = 2_000;
const CLEAR_SCREEN = '\u001b[H\u001b[2J';

interface LanesFlags extends QueueFlags, RedisFlags, ActingFlags {
  readonly held?: boolean;
  readonly top: number;
  readonly search?: string;
  readonly watch?: boolean;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

const EXAMPLES = `
Shows the keys whose first job has waited longest, and why, as far as Redis knows: "toril why KEY"
asks memcached, too. With --retry, --skip or --drop, each key that a failed job holds goes on, all of
them, whatever --top says; --search limits them, --dry-run only names them.

Examples:
  toril lanes --queue accounts --held
  toril lanes --queue accounts --top 5 --watch
  toril lanes --queue accounts --held --search eu- --retry --dry-run`;

export function addLanesCommand(program: Command, exitWith: ExitWith): void {
  const command = program
    .command('lanes')
    .description('list the keys that have jobs, oldest first');
  addActingFlags(addJsonFlag(addRedisFlags(addQueueFlags(command))), ['watch'])
    .option('--held', 'only those that a failed job holds')
    .option('--top <n>', 'how many', wholeNumber(1, SHOWN_MAX), SHOWN_DEFAULT)
    .option('--search <text>', 'only keys that contain this')
    .option('--watch', 'show them again every 2 s, until Ctrl-C')
    .option('--dry-run', 'only name the keys that --retry, --skip or --drop would act on')
    .addHelpText('after', EXAMPLES)
    .action(async (flags: LanesFlags) => {
      exitWith(await lanes(command, flags));
    });
}

async function lanes(command: Command, flags: LanesFlags): Promise<number> {
  const what = actionOf(flags);
  if (what !== undefined && flags.held !== true)
    command.error(`error: --${what} acts on held keys only. Say --held as well.`);
  if (flags.dryRun === true && what === undefined)
    command.error('error: --dry-run needs one of --retry, --skip and --drop.');
  const queue = await openExistingQueue(flags);
  try {
    if (what !== undefined) return await actOnAll(what, queue, flags);
    if (flags.watch !== true) return await show(queue, flags);
    return await interruptible((signal) => watch(queue, flags, signal));
  } finally {
    await closeQuietly(queue);
  }
}

async function watch(queue: Queue, flags: LanesFlags, signal: AbortSignal): Promise<number> {
  while (!signal.aborted) {
    if (process.stdout.isTTY && flags.json !== true) process.stdout.write(CLEAR_SCREEN);
    await show(queue, flags);
    await pause(systemClock, WATCH_EVERY_MS, signal);
  }
  return EXIT.done;
}

async function show(queue: Queue, flags: LanesFlags): Promise<number> {
  const found: LaneSummary[] = [];
  for await (const lane of each(queue, flags)) {
    found.push(lane);
    if (found.length === flags.top) break;
  }
  if (flags.json === true) {
    for (const lane of found) printJson({ ...lane, why: why(lane).sentence });
    return EXIT.done;
  }
  if (found.length === 0) print(flags.held === true ? 'no key is held' : 'no key has jobs');
  else print(table(['key', 'jobs', 'oldest', 'job', 'why'], found.map(rowOf)));
  return EXIT.done;
}

function rowOf(lane: LaneSummary): (string | number)[] {
  const { key, length, ageMs, jobId } = lane;
  return [plain(key), length, durationText(ageMs), plain(jobId), why(lane).sentence];
}

/** Whoever retries, skips or drops a job that went on meanwhile is told so, and goes on with the next one. */
async function actOnAll(what: JobAction, queue: Queue, flags: LanesFlags): Promise<number> {
  const { dryRun = false, json } = flags;
  const who = operatorName(flags.as);
  let [acted, wentOn] = [0, 0];
  for (const { key, jobId, keys = [key] } of await all(queue, flags)) {
    if (!dryRun && !(await wasHeld(actOnJob(queue, what, { who, key, jobId, keys })))) {
      wentOn += 1;
      continue;
    }
    acted += 1;
    if (json === true)
      printJson({ key, jobId, action: what, dryRun, ...(keys.length > 1 && { keys }) });
    else
      print(
        `${dryRun ? 'would ' : ''}${what} job ${plain(jobId)} of ${keys.map(plain).join(', ')}`,
      );
  }
  if (wentOn > 0) note(`${wentOn} keys were not held any more`);
  if (acted === 0) {
    note('no key is held');
    return EXIT.nothing;
  }
  return EXIT.done;
}

async function wasHeld(act: Promise<unknown>): Promise<boolean> {
  try {
    await act;
    return true;
  } catch (thrown) {
    if (isTorilError(thrown) && thrown.code === 'LANE_NOT_HELD') return false;
    throw thrown;
  }
}

/**
 * Before anything is done: what is skipped, and fails once more, would come again. Each job once: one of several keys holds
 * them all.
 */
async function all(queue: Queue, flags: LanesFlags): Promise<readonly LaneSummary[]> {
  const found = new Map<string, LaneSummary>();
  for await (const lane of each(queue, flags))
    if (!found.has(lane.jobId)) found.set(lane.jobId, lane);
  return [...found.values()];
}

async function* each(queue: Queue, { held, search, top }: LanesFlags): AsyncGenerator<LaneSummary> {
  let cursor: string | undefined;
  do {
    const page = await asking(
      queue.lanes({
        ...{ state: held === true ? 'held' : 'all', limit: Math.min(top + 1, SHOWN_MAX), cursor },
        ...(search !== undefined && { search }),
      }),
    );
    yield* page.lanes;
    cursor = page.cursor;
  } while (cursor !== undefined);
}
