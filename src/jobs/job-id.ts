/** Ids of jobs that would meet Toril's own keys in Redis. */
import { TorilError } from '../errors.ts';

/** BullMQ keeps a job under its bare id, beside these, and what belongs to it under the id and more (`<id>:lock`). */
const RESERVED: ReadonlySet<string> = new Set([
  'lane',
  'copy',
  'sequence',
  'sequenceBegan',
  'history',
  'historyFirst',
  'memcached',
]);

/** @throws TorilError INVALID_OPTIONS */
export function checkJobId(jobId: string): void {
  const [name = ''] = jobId.split(':', 1);
  if (!RESERVED.has(name)) return;
  throw new TorilError(
    'INVALID_OPTIONS',
    `the jobId "${jobId}" is reserved: the queue keeps data of its own in Redis under names that begin with "${name}". Choose another one, such as "job-${jobId}".`,
  );
}
