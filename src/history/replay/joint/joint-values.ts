/** The values of a joint commit's keys, over which its jobs are folded, and the updates that fold them. */
import { TorilError } from '../../../errors.ts';
import { JointUpdates, type JointValues } from '../../../updates/calling/joint-updates.ts';
import type { JointLines } from '../../recording/joint-lines.ts';
import type { RecordedCommit, RecordedJob } from '../../recording/recording.ts';
import type { Registry } from '../commit.ts';

/** The joint commit as one that foldCommit can fold: with all its jobs. */
export function wholeOf({ parts, jobs }: JointLines): RecordedCommit {
  return { ...(parts[0] as RecordedCommit), jobs };
}

/** A key's value, as one of the list. */
export function boxOf(value: unknown): JointValues[number] {
  return value === undefined ? null : [value];
}

/** The updates as the joint commit's fold calls them: as a worker does, over the list of all values. */
export function jointRegistry({ parts }: JointLines, registry: Registry): Registry {
  return registryOver(
    parts.map(({ key }) => key),
    registry,
  );
}

/** @param keys whose values the list has, in their order */
export function registryOver(keys: readonly string[], registry: Registry): Registry {
  return new JointUpdates({
    registry,
    places: new Map(keys.map((key, place) => [key, place])),
    keysChanged: () => {
      throw new TorilError(
        'INVALID_KEY',
        'the transaction says that the job belongs to other keys.',
      );
    },
  });
}

/** What the job has of the commit's values: those of its own keys, in its user's order. Of one key: its value. */
export function ownValues(
  values: unknown,
  { keys: among = [] }: RecordedCommit,
  { keys }: RecordedJob,
): unknown {
  if (keys === undefined) return values;
  return keys.map((key) => (values as JointValues)[among.indexOf(key)]?.[0]);
}
