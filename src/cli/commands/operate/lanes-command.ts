/** `toril lanes`: the keys that have jobs, the oldest first, and an operator's word on all that are held. */
import { type Command, Option } from 'commander';
import { pause, systemClock } from '../../../base/clock.ts';
import { durationText } from '../../../base/duration-text.ts';
import type { LaneSummary } from '../../../jobs/reports/lane-report.ts';
import { why } from '../../../jobs/reports/why.ts';
import type { Queue } from '../../../jobs/queue.ts';
import {
  addJsonFlag,
  addQueueFlags,
  addRedisFlags,
  type QueueFlags,
  type RedisFlags,
  wholeNumber,
} from '../../flags/flags.ts';
import { asking, closeQuietly, openExistingQueue } from '../../servers/connections.ts';
import { EXIT, type ExitWith } from '../../terminal/exit-codes.ts';
import { interruptible } from '../../terminal/signals.ts';
import { isTorilError } from '../../terminal/failure.ts';
import { note, plain, print, printJson, table } from '../../terminal/terminal.ts';

const SHOWN_DEFAULT = 20;
const SHOWN_MAX = 500;
const WATCH_EVERY_MS = 2_000;
const CLEAR_SCREEN = '\u001b[H\u001b[2J';
const ACTIONS = ['retry', 'skip', 'drop'] as const;

type Action = (typeof ACTIONS)[number];

interface LanesFlags extends QueueFlags, RedisFlags, Partial<Record<Action, boolean>> {
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
  addJsonFlag(addRedisFlags(addQueueFlags(command)))
    .option('--held', 'only those that a failed job holds')
    .option('--top <n>', 'how many', wholeNumber(1, SHOWN_MAX), SHOWN_DEFAULT)
    .option('--search <text>', 'only keys that contain this')
    .option('--watch', 'show them again every 2 s, until Ctrl-C')
    .addOption(action('--retry', 'try the job of each held key again'))
    .addOption(action('--skip', "send it to its lane's end"))
    .addOption(action('--drop', 'fail it for good'))
    .option('--dry-run', 'only name the keys that --retry, --skip or --drop would act on')
    .addHelpText('after', EXAMPLES)
    .action(async (flags: LanesFlags) => {
      exitWith(await lanes(command, flags));
    });
}

/** One of them at a time, and not again and again. */
function action(flag: string, description: string): Option {
  const others = ACTIONS.filter((name) => `--${name}` !== flag);
  return new Option(flag, description).conflicts([...others, 'watch']);
}

async function lanes(command: Command, flags: LanesFlags): Promise<number> {
  const what = ACTIONS.find((name) => flags[name] === true);
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
async function actOnAll(what: Action, queue: Queue, flags: LanesFlags): Promise<number> {
  let [acted, wentOn] = [0, 0];
  for (const { key, jobId } of await all(queue, flags)) {
    if (flags.dryRun !== true) {
      try {
        await asking(queue.lane(key)[what](jobId));
      } catch (thrown) {
        if (!isTorilError(thrown) || thrown.code !== 'LANE_NOT_HELD') throw thrown;
        wentOn += 1;
        continue;
      }
    }
    acted += 1;
    if (flags.json === true) printJson({ key, jobId, action: what, dryRun: flags.dryRun === true });
    else
      print(`${flags.dryRun === true ? 'would ' : ''}${what} job ${plain(jobId)} of ${plain(key)}`);
  }
  if (wentOn > 0) note(`${wentOn} keys were not held any more`);
  if (acted === 0) {
    note('no key is held');
    return EXIT.nothing;
  }
  return EXIT.done;
}

/** Before anything is done: what is skipped, and fails once more, would come again. */
async function all(queue: Queue, flags: LanesFlags): Promise<LaneSummary[]> {
  const found: LaneSummary[] = [];
  for await (const lane of each(queue, flags)) found.push(lane);
  return found;
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
