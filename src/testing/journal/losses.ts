/** Jobs that were acknowledged, and whose work is not in their key's value any more. */
import { NO_VALUE_HASH, valueHash } from '../../history/history.ts';
import { TorilError } from '../../errors.ts';
import type { TestBed } from '../bed.ts';
import type { Commit } from './journal.ts';

export interface Loss {
  readonly jobIds: readonly string[];
  readonly why: string;
}

/** Milliseconds by which memcached, which counts in whole seconds, may drop a value too early. */
const EARLY_MS = 2_000;

export function lossesOf(bed: TestBed, key: string): Loss[] {
  const losses: Loss[] = [];
  let held: string[] = [];
  let before: Commit | undefined;
  const lose = (why: string): void => {
    if (held.length > 0) losses.push({ jobIds: held, why });
    held = [];
  };
  for (const commit of bed.journal.commits(key)) {
    const { origin, applied, token } = commit;
    if (!hasValue(before, commit.atMs))
      held = []; // deleted or expired, as was meant
    else if (origin === 'nothing') {
      lose(`memcached lost it without a copy (cellLost), and commit ${token} started over`);
    } else if (typeof origin === 'object') {
      lose(`commit ${token} adopted a foreign value in its place`);
    }
    held.push(...applied.map(({ jobId }) => jobId));
    before = commit;
  }
  if (hasValue(before, bed.now)) {
    const why = missing(bed, key, before);
    if (why !== undefined) lose(why);
  }
  return losses;
}

function hasValue(commit: Commit | undefined, atMs: number): commit is Commit {
  if (commit === undefined || commit.hash === NO_VALUE_HASH) return false;
  return atMs < commit.valueGoneMs - (commit.valueGoneMs === Infinity ? 0 : EARLY_MS);
}

/** Why the last commit's value is neither in memcached nor in a copy; undefined: it is. */
function missing(bed: TestBed, key: string, last: Commit): string | undefined {
  const { copy } = bed.lane(key);
  const isKept = copy !== undefined && hashOf(copy) === last.hash;
  let cell: ReturnType<TestBed['cell']>;
  try {
    cell = bed.cell(key);
  } catch (thrown) {
    if (thrown instanceof TorilError) return `its cell cannot be read (${thrown.code})`;
    throw thrown;
  }
  if (isKept) return undefined;
  if (cell === undefined) return 'memcached lost it, and there is no copy';
  if (cell.token > last.token) return undefined; // a commit that nobody has acknowledged yet
  if (cell.token < last.token) return `memcached has an older value, and there is no copy`;
  if (hashOf(cell.value) === last.hash) return undefined;
  return 'the value is another one than was committed';
}

function hashOf(value: unknown): string {
  return valueHash(value === undefined ? undefined : JSON.stringify(value));
}
