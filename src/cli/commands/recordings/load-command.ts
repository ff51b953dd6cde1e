/** `toril load`: a recording's jobs once more, into a queue, with their gaps. */
import { type Command, InvalidArgumentError } from 'commander';
import { TorilError } from '../../../errors.ts';
import { jobOptions } from '../../enqueue/job-lines.ts';
import {
  addJsonFlag,
  addQueueFlags,
  addRedisFlags,
  type QueueFlags,
  type RedisFlags,
} from '../../flags/flags.ts';
import { loadUpdates } from '../../flags/load-updates.ts';
import { load, type Loaded, type Surveyed, survey } from '../../recordings/load/load.ts';
import { STANDARD_INPUT } from '../../recordings/recording-input.ts';
import { closeQuietly, openQueue } from '../../servers/connections.ts';
import { EXIT, type ExitWith } from '../../terminal/exit-codes.ts';
import { startProgress } from '../../terminal/progress.ts';
import { interruptible } from '../../terminal/signals.ts';
import { grouped, note, print, printJson, warn } from '../../terminal/terminal.ts';

interface LoadFlags extends QueueFlags, RedisFlags {
  readonly rate: number;
  readonly updates?: string;
  readonly options?: string;
  readonly json?: boolean;
}

const EXAMPLES = `
Enqueues every job of a recording, in the order in which they came then and with the gaps between them.
The file is read to its end first: nothing of a damaged one is enqueued. The jobs get new ids. Mind the
queue: what its workers do with them is real.

With --updates, names and data are checked and each job enters its lane as it is added (as in toril enqueue).

Examples:
  toril load accounts.jsonl --queue staging-accounts --updates updates.mjs
  toril load accounts.jsonl --queue staging-accounts --updates updates.mjs --rate 10x
  toril load accounts.jsonl --queue staging-accounts --rate max --options '{"attempts":3}'`;

export function addLoadCommand(program: Command, exitWith: ExitWith): void {
  const command = program
    .command('load')
    .description('enqueue the jobs of a recording, with their order and gaps')
    .argument('<file>', 'what toril record wrote')
    .option('--rate <rate>', 'how much faster than then: 2x, 0.5x, or max', rateOf, 1)
    .option('-u, --updates <file>', 'module with the updates: checks the data, enters the lanes')
    .option('--options <json>', "BullMQ's options for every job, such as attempts");
  addJsonFlag(addRedisFlags(addQueueFlags(command)))
    .addHelpText('after', EXAMPLES)
    .action(async (file: string, flags: LoadFlags) => {
      exitWith(await loadFile(file, flags));
    });
}

function rateOf(text: string): number {
  if (text === 'max') return Infinity;
  const rate = /^\d+(\.\d+)?x$/.test(text) ? Number(text.slice(0, -1)) : 0;
  if (rate > 0) return rate;
  throw new InvalidArgumentError('It must be a factor such as 2x or 0.5x, or max.');
}

async function loadFile(file: string, flags: LoadFlags): Promise<number> {
  if (file === STANDARD_INPUT) {
    throw new TorilError(
      'INVALID_OPTIONS',
      'toril load reads a recording twice, so it takes a file, not standard input.',
    );
  }
  const options = jobOptions(flags.options);
  const updates = flags.updates === undefined ? undefined : await loadUpdates(flags.updates);
  const surveyed = await survey(file, updates);
  const queue = await openQueue(flags, updates && { updates });
  const progress = startProgress('enqueueing', surveyed.jobs, 'jobs');
  try {
    return await interruptible(async (signal) => {
      const loaded = await load({
        ...{ file, queue, rate: flags.rate, options, signal },
        onProgress: (jobs) => progress.update(jobs),
      });
      progress.stop();
      tell(loaded, surveyed, flags);
      signal.throwIfAborted();
      return EXIT.done;
    });
  } finally {
    progress.stop();
    await closeQuietly(queue);
  }
}

function tell(
  { enqueued, ms, latestMs }: Loaded,
  { jobs, leftOut, spanMs }: Surveyed,
  flags: LoadFlags,
): void {
  if (flags.json === true) {
    printJson({
      enqueued,
      jobs,
      leftOut,
      ms: Math.round(ms),
      spanMs,
      latestMs: Math.round(latestMs),
    });
  } else {
    print(
      `${grouped(enqueued)} of ${grouped(jobs)} jobs enqueued in ${seconds(ms)} s; they came in ${seconds(spanMs)} s then`,
    );
  }
  if (leftOut > 0) {
    note(`${grouped(leftOut)} jobs left out: they had been removed, or their data are no JSON`);
  }
  if (latestMs > LATE_MS) {
    warn(
      `jobs were up to ${seconds(latestMs)} s late: Redis, or this machine, is slower than the recording at this rate.`,
    );
  }
}

/** Milliseconds beyond which the gaps are not what they were. */
const LATE_MS = 1_000;

function seconds(ms: number): string {
  return (ms / 1_000).toFixed(1);
}
