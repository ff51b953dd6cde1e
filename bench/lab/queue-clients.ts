/** Clients of a queue: each enqueues an update, waits until it is done, and goes on to its next one. */
import { QueueEvents } from 'bullmq';
import { JOB_NAME, openBullmqQueue } from '../competitors/bullmq.ts';
import { monotonicMs } from '../monotonic-clock.ts';
import { openTorilQueue } from '../product.ts';
import type { EvidenceFile } from './evidence.ts';
import type { ClientsOrder } from './host-process.ts';

export async function openQueueClients(
  { scheme, site, queue: name, key, clients }: ClientsOrder,
  evidence: EvidenceFile,
): Promise<() => Promise<void>> {
  const queue =
    scheme === 'toril'
      ? (await openTorilQueue(site, name, {})).queue
      : openBullmqQueue(site, name, {});
  const events = new QueueEvents(name, { connection: { url: site.redis } });
  events.setMaxListeners(0);
  await events.waitUntilReady();

  const request = async (i: number): Promise<void> => {
    const startedMs = monotonicMs();
    const job = await queue.add(JOB_NAME, { key, i });
    evidence.arrived(i, startedMs, monotonicMs());
    await job.waitUntilFinished(events);
  };
  const runOne = async (numbers: readonly number[]): Promise<void> => {
    for (const i of numbers) {
      // A job that failed for good is not in the value: like a user, the client tries again.
      while (!(await succeeds(request(i))));
      evidence.done(i, monotonicMs());
    }
  };
  return async () => void (await Promise.all(clients.map(runOne)));
}

async function succeeds(attempt: Promise<void>): Promise<boolean> {
  try {
    await attempt;
    return true;
  } catch {
    return false;
  }
}
