/** What a replay comes to: of one key, and of the whole recording. */
import type { InvariantReport } from '../invariants/report.ts';
import type { KeyCheck } from './keys/key-check.ts';
import type { Difference, KeyReport, ReplayReport, UncheckedReason } from './report.ts';

/** Reasons for which commits may stay unchecked. */
export type Allowed = readonly UncheckedReason[] | undefined;

/** Whether all commits of the key were checked, but for what may stay unchecked. */
export function isAllChecked(
  { tally: { unchecked, holes } }: KeyCheck['replay'],
  allowed: Allowed = [],
): boolean {
  if (holes > 0 && !allowed.includes('commits-missing')) return false;
  return [...unchecked.keys()].every((reason) => allowed.includes(reason));
}

/** @param hasResults the recording has the results of jobs */
export function keyVerdict(
  { replay, outcomes }: KeyCheck,
  difference: Difference | undefined,
  hasResults: boolean,
  allowed: Allowed,
): KeyReport['verdict'] {
  if (difference !== undefined || outcomes.isOtherwise(hasResults)) return 'differs';
  if (replay.tally.meetsUnknown) return 'unknown-update';
  return isAllChecked(replay, allowed) ? 'agrees' : 'unchecked';
}

export function verdictOf(
  {
    keys,
    checked,
    torn,
    invariants,
  }: Pick<ReplayReport, 'keys' | 'checked' | 'torn'> & {
    readonly invariants: readonly InvariantReport[];
  },
  allowed: Allowed = [],
): ReplayReport['verdict'] {
  if (keys.some(isOtherwise)) return 'differs';
  if (invariants.some(({ verdict }) => verdict === 'broken')) return 'broken';
  if (checked === 0 || (torn.length > 0 && !allowed.includes('commits-missing')))
    return 'not-checked';
  const isSound =
    keys.every(({ verdict }) => verdict === 'agrees') &&
    invariants.every(({ verdict }) => verdict === 'holds');
  return isSound ? 'agrees' : 'not-checked';
}

function isOtherwise({ verdict, live }: KeyReport): boolean {
  return verdict === 'differs' || live?.kind === 'differs' || live?.kind === 'unreadable';
}
