/** Two versions of the updates on the same recorded traffic: what would be different, where and by how much. */
import { TorilError } from '../../errors.ts';
import { UpdateRegistry } from '../../updates/update-registry.ts';
import { type Updates, updatesOf } from '../../updates/updates-of.ts';
import { checkKey } from '../../key.ts';
import { commitsOf, nameOf, type RecordingInput } from '../recording/input.ts';
import { RecordingReader } from '../recording/reader.ts';
import type { RecordingHeader } from '../recording/recording.ts';
import { isSampled } from '../cutting/slice.ts';
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
  const keys = new Map<string, KeyComparison | undefined>();
  const reader = new RecordingReader(nameOf(recording));
  let commits = 0;
  await commitsOf(
    recording,
    reader,
    (commit) => {
      const { key } = commit;
      if (only !== undefined && key !== only) return undefined;
      let comparison = keys.get(key);
      if (comparison === undefined && !keys.has(key)) {
        comparison = isSampled(key, sample) ? new KeyComparison(key, old, now, tally) : undefined;
        keys.set(key, comparison);
      }
      if (comparison === undefined) return undefined;
      commits += 1;
      return comparison.next(commit, reader.commits + 1);
    },
    onProgress,
  );
  const all = [...keys.values()].filter((one) => one !== undefined);
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
