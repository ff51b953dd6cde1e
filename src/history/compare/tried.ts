/** Which jobs of a recording two versions of the updates are given. */
import type { RecordedJob } from '../recording/recording.ts';
import { isApplied } from '../replay/commit.ts';
import { untriedReason } from '../replay/jobs/job-trials.ts';

/** Applied then, or failed by its own update: then the new version may succeed. */
export function isTried(job: RecordedJob, watermark: number): boolean {
  if (job.outcome?.kind === 'failed') return untriedReason(job) === undefined;
  return isApplied(job, watermark);
}
