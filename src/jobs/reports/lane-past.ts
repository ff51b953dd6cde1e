/** A key's last commits and refused ones, as they are told. Pure; where they are kept: ../redis/refused-commits.ts, the history. */
import { isoTime } from '../../base/clock.ts';
import type { LaneCommit, RefusedCommit, RefusedCommits } from './lane-report.ts';

export const COMMITS_TOLD = 5;

export const NONE_REFUSED: RefusedCommits = { count: 0, last: undefined };

/** The events of workers that tell of a refused commit, and who refused it. */
export const REFUSED_BY: Readonly<Record<string, RefusedCommit['by']>> = {
  commitRefused: 'memcached',
  acknowledgementRefused: 'redis',
};

/**
 * @param recorded the newest that the history has, newest first; it may be off, or have been until a moment ago
 * @param token of the copy: of the last acknowledged commit; 0: there has been none
 */
export function lastCommits(token: number, recorded: readonly LaneCommit[]): readonly LaneCommit[] {
  if (token <= (recorded[0]?.token ?? 0)) return recorded;
  // A token is drawn from the time in microseconds.
  const last = { token, atMs: Math.floor(token / 1_000), jobs: undefined, recovered: false };
  return [last, ...recorded].slice(0, COMMITS_TOLD);
}

/** Keys that a commit's jobs have changed with this one. */
export function otherKeysOf(
  jobs: readonly { readonly keys?: readonly string[] }[],
  key: string,
): string[] {
  return [...new Set(jobs.flatMap(({ keys = [] }) => keys))].filter((one) => one !== key);
}

const OTHER_KEYS_NAMED = 5;

/** ", with b, c and 3 more"; empty: there are none. @param shown how one of them is shown */
export function withKeysText(keys: readonly string[], shown: (key: string) => string): string {
  if (keys.length === 0) return '';
  const rest = keys.length - OTHER_KEYS_NAMED;
  const named = keys.slice(0, OTHER_KEYS_NAMED).map(shown).join(', ');
  return `, with ${named}${rest > 0 ? ` and ${rest} more` : ''}`;
}

/** Empty: none was refused. */
export function refusedText({ count, last }: RefusedCommits): string {
  if (last === undefined) return '';
  const why = { memcached: 'the cell had changed', redis: 'the key had gone another way' };
  const commits = count === 1 ? '1 commit was' : `${count} commits were`;
  return `${commits} refused, the last by ${last.by} at ${isoTime(last.atMs)}: ${why[last.by]}`;
}
