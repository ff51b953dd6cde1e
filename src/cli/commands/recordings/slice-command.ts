/** `toril slice` and `toril shrink`: smaller recordings out of large ones. */
import type { Command } from 'commander';
import { shrink } from '../../../history/cutting/shrink.ts';
import { slice } from '../../../history/cutting/slice.ts';
import { writeRecording } from '../../../history/recording/file.ts';
import { EXIT, type ExitWith } from '../../terminal/exit-codes.ts';
import { loadUpdates } from '../../flags/load-updates.ts';
import { abortable } from '../../recordings/abortable.ts';
import { inputOf } from '../../recordings/recording-input.ts';
import { share, timeFlag, wholeNumber } from '../../flags/flags.ts';
import { interruptible } from '../../terminal/signals.ts';
import { grouped, note, warn } from '../../terminal/terminal.ts';

interface SliceFlags {
  readonly key: readonly string[];
  readonly job: readonly string[];
  readonly since?: string;
  readonly until?: string;
  readonly sample?: number;
  readonly out?: string;
}

interface ShrinkFlags {
  readonly old: string;
  readonly new: string;
  readonly key?: string;
  readonly seconds?: number;
  readonly out?: string;
}

/** A day: who searches longer has forgotten it. */
const SECONDS_MAX = 86_400;

const SLICE_EXAMPLES = `
The slice is a recording itself. Of each key it has the commits that are wanted, those between them,
and before them what a replay needs to begin.

Examples:
  toril slice accounts.jsonl --key a-1 --key a-2 --out two.jsonl
  toril slice accounts.jsonl --job 4711 --out one.jsonl
  toril slice accounts.jsonl --since 2026-03-01T00:00:00Z --until 2026-03-02T00:00:00Z --out day.jsonl
  toril slice accounts.jsonl --sample 0.01 --out sample.jsonl`;

const SHRINK_EXAMPLES = `
Looks for the first job at which the two versions part, and leaves out all that it does not need: a
recording of three jobs at most, which agrees with --old and differs with --new. A transaction is kept
with all its keys, or left out. What is tried grows with the square of the jobs on which the values of the
key rest: cut a long recording of busy keys down before (toril slice --since), or give it more --seconds.

Example:
  toril shrink accounts.jsonl --old main/updates.mjs --new updates.mjs --out small.jsonl`;

export function addSliceCommand(program: Command, exitWith: ExitWith): void {
  program
    .command('slice')
    .description('a part of a recording, as a recording')
    .argument('<file>', 'what toril record wrote; - for standard input')
    .option('-k, --key <key>', 'only this key; may be given several times', gather, [])
    .option('--job <id>', 'only what has this job; may be given several times', gather, [])
    .option(
      '--since <time>',
      'only commits since then: ISO 8601, or how long ago (90s, 15m, 2h, 7d)',
    )
    .option('--until <time>', 'only commits before then')
    .option('--sample <share>', 'of the keys, from above 0 to 1, always the same ones', share)
    .option('-o, --out <file>', 'where to write (default: standard output)')
    .addHelpText('after', SLICE_EXAMPLES)
    .action(async (file: string, flags: SliceFlags) => {
      const { key, job, since, until, sample } = flags;
      const lines = slice(inputOf(file), {
        keys: key.length > 0 ? key : undefined,
        jobs: job.length > 0 ? job : undefined,
        since: since === undefined ? undefined : timeFlag('--since', since),
        until: until === undefined ? undefined : timeFlag('--until', until),
        sample,
      });
      const done = (count: number): void => note(`${grouped(count - 2)} commits`);
      exitWith(await put(lines, flags.out, done));
    });
}

export function addShrinkCommand(program: Command, exitWith: ExitWith): void {
  program
    .command('shrink')
    .description('the smallest recording that shows where two versions of the updates part')
    .argument('<file>', 'what toril record wrote; - for standard input')
    .requiredOption('--old <file>', 'module with the updates as they are')
    .requiredOption('--new <file>', 'module with the updates as they shall be')
    .option('-k, --key <key>', 'only a difference at this key')
    .option(
      '--seconds <number>',
      'how long to search for fewer jobs (default: 30)',
      wholeNumber(1, SECONDS_MAX),
    )
    .option('-o, --out <file>', 'where to write (default: standard output)')
    .addHelpText('after', SHRINK_EXAMPLES)
    .action(async (file: string, flags: ShrinkFlags) => {
      const [old, now] = [await loadUpdates(flags.old), await loadUpdates(flags.new)];
      const { key, seconds } = flags;
      const small = await shrink(inputOf(file), {
        ...{ old, new: now, key, searchMs: seconds && seconds * 1000 },
      });
      const { keys, line, jobs, oldRepeats, timedOut } = small;
      const among = keys.join(', ');
      const done = (): void => {
        note(
          `${grouped(jobs.length)} jobs of ${among}: ${jobs.join(', ')}; they part at line ${line}`,
        );
        if (timedOut)
          warn(
            `The search for fewer jobs ended at its time. The small recording is sound; a smaller one, or one with the jobs that led to its first values, may be found with more --seconds, or in a slice (toril slice).`,
          );
        if (!oldRepeats)
          warn(
            `--old does not give what was recorded of ${among} up to there: is it what was run? The small recording agrees with --old, and not with what happened.`,
          );
      };
      exitWith(await put(small.lines, flags.out, done));
    });
}

/** @param done told the number of lines */
async function put(
  lines: AsyncIterable<string> | Iterable<string>,
  out: string | undefined,
  done: (count: number) => void,
): Promise<number> {
  if (out === undefined) {
    done(await printed(lines));
    return EXIT.done;
  }
  return interruptible(async (signal) => {
    done(await writeRecording(out, abortable(lines, signal)));
    return EXIT.done;
  });
}

async function printed(lines: AsyncIterable<string> | Iterable<string>): Promise<number> {
  let count = 0;
  for await (const line of lines) {
    count += 1;
    if (process.stdout.write(`${line}\n`)) continue;
    // No faster than its reader.
    await new Promise<void>((resolve) => process.stdout.once('drain', resolve));
  }
  return count;
}

function gather(one: string, before: readonly string[]): string[] {
  return [...before, one];
}
