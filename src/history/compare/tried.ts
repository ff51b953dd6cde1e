/** Which jobs of a recording two versions of the updates are given. */
import type { RecordedJob } from '../recording/recording.ts';
import { isApplied } from '../replay/commit.ts';

/** Applied then, or failed by its own update: then the new version may succeed. */
export function isTried(job: RecordedJob, watermark: number): boolean {
  if (job.outcome?.kind === 'failed') return !OUTSIDE.has(job.outcome.code);
  return isApplied(job, watermark);
}

/** Failures in which the update had no part. */
const OUTSIDE: ReadonlySet<string> = new Set([
  ...[
    'JOB_DROPPED',
    'JOB_CASCADED',
    'JOB_STALLED_TOO_OFTEN',
    'UPDATE_TIMED_OUT',
    'VALUE_TOO_LARGE',
  ],
]);
