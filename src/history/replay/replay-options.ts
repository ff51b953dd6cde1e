import { TorilError } from '../../errors.ts';
import { checkKey } from '../../key.ts';
import type { Updates } from '../../updates/updates-of.ts';
import type { AnyInvariant } from '../invariants/invariant.ts';
import type { OnJob } from './jobs/replayed-job.ts';
import type { ReadCell } from './live.ts';
import type { UncheckedReason } from './report.ts';

export interface ReplayOptions {
  /** Only this key. */
  readonly key?: string | undefined;
  /**
   * The updates as they were when the history was made. They tell which job of a commit is the first
   * to differ, and what its value was, where the recording has only the hash of many jobs' work; and
   * whether a job that failed then and succeeds now does so because the updates were changed. They are
   * believed only where they give the recorded hashes.
   */
  readonly former?: Updates | undefined;
  /**
   * Runs each update three times, in other surroundings (another time, time zone and environment): a job
   * whose update does not give the same each time fails with UPDATE_NOT_REPEATABLE, so its key differs.
   */
  readonly verifyUpdates?: boolean | undefined;
  /** Reasons for which commits may stay unchecked without keeping the whole from agreeing. */
  readonly allowUnchecked?: readonly UncheckedReason[] | undefined;
  /** Reads a cell as it is now; undefined: memcached has none. With it, last values are compared. */
  readonly live?: ReadCell | undefined;
  /**
   * Told of each job that is run: the value before and after it, and its result. Jobs that failed then are
   * tried and told as well. Not told: what cannot be run (strict updates, missing data), jobs of commits
   * whose beginning is not known, and those behind a key's first difference, once both values of it are known.
   */
  readonly onJob?: OnJob | undefined;
  /**
   * Keys whose asynchronous updates run at the same time; default 100. With `onJob` or `invariants` it is 1: each commit
   * waits for the one before it in the file, of whatever key.
   */
  readonly keysAtOnce?: number | undefined;
  /** What must hold of values, of each job, or of all keys together. */
  readonly invariants?: readonly AnyInvariant[] | undefined;
  /** Told now and then how many commits were read. */
  readonly onProgress?: ((commits: number) => void) | undefined;
}

/** One that is misspelt would never be looked at: so might an invariant. */
const OPTIONS: Readonly<Record<keyof ReplayOptions, true>> = {
  ...{ key: true, former: true, verifyUpdates: true, allowUnchecked: true, live: true },
  ...{ onJob: true, invariants: true, keysAtOnce: true, onProgress: true },
};

/** @throws TorilError INVALID_OPTIONS, INVALID_KEY */
export function checkOptions(options: ReplayOptions): void {
  const unknown = Object.keys(options).find((name) => !Object.hasOwn(OPTIONS, name));
  if (unknown !== undefined) {
    throw new TorilError('INVALID_OPTIONS', `replay has no option ${unknown}.`);
  }
  if (options.key !== undefined) checkKey(options.key);
}
