/** Two versions of the updates on the same recorded traffic: what would be different, where and by how much. */
import { TorilError } from '../../errors.ts';
import { UpdateRegistry } from '../../updates/update-registry.ts';
import { type Updates, updatesOf } from '../../updates/updates-of.ts';
import { checkKey } from '../../key.ts';
import { commitsOf, nameOf, type RecordingInput } from '../recording/input.ts';
import { RecordingReader } from '../recording/reader.ts';
import { CommitLines } from '../recording/joint-lines.ts';
import {
  type RecordedCommit,
  type RecordingHeader,
  SINGLE_KEY_FORMAT,
} from '../recording/recording.ts';
import { isSampled } from '../cutting/slice.ts';
import { JointComparison } from './joint-comparison.ts';
import { KeyComparison } from './key-comparison.ts';
import { Tally, type UpdateReport } from './tally.ts';

export interface CompareOptions {
  readonly old: Updates;
  readonly new: Updates;
  /** Fields that may differ, with all below them: `.updatedAt`, `.lines[].at`. */
  readonly ignore?: readonly string[] | undefined;
  /** Only this key. */
  readonly key?: string | undefined;
  /** The share of the keys that is looked at, always the same ones; default 1. */
  readonly sample?: number | undefined;
  /** Told now and then how many commits were read. */
  readonly onProgress?: ((commits: number) => void) | undefined;
}

export interface CompareReport {
  readonly recording: RecordingHeader;
  /** `not-compared`: nothing differs, but some commits could not be given to both. */
  readonly verdict: 'same' | 'differs' | 'not-compared';
  readonly keys: number;
  readonly differingKeys: number;
  readonly commits: number;
  /** Of these, given to both versions; */
  readonly compared: number;
  /** and of these, those of which the old version has the recorded hash: fewer tell that it is not what was run. */
  readonly repeatedByOld: number;
  readonly updates: readonly UpdateReport[];
}

/**
 * Both versions go on from their own values: what differs once, differs on. A job is blamed for a field only if it
 * changed the difference there. Strict updates are not run: both go on from the value that was recorded.
 * @throws TorilError as `replay`
 */
export async function compare(
  recording: RecordingInput,
  options: CompareOptions,
): Promise<CompareReport> {
  const { sample = 1, key: only, onProgress } = options;
  if (only !== undefined) checkKey(only);
  if (!(sample > 0 && sample <= 1)) {
    throw new TorilError('INVALID_OPTIONS', `sample must be above 0 and at most 1, not ${sample}.`);
  }
  const [old, now] = [
    new UpdateRegistry(updatesOf(options.old)),
    new UpdateRegistry(updatesOf(options.new)),
  ];
  const { ignore = [] } = options;
  // It would be the whole value, so that nothing differs ever.
  if (ignore.some((field) => typeof field !== 'string' || field.trim() === '')) {
    throw new TorilError(
      'INVALID_OPTIONS',
      'ignore must name fields, as .updatedAt, and one is empty.',
    );
  }
  const tally = new Tally(ignore);
  const keys = new Map<string, KeyComparison>();
  const told = new Set<string>();
  const reader = new RecordingReader(nameOf(recording));
  let commits = 0;
  const isTold = (key: string): boolean =>
    told.has(key) || ((only === undefined || key === only) && isSampled(key, sample));
  const comparisonOf = (key: string): KeyComparison => {
    const isOne = isTold(key);
    if (isOne) commits += 1;
    let comparison = keys.get(key);
    if (comparison !== undefined) return comparison;
    comparison = new KeyComparison(key, old, now, isOne ? tally : undefined);
    keys.set(key, comparison);
    if (isOne) told.add(key);
    return comparison;
  };
  const lines = new CommitLines({
    single: (commit, line) => {
      // Where there may be joint commits, they may need any key's values.
      const isFollowed = isTold(commit.key) || reader.header?.format !== SINGLE_KEY_FORMAT;
      return isFollowed ? comparisonOf(commit.key).next(commit, line) : undefined;
    },
    joint: (joint) => {
      const isOne = joint.parts.some(({ key }) => isTold(key));
      const its = joint.parts.map(({ key }) => comparisonOf(key));
      return new JointComparison(joint, its, { old, new: now }, isOne ? tally : undefined).run();
    },
  });
  const next = (commit: RecordedCommit): void | Promise<void> =>
    lines.next(commit, reader.commits + 1);
  await commitsOf(recording, reader, next, onProgress);
  await lines.end();
  const all = [...keys].flatMap(([key, comparison]) => (told.has(key) ? comparison : []));
  const compared = all.reduce((sum, one) => sum + one.compared, 0);
  const updates = tally.reports();
  const differs = updates.some(({ differ }) => differ > 0);
  const isWhole = compared === commits && compared > 0;
  return {
    recording: reader.header as RecordingHeader,
    verdict: differs ? 'differs' : isWhole ? 'same' : 'not-compared',
    keys: all.length,
    differingKeys: tally.differingKeys,
    commits,
    compared,
    repeatedByOld: all.reduce((sum, one) => sum + one.repeated, 0),
    updates,
  };
}
