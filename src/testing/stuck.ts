/** Why jobs are not done: words for those who wait for them. */
import type { MemoryJobs } from '../jobs/memory/memory-jobs.ts';
import type { Crew } from './workers/crew.ts';
import type { JobQueue } from './bullmq/job-queue.ts';
import type { JobRecord } from './bullmq/job-record.ts';
import type { BedEvent } from './views.ts';

const JOBS_LISTED = 5;

export interface StuckParts {
  readonly jobs: MemoryJobs;
  readonly queue: JobQueue;
  readonly crew: Crew;
  readonly events: readonly BedEvent[];
  readonly wallMs: () => number;
  readonly isMemcachedDown: () => boolean;
}

export function explainStuck(parts: StuckParts): string {
  const left = [...parts.queue.records()].filter(({ job }) => job.finishedOn === undefined);
  const general = [
    ...(parts.isMemcachedDown() ? ['memcached is down (fault.memcachedDown)'] : []),
    ...parts.crew.workers.flatMap(({ place, clock }) =>
      clock.state === 'running' ? [] : [`worker ${place} is ${clock.state}`],
    ),
  ];
  const listed = left.slice(0, JOBS_LISTED).map((record) => `\n  ${explainJob(record, parts)}`);
  const more = left.length > JOBS_LISTED ? `\n  and ${left.length - JOBS_LISTED} more` : '';
  const count = left.length === 1 ? '1 job is not done' : `${left.length} jobs are not done`;
  return `${[...general, count].join('; ')}:${listed.join('')}${more}`;
}

function explainJob(record: JobRecord, parts: StuckParts): string {
  const { job, key } = record;
  const worker = parts.crew.upkeep.workerOf(job.id)?.replace('#', ', life ');
  const where = worker === undefined ? job.state : `in the hands of ${worker}`;
  return `job ${job.id} ("${job.name}", key "${key}") is ${where}${reason(record, parts)}`;
}

function reason(
  { job, key, delayedFor }: JobRecord,
  { jobs, queue, ...parts }: StuckParts,
): string {
  if (job.state === 'delayed' && delayedFor !== 'turn') {
    const why = delayedFor === 'backoff' ? ' for its next attempt' : '';
    return `${why}, due in ${job.dueMs - parts.wallMs()} ms`;
  }
  const [head] = jobs.inspect(key, 1).head;
  const blocker = head === undefined ? undefined : queue.record(head.jobId);
  if (blocker !== undefined && blocker.job.id !== job.id && blocker.job.state === 'failed') {
    return `, behind job ${blocker.job.id}, which failed and holds the lane: ${blocker.error?.message}`;
  }
  const held = parts.events.findLast((event) => event.type === 'laneHeld' && event.key === key);
  if (held?.type === 'laneHeld' && held.jobId === undefined) return `: ${held.reason}`;
  if (blocker !== undefined && blocker.job.id !== job.id) {
    return `, behind job ${blocker.job.id}, which is ${blocker.job.state}`;
  }
  return '';
}
