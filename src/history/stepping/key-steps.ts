/** One key of a recording, job by job, with the updates of today. */
import { andThen } from '../../base/promises.ts';
import { TorilError } from '../../errors.ts';
import { checkKey } from '../../key.ts';
import { UpdateRegistry } from '../../updates/update-registry.ts';
import { type Updates, updatesOf } from '../../updates/updates-of.ts';
import { commitsOf, nameOf, type RecordingInput } from '../recording/input.ts';
import { CommitLines, type JointLines } from '../recording/joint-lines.ts';
import { RecordingReader } from '../recording/reader.ts';
import {
  type RecordedCommit,
  type RecordedJob,
  SINGLE_KEY_FORMAT,
} from '../recording/recording.ts';
import { JobTrials } from '../replay/jobs/job-trials.ts';
import { foldJoint } from '../replay/joint/fold-joint.ts';
import { KeyReplay } from '../replay/keys/key-replay.ts';
import type { ReplayedJob } from '../replay/jobs/replayed-job.ts';
import type { UncheckedReason } from '../replay/report.ts';
import { editBetween, type TextEdit } from './text-edit.ts';

/** Values as text: their JSON, nothing for no value, and this for one that is not known. */
export const NOT_KNOWN = '?';
export const NO_VALUE = '';

export interface Step {
  /** Of the file, counted from 1. */
  readonly line: number;
  readonly token: number;
  readonly job: RecordedJob;
  readonly end:
    | { readonly kind: 'applied'; readonly result: unknown }
    /** With the updates of today. The key goes on without it. */
    | { readonly kind: 'failed'; readonly code: string; readonly message: string }
    /** Its update was not called. */
    | { readonly kind: 'not-run' };
  /** From the value behind the step before to the one that it began with, if that is another. */
  readonly jump: TextEdit | undefined;
  /** From the value that it began with to the one behind it. */
  readonly edit: TextEdit;
  /** Of its commit, told at its last job. */
  readonly commit: CommitVerdict | undefined;
}

type CommitVerdict =
  | { readonly kind: 'agrees' }
  /** @property expected the recorded value's JSON; undefined: only its hash was recorded */
  | { readonly kind: 'differs'; readonly expected: string | undefined }
  | { readonly kind: 'not-checked'; readonly reason: UncheckedReason };

export interface KeySteps {
  readonly key: string;
  /** "bull:orders" */
  readonly queue: string;
  readonly steps: readonly Step[];
}

/** Characters of values that are kept, at most. */
const CHARACTERS_MAX = 200_000_000;

/**
 * All jobs of a key. Behind its first difference, updates are not called any more, and values are those that
 * were recorded.
 * @throws TorilError as `replay`; NOTHING_RECORDED (no such key), RECORDING_TOO_LARGE
 */
export async function stepsOf(
  recording: RecordingInput,
  updates: Updates,
  key: string,
): Promise<KeySteps> {
  checkKey(key);
  const reader = new RecordingReader(nameOf(recording));
  const making = new StepsOfKey(new UpdateRegistry(updatesOf(updates)), key);
  const lines = new CommitLines({
    single: (commit, line) => {
      if (commit.key === key) return making.next(commit, line);
      const isNeeded = (reader.header?.format ?? 0) > SINGLE_KEY_FORMAT; // by a joint commit that may come
      return isNeeded ? making.follow(commit, line) : undefined;
    },
    joint: (joint) => making.nextJoint(joint),
  });
  await commitsOf(recording, reader, (commit) => lines.next(commit, reader.commits + 1));
  await lines.end();
  if (making.steps.length === 0) {
    throw new TorilError(
      'NOTHING_RECORDED',
      `${nameOf(recording)} has no job of the key ${JSON.stringify(key)}.`,
    );
  }
  return { key, queue: reader.header?.queue ?? '', steps: making.steps };
}

type Told = Pick<Step, 'end' | 'jump' | 'edit'>;

class StepsOfKey {
  readonly #key: string;
  readonly #registry: UpdateRegistry;
  readonly #trials: JobTrials;
  readonly #replay: KeyReplay;
  /** Other keys, of which joint commits need the values. */
  readonly #others = new Map<string, KeyReplay>();
  readonly steps: Step[] = [];
  /** Of the commit in hand. */
  #told = new Map<RecordedJob, Told>();
  /** The value behind the last job. */
  #text: string = NO_VALUE;
  #characters = 0;

  constructor(registry: UpdateRegistry, key: string) {
    this.#key = key;
    this.#registry = registry;
    this.#trials = new JobTrials((job) => this.#tell(job));
    this.#replay = new KeyReplay(registry, new Set(), this.#trials);
  }

  next(commit: RecordedCommit, line: number): void | Promise<void> {
    this.#told = new Map();
    this.#trials.clear(line);
    const counts = new Map(this.#replay.tally.unchecked);
    const folding = this.#replay.next(commit, line);
    if (folding === undefined) return this.#take(commit, line, counts);
    return folding.then(() => this.#take(commit, line, counts));
  }

  /** Another key's commit. */
  follow(commit: RecordedCommit, line: number): void | Promise<void> {
    return this.#other(commit.key).next(commit, line);
  }

  nextJoint(joint: JointLines): void | Promise<void> {
    const { parts, line } = joint;
    const at = parts.findIndex(({ key }) => key === this.#key);
    const keys = parts.map(({ key }) => (key === this.#key ? this.#replay : this.#other(key)));
    const part = parts[at];
    if (part === undefined) return foldJoint(joint, keys, this.#registry);
    this.#told = new Map();
    this.#trials.clear(line, joint);
    const counts = new Map(this.#replay.tally.unchecked);
    const folding = foldJoint(joint, keys, this.#registry, this.#trials);
    return andThen(folding, () => this.#take(part, line + at, counts));
  }

  #other(key: string): KeyReplay {
    const known = this.#others.get(key) ?? new KeyReplay(this.#registry, new Set());
    this.#others.set(key, known);
    return known;
  }

  /** At once: a commit may have many jobs, and each of them a long value. */
  #tell({ job, keys, failure, result, ...values }: ReplayedJob): void {
    const place = keys?.indexOf(this.#key);
    if (place === -1) return; // of another key of a joint commit
    const own = (value: unknown): unknown =>
      place === undefined ? value : (value as readonly unknown[])[place];
    const [start, behind] = [textOf(own(values.before)), textOf(own(values.after))];
    this.#told.set(job, {
      end: failure === undefined ? { kind: 'applied', result } : { kind: 'failed', ...failure },
      jump: start === this.#text ? undefined : editBetween(this.#text, start),
      edit: editBetween(start, behind),
    });
    this.#text = behind;
  }

  #take(commit: RecordedCommit, line: number, before: ReadonlyMap<UncheckedReason, number>): void {
    const verdict = this.#verdict(commit, before);
    const isKnown = verdict.kind !== 'not-checked';
    for (const [at, job] of commit.jobs.entries()) {
      const isLast = at === commit.jobs.length - 1;
      const behind = isLast ? this.#textBehind(commit) : undefined;
      const isStill = isKnown || job.outcome !== undefined; // it left the value as it was
      this.#push({
        ...{ line, token: commit.token, job },
        ...(this.#told.get(job) ?? this.#untold(behind ?? (isStill ? this.#text : NOT_KNOWN))),
        commit: isLast ? verdict : undefined,
      });
    }
  }

  #untold(behind: string): Told {
    const edit = editBetween(this.#text, behind);
    this.#text = behind;
    return { end: { kind: 'not-run' }, jump: undefined, edit };
  }

  #push(step: Step): void {
    const { jump, edit } = step;
    for (const each of [jump, edit])
      this.#characters += (each?.removed.length ?? 0) + (each?.inserted.length ?? 0);
    if (this.#characters > CHARACTERS_MAX) {
      throw new TorilError(
        'RECORDING_TOO_LARGE',
        `the values of the key ${JSON.stringify(this.#key)} are too many to step through. Take a part of them: toril slice --key, --since, --until.`,
      );
    }
    this.steps.push(step);
  }

  #verdict(commit: RecordedCommit, before: ReadonlyMap<UncheckedReason, number>): CommitVerdict {
    const { difference, agrees, tally } = this.#replay;
    if (agrees) return { kind: 'agrees' };
    if (difference?.commit === commit) {
      return { kind: 'differs', expected: difference.expected?.json };
    }
    const reason = [...tally.unchecked].find(
      ([name, count]) => count !== (before.get(name) ?? 0),
    )?.[0];
    return { kind: 'not-checked', reason: reason ?? 'behind-difference' };
  }

  /** Undefined: what its jobs came to, or nobody knows. */
  #textBehind(commit: RecordedCommit): string | undefined {
    const { last, difference } = this.#replay;
    if (last !== undefined) return last.json ?? NO_VALUE;
    if (difference === undefined || difference.commit === commit) return undefined;
    return commit.value === undefined ? undefined : JSON.stringify(commit.value);
  }
}

function textOf(value: unknown): string {
  return value === undefined ? NO_VALUE : JSON.stringify(value);
}
