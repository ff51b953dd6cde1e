/** `toril record`: the history of a queue as a file. */
import type { Command } from 'commander';
import { checkKey } from '../../../key.ts';
import { record } from '../../../history/record.ts';
import type { RecordingEnd } from '../../../history/recording/recording.ts';
import { writeRecording } from '../../../history/recording/file.ts';
import { closeQuietly, openExistingQueue } from '../../servers/connections.ts';
import { EXIT, type ExitWith } from '../../terminal/exit-codes.ts';
import {
  addQueueFlags,
  addRedisFlags,
  type QueueFlags,
  type RedisFlags,
  timeFlag,
} from '../../flags/flags.ts';
import { loadMask } from '../../flags/load-mask.ts';
import { loadUpdates } from '../../flags/load-updates.ts';
import { abortable } from '../../recordings/abortable.ts';
import { interruptible } from '../../terminal/signals.ts';
import { startProgress } from '../../terminal/progress.ts';
import { grouped, note, warn } from '../../terminal/terminal.ts';

interface RecordFlags extends QueueFlags, RedisFlags {
  readonly key?: string;
  readonly since?: string;
  readonly out?: string;
  readonly mask?: string;
  readonly updates?: string;
}

const EXAMPLES = `
Writes what workers with "history" (toril worker --history) have committed: JSON Lines, a header,
then one line per commit (docs/replay.md). With --out, the file is there as a whole or not at all.

The module of --mask exports data(data, { key, jobId, update }), which returns the data without what
is secret, and perhaps value(value, key) for values that were recorded in full; without it they are
left out. A masked recording cannot be replayed, and says so, unless --updates names the updates
that made the history: then the values are recomputed from the masked data. Keys are not masked.

Examples:
  toril record --queue accounts --out accounts.jsonl
  toril record --queue accounts --key a-1 --since 2h | jq -c .commit.jobs
  toril record --queue accounts --since 2026-03-01T00:00:00Z --mask mask.mjs --updates updates.mjs --out march.jsonl`;

export function addRecordCommand(program: Command, exitWith: ExitWith): void {
  const command = program
    .command('record')
    .description('write what was committed to a file, for toril replay')
    .option('-k, --key <key>', "only this key's commits")
    .option(
      '--since <time>',
      'only commits since then: ISO 8601, or how long ago (90s, 15m, 2h, 7d)',
    )
    .option('-o, --out <file>', 'where to write (default: standard output)')
    .option('--mask <file>', 'module that takes secrets out')
    .option('-u, --updates <file>', 'with --mask: keep it replayable by means of these updates');
  addRedisFlags(addQueueFlags(command))
    .addHelpText('after', EXAMPLES)
    .action(async (flags: RecordFlags) => {
      if (flags.updates !== undefined && flags.mask === undefined) {
        return command.error('error: --updates is of use with --mask only.');
      }
      exitWith(await recordTo(flags));
    });
}

async function recordTo(flags: RecordFlags): Promise<number> {
  const { key, out } = flags;
  if (key !== undefined) checkKey(key);
  const since = flags.since === undefined ? undefined : timeFlag('--since', flags.since);
  const mask = flags.mask === undefined ? undefined : await loadMask(flags.mask);
  const updates = flags.updates === undefined ? undefined : await loadUpdates(flags.updates);
  const queue = await openExistingQueue(flags);
  const progress = startProgress('recording', 0, 'commits');
  let lines = 0;
  let last = '';
  const counted = async function* (): AsyncGenerator<string> {
    for await (const line of record(queue, { key, since, mask, updates })) {
      progress.update(Math.max(0, lines - 1));
      lines += 1;
      last = line;
      yield line;
    }
  };
  try {
    if (out === undefined) await printAll(counted());
    else {
      const code = await interruptible(async (signal) => {
        await writeRecording(out, abortable(counted(), signal));
        return EXIT.done;
      });
      if (code !== EXIT.done) return code;
    }
  } finally {
    progress.stop();
    await closeQuietly(queue);
  }
  const { end } = JSON.parse(last) as { end: RecordingEnd };
  const counts = `${grouped(end.commits)} commits, ${grouped(end.jobs)} jobs, ${grouped(end.keys)} keys`;
  note(out === undefined ? counts : `${out}: ${counts}`);
  if (end.torn !== undefined) {
    warn(
      `the history was trimmed while it was read: commits may be missing behind line ${end.torn.join(', ')}. Raise historyLengthMax, or record more often.`,
    );
  }
  if (mask !== undefined && updates === undefined) {
    note('masked, and therefore not replayable (--updates would keep it so)');
  }
  return EXIT.done;
}

/** No faster than its reader. */
async function printAll(lines: AsyncIterable<string>): Promise<void> {
  for await (const line of lines) {
    if (process.stdout.write(`${line}\n`)) continue;
    await new Promise<void>((resolve) => process.stdout.once('drain', resolve));
  }
}
