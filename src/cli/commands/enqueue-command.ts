/** `toril enqueue`: one job from the arguments, or many from standard input. */
import type { Command } from 'commander';
import type { Queue } from '../../jobs/queue.ts';
import { messageOf, TorilError } from '../../errors.ts';
import { asking, closeQuietly, openQueue } from '../servers/connections.ts';
import { enqueueLines } from '../enqueue/enqueue-lines.ts';
import { EXIT, type ExitWith } from '../terminal/exit-codes.ts';
import {
  addJsonFlag,
  addQueueFlags,
  addRedisFlags,
  type QueueFlags,
  type RedisFlags,
} from '../flags/flags.ts';
import { jobOptions, type JobOptions, parseLine } from '../enqueue/job-lines.ts';
import { loadUpdates } from '../flags/load-updates.ts';
import { print, printJson } from '../terminal/terminal.ts';

interface EnqueueFlags extends QueueFlags, RedisFlags {
  readonly updates?: string;
  readonly options?: string;
  readonly json?: boolean;
}

const STANDARD_INPUT = '-';

const EXAMPLES = `
NAME and JSON: one job. NAME and -: each line of standard input is the data of one job NAME.
Only -: each line is {"name": ..., "data": ..., "options": ...}, with BullMQ's job options.

With --updates, names and data are checked and each job enters its lane as it is added. Without it,
the job is a plain BullMQ job: it enters its lane when a worker first receives it, so its place
among the jobs of its key is where it was delivered, not where it was added.

Lines are added in order, in chunks. A line that is wrong ends the command with its number; all
lines before it have been added then, and none after it.

Examples:
  toril enqueue deposit '{"account":"a-1","cents":500}' --updates updates.mjs --queue accounts
  toril enqueue deposit '{"account":"a-1","cents":500}' -u updates.mjs --options '{"attempts":3}'
  toril enqueue deposit - -u updates.mjs --queue accounts < deposits.jsonl
  jq -c '{name: "deposit", data: .}' rows.json | toril enqueue - -u updates.mjs`;

export function addEnqueueCommand(program: Command, exitWith: ExitWith): void {
  const command = program
    .command('enqueue')
    .description('add jobs to a queue')
    .argument('<name>', `the update's name, or ${STANDARD_INPUT} for lines that name it`)
    .argument('[json]', `the job's data, or ${STANDARD_INPUT} for one per line of standard input`)
    .option('-u, --updates <file>', 'module with the updates: checks the data, enters the lane')
    .option('--options <json>', "BullMQ's options for every job, such as attempts or delay");
  addJsonFlag(addRedisFlags(addQueueFlags(command)))
    .addHelpText('after', EXAMPLES)
    .action(async (name: string, json: string | undefined, flags: EnqueueFlags) => {
      if (json === undefined && name !== STANDARD_INPUT) {
        return command.error(`error: what is the data of the job? Give JSON, or - to read lines.`);
      }
      exitWith(await enqueue(name, json, flags));
    });
}

async function enqueue(
  name: string,
  json: string | undefined,
  flags: EnqueueFlags,
): Promise<number> {
  const options = jobOptions(flags.options);
  const fromLines = json === STANDARD_INPUT || name === STANDARD_INPUT;
  if (name === STANDARD_INPUT && json !== undefined) {
    throw new TorilError(
      'INVALID_OPTIONS',
      `"toril enqueue -" takes names and data from its lines; leave ${JSON.stringify(json)} away.`,
    );
  }
  const data = fromLines ? undefined : dataOf(json ?? '');
  const updates = flags.updates === undefined ? undefined : await loadUpdates(flags.updates);
  const queue = await openQueue(flags, updates && { updates });
  try {
    if (!fromLines) return await enqueueOne(queue, name, data, options, flags);
    const nameOfAll = name === STANDARD_INPUT ? undefined : name;
    const enqueued = await enqueueLines({
      queue,
      updates,
      parse: (line) => parseLine(line, nameOfAll, options),
    });
    if (flags.json === true) printJson({ enqueued });
    else print(`${enqueued} jobs enqueued`);
    return EXIT.done;
  } finally {
    await closeQuietly(queue);
  }
}

async function enqueueOne(
  queue: Queue,
  name: string,
  data: unknown,
  options: JobOptions,
  flags: EnqueueFlags,
): Promise<number> {
  const job = await asking(queue.add(name, data, options));
  if (flags.json === true) printJson({ enqueued: 1, jobId: job.id });
  else print(`job ${job.id} enqueued`);
  return EXIT.done;
}

function dataOf(json: string): unknown {
  try {
    return JSON.parse(json) as unknown;
  } catch (cause) {
    throw new TorilError(
      'DATA_NOT_JSON',
      `the job's data is not JSON: ${messageOf(cause)}. Mind the quotes of your shell: '{"account":"a-1"}'.`,
      { cause },
    );
  }
}
