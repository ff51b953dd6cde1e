/** Replaying a recording: every commit is folded again with today's updates, and every hash compared. */
import { andThen } from '../../base/promises.ts';
import { TorilError } from '../../errors.ts';
import { verified } from '../../updates/calling/determinism.ts';
import type { AnyUpdate } from '../../updates/update.ts';
import { UpdateRegistry } from '../../updates/update-registry.ts';
import { type Updates, updatesOf } from '../../updates/updates-of.ts';
import { CommitLines, type JointLines } from '../recording/joint-lines.ts';
import {
  type RecordedCommit,
  type RecordingEnd,
  type RecordingHeader,
  SINGLE_KEY_FORMAT,
} from '../recording/recording.ts';
import { commitsOf, nameOf, type RecordingInput } from '../recording/input.ts';
import { RecordingReader } from '../recording/reader.ts';
import { differenceBetween } from './difference.ts';
import { allFailures, allResults, sumCounts } from './jobs/job-outcomes.ts';
import { KeyCheck } from './keys/key-check.ts';
import { KEYS_AT_ONCE, KeysAtOnce } from './keys/keys-at-once.ts';
import { comparedLive } from './live.ts';
import { ReplayedSteps } from '../invariants/replayed-steps.ts';
import { copyOfJson } from '../../updates/values/json-value.ts';
import { notLookedAt } from './not-looked-at.ts';
import { pinpointed } from './pinpoint.ts';
import type { OnJob } from './jobs/replayed-job.ts';
import { checkOptions, type ReplayOptions } from './replay-options.ts';
import type { Difference, KeyReport, ReplayReport } from './report.ts';
import { isAllChecked, keyVerdict, verdictOf } from './verdict.ts';

/** Keys whose difference is shown with its values; of more, only the place is told. */
const DIFFERENCES_SHOWN = 20;

/**
 * Folds every key from its beginning, or from its first checkpoint. What it keeps in memory is the
 * last value of each key, nothing that grows with the number of commits. Updates that act on the
 * outside world (`strict`) are not run.
 *
 * @param recording a file's path or URL, its bytes, or its pieces (a stream, or lines with their newlines)
 * @throws TorilError BAD_FILE, RECORDING_DAMAGED, RECORDING_NEWER, RECORDING_MASKED, NOTHING_RECORDED
 *   (no such key), INVALID_KEY, INVALID_OPTIONS, DUPLICATE_UPDATE,
 *   INVARIANT_UNUSABLE, whatever `live` and `onJob` throw. Whatever differs is in the report, not thrown.
 */
export async function replay(
  recording: RecordingInput,
  updates: Updates,
  options: ReplayOptions = {},
): Promise<ReplayReport> {
  const reader = new RecordingReader(nameOf(recording));
  const replaying = new Replay(reader, updates, options);
  try {
    await commitsOf(recording, reader, (commit) => replaying.next(commit), options.onProgress);
    await replaying.lines.end();
  } finally {
    await replaying.idle(); // also of a damaged file: what was begun is finished
  }
  return replaying.report(nameOf(recording));
}

class Replay {
  readonly #reader: RecordingReader;
  readonly #registry: UpdateRegistry;
  readonly #former: UpdateRegistry | undefined;
  readonly #options: ReplayOptions;
  readonly #keys = new Map<string, KeyCheck>();
  readonly #unknown = new Set<string>();
  readonly #keysAtOnce: KeysAtOnce;
  readonly lines: CommitLines;
  readonly #steps: ReplayedSteps | undefined;
  readonly #onJob: OnJob | undefined;

  constructor(reader: RecordingReader, updates: Updates, options: ReplayOptions) {
    checkOptions(options);
    this.#reader = reader;
    const verify = (update: AnyUpdate): AnyUpdate => verified(update, () => undefined);
    const isVerified = options.verifyUpdates === true;
    this.#registry = new UpdateRegistry(updatesOf(updates), isVerified ? verify : undefined);
    this.#former = options.former && new UpdateRegistry(updatesOf(options.former));
    this.#options = options;
    const { invariants, onJob, keysAtOnce = KEYS_AT_ONCE } = options;
    this.#steps = invariants && new ReplayedSteps(invariants);
    this.#onJob = this.#steps === undefined ? onJob : asking(this.#steps, onJob);
    this.#keysAtOnce = new KeysAtOnce(this.#onJob === undefined ? keysAtOnce : 1);
    this.lines = new CommitLines({
      single: (commit, line, characters) => this.#single(commit, line, characters),
      joint: (joint) => this.#joint(joint),
    });
  }

  /** A promise: the next one must wait for it. */
  next(commit: RecordedCommit): void | Promise<void> {
    return this.lines.next(commit, this.#reader.commits + 1, this.#reader.lineCharacters);
  }

  #single(commit: RecordedCommit, line: number, characters: number): void | Promise<void> {
    const { key } = commit;
    if (!this.#isFollowed(key)) return undefined;
    const check = this.#checkOf(key);
    return this.#keysAtOnce.next(key, characters, () => this.#fold(check, commit, line));
  }

  #joint(joint: JointLines): void | Promise<void> {
    const { parts, characters } = joint;
    const checks = parts.map(({ key }) => this.#checkOf(key));
    const keys = parts.map(({ key }) => key);
    return this.#keysAtOnce.nextOf(keys, characters, () => this.#foldJoint(checks, joint));
  }

  /** Which of the keys joint commits lead to shows only later, so all are, where there may be some; only one is told. */
  #isFollowed(key: string): boolean {
    return this.#isTold(key) || (this.#reader.header?.format ?? 0) > SINGLE_KEY_FORMAT;
  }

  #isTold(key: string): boolean {
    return this.#options.key === undefined || key === this.#options.key;
  }

  #checkOf(key: string): KeyCheck {
    let check = this.#keys.get(key);
    if (check !== undefined) return check;
    const isTold = this.#isTold(key);
    const unknown = isTold ? this.#unknown : new Set<string>();
    check = new KeyCheck(this.#registry, this.#former, unknown, isTold ? this.#onJob : undefined);
    this.#keys.set(key, check);
    const { header } = this.#reader;
    const isPart = header?.key !== null || header.part === true;
    if (isPart || this.#options.key !== undefined) this.#steps?.onlySomeKeys();
    return check;
  }

  idle(): Promise<void> {
    return this.#keysAtOnce.idle();
  }

  async report(name: string): Promise<ReplayReport> {
    await this.#keysAtOnce.end();
    const end = this.#reader.end();
    const { header } = this.#reader;
    const { key, live } = this.#options;
    for (const other of this.#keys.keys()) if (!this.#isTold(other)) this.#keys.delete(other);
    if (key !== undefined && this.#keys.size === 0) {
      throw new TorilError(
        'NOTHING_RECORDED',
        `${name} has no commit of the key ${JSON.stringify(key)}.`,
      );
    }
    const invariants = this.#steps?.end() ?? [];
    const own = await this.#keyReports(end);
    const keys = live === undefined ? own : await comparedLive(own, live);
    const checked = keys.reduce((sum, { checked: more }) => sum + more, 0);
    const commits = keys.reduce((sum, { commits: more }) => sum + more, 0);
    const holes = [...this.#keys.values()].reduce(
      (sum, { replay: own }) => sum + own.tally.holes,
      0,
    );
    const torn = end.torn ?? [];
    const verdict = verdictOf({ keys, checked, torn, invariants }, this.#options.allowUnchecked);
    return {
      recording: header as RecordingHeader,
      verdict,
      agrees: verdict === 'agrees',
      complete: checked === commits && torn.length === 0 && holes === 0,
      commits,
      checked,
      unchecked: sumCounts(keys.map(({ unchecked }) => unchecked)),
      torn,
      jobs: end.jobs,
      failures: allFailures(keys.map(({ failures }) => failures)),
      results: allResults(keys.map(({ results }) => results)),
      invariants,
      notLookedAt: notLookedAt({
        keys: this.#keys.values(),
        registry: this.#registry,
        former: this.#former,
        isAsynchronous: this.#keysAtOnce.wasBusy,
      }),
      unknownUpdates: [...this.#unknown],
      keys,
    };
  }

  #fold(check: KeyCheck, commit: RecordedCommit, line: number): void | Promise<void> {
    const pending = check.next(commit, line);
    if (this.#steps === undefined) return pending;
    const passOver = (): void => this.#passOver(commit.key, line, check.replay);
    return pending === undefined ? passOver() : pending.then(passOver);
  }

  #foldJoint(checks: readonly KeyCheck[], joint: JointLines): void | Promise<void> {
    const { parts, line } = joint;
    const told = checks.find((_, at) => this.#isTold(parts[at]?.key ?? ''));
    const pending = (told ?? (checks[0] as KeyCheck)).nextJoint(joint, checks);
    if (this.#steps === undefined) return pending;
    return andThen(pending, () => {
      for (const [at, { key }] of parts.entries())
        if (this.#isTold(key)) this.#passOver(key, line + at, (checks[at] as KeyCheck).replay);
    });
  }

  /** Invariants have not seen how the key has come to the value that it has now. */
  #passOver(key: string, line: number, replayed: KeyCheck['replay']): void {
    const { agrees, last } = replayed;
    if (agrees) return;
    if (last !== undefined) this.#steps?.learn(key, line, last.json);
    else
      this.#steps?.lose(
        key,
        !replayed.isDone() && isAllChecked(replayed, this.#options.allowUnchecked),
      );
  }

  async #keyReports({ results }: RecordingEnd): Promise<KeyReport[]> {
    const reports: KeyReport[] = [];
    let shown = 0;
    for (const [key, check] of this.#keys) {
      const { difference } = check.replay;
      if (difference !== undefined) shown += 1;
      const told = difference && (await this.#told(difference, shown <= DIFFERENCES_SHOWN));
      reports.push(this.#reportOf(key, check, told, results === true));
    }
    return reports;
  }

  #reportOf(
    key: string,
    check: KeyCheck,
    difference: Difference | undefined,
    hasResults: boolean,
  ): KeyReport {
    const { replay: replayed, outcomes } = check;
    const { start, tally, last } = replayed;
    const { commits, checked, unchecked, restarts, gaps, gapsCount } = tally;
    const verdict = keyVerdict(check, difference, hasResults, this.#options.allowUnchecked);
    return {
      ...{ key, verdict, start, commits, checked, unchecked: Object.fromEntries(unchecked) },
      ...{ restarts, failures: outcomes.failures, results: outcomes.results(hasResults) },
      ...{ gaps, gapsCount, difference, last },
    };
  }

  async #told(difference: Difference, inFull: boolean): Promise<Difference> {
    if (!inFull) return difference;
    const exact =
      this.#former === undefined
        ? difference
        : await pinpointed(difference, this.#registry, this.#former);
    const { expected, actual } = exact;
    if (expected === undefined || actual === undefined) return exact;
    return { ...exact, diff: differenceBetween(expected.json, actual.json) };
  }
}

/** Invariants come first, with values that they freeze; the other one's are copies. */
function asking(steps: ReplayedSteps, onJob: OnJob | undefined): OnJob {
  return (job) => {
    const copies = onJob && {
      before: copyOfJson(job.before),
      after: copyOfJson(job.after),
      result: copyOfJson(job.result),
    };
    steps.take(job);
    return onJob?.({ ...job, ...copies });
  };
}
