/** `toril replay`: a recorded history once more, with the updates of today. */
import { type FileHandle, open } from 'node:fs/promises';
import { type Command, InvalidArgumentError } from 'commander';
import { Cells } from '../../../cells/cells.ts';
import type { RecordingEnd } from '../../../history/recording/recording.ts';
import { replay } from '../../../history/replay/replay.ts';
import {
  type CommittedValue,
  type KeyReport,
  type ReplayReport,
  UNCHECKED_REASONS,
  type UncheckedReason,
} from '../../../history/replay/report.ts';
import { checkKey } from '../../../key.ts';
import { closeQuietly } from '../../servers/connections.ts';
import { EXIT, type ExitWith, exitCodeFor } from '../../terminal/exit-codes.ts';
import { noteError } from '../../terminal/failure.ts';
import { addJsonFlag, addMemcachedFlags, type MemcachedFlags } from '../../flags/flags.ts';
import { loadUpdates } from '../../flags/load-updates.ts';
import { openMemcached } from '../../servers/memcached.ts';
import { startProgress } from '../../terminal/progress.ts';
import { inputOf } from '../../recordings/recording-input.ts';
import { loadInvariants } from '../../recordings/load-invariants.ts';
import { replayText, unknownUpdatesText } from '../../recordings/replay-text.ts';
import { stepFile } from '../../recordings/stepping/step-file.ts';
import { print, printJson, warn } from '../../terminal/terminal.ts';

/** Bytes at the end of a file in which its last line is looked for. */
const TAIL_BYTES = 4096;

interface ReplayFlags extends MemcachedFlags {
  readonly updates: string;
  readonly former?: string;
  readonly key?: string;
  readonly live?: boolean;
  readonly complete?: boolean;
  readonly allowUnchecked?: readonly UncheckedReason[];
  readonly values?: boolean;
  readonly verifyUpdates?: boolean;
  readonly invariants?: string;
  readonly step?: boolean;
  readonly page?: string;
  readonly json?: boolean;
}

const EXAMPLES = `
Folds every key of a recording (toril record) again, commit by commit, and compares the hash of each
value. A key begins with its first commit, or behind the first one whose value was recorded. Nothing
is written anywhere, and neither Redis nor memcached is needed, except with --live. Updates that act
on the outside world (strict) are not run.

Exit code 0: every commit was checked and is what it was, every job ended as it did, and every invariant
holds; 1: something differs, or an invariant does not hold; 7: nothing differs, but not everything could be checked; 2: the file is damaged, or a job's
update is not registered; 4: the file has no such key. Commits that may stay unchecked are named with
--allow-unchecked:
  ${UNCHECKED_REASONS.join(', ')}

Examples:
  toril replay accounts.jsonl --updates updates.mjs
  toril replay accounts.jsonl --updates updates.mjs --key a-1 --values
  toril replay accounts.jsonl --updates updates.mjs --key a-1 --step
  toril replay accounts.jsonl --updates new/updates.mjs --former old/updates.mjs
  toril replay accounts.jsonl --updates updates.mjs --live --memcached 10.0.0.6,10.0.0.7`;

export function addReplayCommand(program: Command, exitWith: ExitWith): void {
  const command = program
    .command('replay')
    .description('fold a recorded history again, and compare every value')
    .argument(
      '<file>',
      'what toril record wrote, compressed with gzip or not; - for standard input',
    )
    .requiredOption('-u, --updates <file>', 'module with the updates (.mjs, .js)')
    .option('--former <file>', 'the updates as they were: shows which job differs, and how')
    .option('-k, --key <key>', 'only this key')
    .option(
      '--invariants <file>',
      'module of what must hold of values, jobs and all keys (.mjs, .js)',
    )
    .option('--live', 'compare the last values with the cells in memcached, too')
    .option(
      '--verify-updates',
      'run each update three times, at other times, in other time zones and environments',
    )
    .option('--step', 'with --key: go through its jobs one by one (help tells how)')
    .option('--page <file>', 'with --key: the same as an HTML file that needs no server')
    .option('--values', 'print the last values, one JSON object per line')
    .option('--complete', 'a commit that cannot be checked is a failure (exit code 1 instead of 7)')
    .option(
      '--allow-unchecked <reasons>',
      'commits that cannot be checked for these reasons (a,b,c) are no reason for another exit code than 0',
      reasonsOf,
    );
  addJsonFlag(addMemcachedFlags(command))
    .addHelpText('after', EXAMPLES)
    .action(async (file: string, flags: ReplayFlags) => {
      const isStepping = flags.step === true || flags.page !== undefined;
      exitWith(await (isStepping ? stepFile(file, flags) : replayFile(file, flags)));
    });
}

function reasonsOf(text: string): UncheckedReason[] {
  const reasons = text.split(',').map((reason) => reason.trim());
  const unknown = reasons.find((reason) => !UNCHECKED_REASONS.some((known) => known === reason));
  if (unknown === undefined) return reasons as UncheckedReason[];
  throw new InvalidArgumentError(`"${unknown}" is none of: ${UNCHECKED_REASONS.join(', ')}.`);
}

async function replayFile(file: string, flags: ReplayFlags): Promise<number> {
  if (flags.key !== undefined) checkKey(flags.key);
  const updates = await loadUpdates(flags.updates);
  const former = flags.former === undefined ? undefined : await loadUpdates(flags.former);
  const invariants =
    flags.invariants === undefined ? undefined : await loadInvariants(flags.invariants);
  const servers = flags.live === true ? openMemcached(flags) : undefined;
  const cells = servers && new Cells(servers);
  const progress = startProgress('replaying', await commitsIn(file), 'commits');
  let report: ReplayReport;
  try {
    report = await replay(inputOf(file), updates, {
      key: flags.key,
      former,
      allowUnchecked: flags.allowUnchecked,
      verifyUpdates: flags.verifyUpdates,
      invariants,
      live: cells && ((key) => liveValue(cells, key)),
      onProgress: (commits) => progress.update(commits),
    });
  } finally {
    progress.stop();
    if (servers !== undefined) await closeQuietly(servers);
  }
  if (flags.values === true) printValues(report);
  else if (flags.json === true) printReport(report);
  else print(replayText(report));
  return exitCodeOf(report, flags);
}

/** @throws TorilError MEMCACHED_* if it is the server, not the value, that cannot be used */
async function liveValue(cells: Cells, key: string): Promise<CommittedValue | undefined> {
  const cell = await cells.read(key);
  if (cell === undefined) return undefined;
  const { token, value } = cell;
  return { token, json: value === undefined ? undefined : JSON.stringify(value) };
}

/** What a key's cell would hold, made from nothing but the recording. */
function printValues({ keys }: ReplayReport): void {
  for (const { key, last } of keys) {
    if (last?.json !== undefined) print(`{"key":${JSON.stringify(key)},"value":${last.json}}`);
    else if (last === undefined) warn(`${key}: its last value is not known`);
  }
}

/** A line per key, then one of all. */
function printReport({ keys, ...report }: ReplayReport): void {
  for (const key of keys) printJson(withoutCommit(key));
  printJson({ ...report, keys: keys.length });
}

function withoutCommit({ difference, last: _last, ...key }: KeyReport): object {
  if (difference === undefined) return key;
  const { commit: _, watermarkBefore: __, joint: ___, ...told } = difference;
  return { ...key, difference: told };
}

function exitCodeOf(report: ReplayReport, { complete, json }: ReplayFlags): number {
  const { unknownUpdates, verdict } = report;
  if (verdict === 'differs' || verdict === 'broken') return EXIT.checkFailed;
  if (unknownUpdates.length > 0) {
    if (json !== true) {
      noteError('UNKNOWN_UPDATE', unknownUpdatesText(unknownUpdates));
    }
    return exitCodeFor('UNKNOWN_UPDATE');
  }
  if (complete === true && !report.complete) return EXIT.checkFailed;
  return verdict === 'agrees' ? EXIT.done : EXIT.notChecked;
}

/** For the progress bar only, so nothing of it is believed. 0: not known. */
async function commitsIn(file: string): Promise<number> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(file);
    const { size } = await handle.stat();
    const tail = Buffer.alloc(Math.min(size, TAIL_BYTES));
    await handle.read(tail, 0, tail.length, size - tail.length);
    const line = tail.toString().trimEnd().split('\n').at(-1) ?? '';
    const { end } = JSON.parse(line) as { end?: RecordingEnd };
    return Number.isSafeInteger(end?.commits) ? (end as RecordingEnd).commits : 0;
  } catch {
    return 0; // replay() says what is wrong with it
  } finally {
    await handle?.close();
  }
}
