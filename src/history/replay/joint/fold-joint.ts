/**
 * Folding a joint commit again: its jobs, in order, over the values of all its keys. If the value of one of them is not
 * known, nobody can fold it, and it is a gap for all of them.
 */
import { andThen } from '../../../base/promises.ts';
import type { JointValues } from '../../../updates/calling/joint-updates.ts';
import type { JointLines } from '../../recording/joint-lines.ts';
import { type FoldedCommit, foldCommit, type JobWatch, type Registry } from '../commit.ts';
import type { FoldedPart, KeyReplay } from '../keys/key-replay.ts';
import type { JointBefore } from '../report.ts';
import { jointRegistry, wholeOf } from './joint-values.ts';

/**
 * A promise only if an update or a schema is asynchronous.
 * @param keys those of its parts, in their order
 */
export function foldJoint(
  joint: JointLines,
  keys: readonly KeyReplay[],
  registry: Registry,
  watch?: JobWatch,
): void | Promise<void> {
  const { parts, line, isWhole } = joint;
  const starts = parts.map((part, at) => (keys[at] as KeyReplay).open(part, line + at));
  const close = (foldedOf: (at: number) => FoldedPart, before?: JointBefore): void => {
    for (const [at, part] of parts.entries())
      (keys[at] as KeyReplay).close(part, line + at, foldedOf(at), before);
  };
  if (!isWhole) return close(() => ({ kind: 'unknown', reason: 'commits-missing' }));
  if (starts.includes(undefined)) return close(() => OTHER_KEY);
  const values = starts as JointValues;
  const folded = foldCommit(wholeOf(joint), jointRegistry(joint, registry), values, 0, watch);
  return andThen(folded, (settled) =>
    close((at) => partOf(settled, parts[at]?.key ?? '', at), { lines: joint, values }),
  );
}

const OTHER_KEY = { kind: 'unknown', reason: 'other-key' } as const;

function partOf(folded: FoldedCommit, key: string, at: number): FoldedPart {
  switch (folded.kind) {
    case 'value':
      return { kind: 'value', value: (folded.value as JointValues)[at]?.[0] };
    case 'obstacle':
      return folded;
    case 'failed':
      // Jobs behind it were not folded, so that nothing is known of other keys.
      return folded.job.keys?.includes(key) === true ? folded : OTHER_KEY;
  }
}
