/** What the demo's judge looks at, gathered from memcached and from BullMQ's own records. */
import { Cells } from '../../cells/cells.ts';
import type { Queue } from '../../jobs/queue.ts';
import type { MemcachedServers } from '../../memcached/servers.ts';
import { asking } from '../servers/connections.ts';
import type { FinishedJob } from './audit.ts';
import type { DemoJob } from './demo-updates.ts';

const JOBS_PER_PAGE = 5_000;
const EVENTS_PER_PAGE = 10_000;

export function readValues(
  servers: MemcachedServers,
  keys: readonly string[],
): Promise<Map<string, unknown>> {
  return new Cells(servers).getMany(keys);
}

export async function readJobs(queue: Queue): Promise<FinishedJob[]> {
  return [...(await jobsIn(queue, 'completed')), ...(await jobsIn(queue, 'failed'))];
}

async function jobsIn(queue: Queue, state: FinishedJob['state']): Promise<FinishedJob[]> {
  const all: FinishedJob[] = [];
  for (let from = 0; ; from += JOBS_PER_PAGE) {
    const page = await asking(queue.getJobs([state], from, from + JOBS_PER_PAGE - 1));
    for (const { id = '', data, returnvalue, attemptsMade } of page) {
      all.push({ id, number: (data as DemoJob).number, state, result: returnvalue, attemptsMade });
    }
    if (page.length < JOBS_PER_PAGE) return all;
  }
}

type StreamReply = readonly [string, readonly [string, readonly string[]][]][] | null;

/** How often each job was completed, from the queue's event stream, which must be long enough. */
export async function readCompletions(queue: Queue): Promise<Map<string, number>> {
  const client = await queue.backend.client;
  const key = queue.backend.toKey('events');
  const completions = new Map<string, number>();
  let id = '0';
  for (;;) {
    const reply = (await asking(
      client.xread([{ key, id }], { COUNT: EVENTS_PER_PAGE }),
    )) as StreamReply;
    const events = reply?.[0]?.[1] ?? [];
    for (const [eventId, fields] of events) {
      id = eventId;
      const event = new Map<string, string>();
      for (let i = 0; i < fields.length; i += 2) event.set(fields[i] ?? '', fields[i + 1] ?? '');
      const jobId = event.get('jobId');
      if (event.get('event') !== 'completed' || jobId === undefined) continue;
      completions.set(jobId, (completions.get(jobId) ?? 0) + 1);
    }
    if (events.length === 0) return completions;
  }
}
