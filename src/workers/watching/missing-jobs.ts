/** What is told of jobs that others have taken away or spoilt, and what becomes of one that is delivered all the same. */
import type { Deliveries, Delivery } from '../../jobs/deliveries.ts';
import { TorilError } from '../../errors.ts';
import type { JobOutcome } from '../../updates/outcome.ts';
import type { Ending } from '../deliveries/tell.ts';
import type { WorkerEvents, EventReporter } from '../worker-events.ts';

/** Ids in a message. */
const IDS_TOLD = 20;

/**
 * A job without a name: its hash was deleted or evicted, and its delivery has made a new one. It
 * is dropped from whatever list it is in. If more is left of it than that, it fails instead, for somebody to see.
 */
export async function settlementOfNameless<Job extends Delivery>(
  job: Job,
  deliveries: Pick<Deliveries<Job, unknown>, 'dropMissing'>,
  report: EventReporter,
): Promise<Ending> {
  const { jobId } = job;
  const found = await deliveries.dropMissing(job);
  if (found === 'damaged') return { kind: 'decided', outcome: damaged(jobId) };
  if (found === 'dropped') report('jobsMissing', { key: undefined, jobIds: [jobId] });
  return { kind: 'gone' };
}

function damaged(jobId: string): JobOutcome {
  const message = `the hash of job ${jobId} in Redis has no name any more, so nobody knows which update it is. It was evicted (maxmemory-policy must be noeviction) or changed by hand. Enqueue it again from what is left of it.`;
  return { kind: 'failed', code: 'JOB_DAMAGED', message, cascades: false };
}

export function notApplied(
  queue: string,
  { key, jobIds }: WorkerEvents['jobsNotApplied'],
): TorilError {
  const more = jobIds.length > IDS_TOLD ? `, and ${jobIds.length - IDS_TOLD} more` : '';
  const ids = jobIds.slice(0, IDS_TOLD).join(', ') + more;
  const where = key === undefined ? '' : ` of the key "${key}"`;
  return new TorilError(
    'JOB_NOT_APPLIED',
    `the queue "${queue}" has completed jobs${where} whose updates are in no value (${ids}): somebody who is no worker of Toril's completed them, perhaps a plain BullMQ worker on this queue. Stop it; job.retry('completed') has a job applied after all.`,
  );
}
