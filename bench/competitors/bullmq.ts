/** What all BullMQ competitors share: plain BullMQ with its default settings. */
import { type Job, Queue, Worker as BullWorker } from 'bullmq';
import type {
  Producer,
  ProducerSettings,
  Site,
  System,
  Worker,
  WorkerSettings,
} from '../system.ts';
import type { Work } from '../work.ts';

/** What a system does with a delivered job, and how to end it. */
export interface Processing {
  process(work: Work): Promise<void>;
  close(): void;
}

export const JOB_NAME = 'append';
/** With short locks, a job whose worker died is delivered again, as often as it takes. */
const STALLS_MAX = 100;

/** A system that differs from plain BullMQ only in what its processor does. */
export function bullmqSystem(
  openProcessing: (site: Site, settings: WorkerSettings) => Promise<Processing>,
  readValues?: System['readValues'],
): System {
  return {
    openProducer: openBullmqProducer,
    openWorker: async (site, run, settings) =>
      openBullmqWorker(site, run, settings, await openProcessing(site, settings)),
    ...(readValues && { readValues }),
  };
}

export function openBullmqQueue(
  site: Site,
  run: string,
  { removeOnComplete }: ProducerSettings,
): Queue {
  return new Queue(run, {
    connection: { url: site.redis },
    ...(removeOnComplete && { defaultJobOptions: { removeOnComplete: true } }),
  });
}

async function openBullmqProducer(
  site: Site,
  run: string,
  settings: ProducerSettings,
): Promise<Producer> {
  const queue = openBullmqQueue(site, run, settings);
  await queue.waitUntilReady();
  return {
    async enqueue(works) {
      const [only] = works;
      if (works.length === 1 && only !== undefined) await queue.add(JOB_NAME, only);
      else await queue.addBulk(works.map((data) => ({ name: JOB_NAME, data })));
    },
    close: () => queue.close(),
  };
}

async function openBullmqWorker(
  site: Site,
  run: string,
  { concurrency, lockMs, onCompleted, onFailed }: WorkerSettings,
  processing: Processing,
): Promise<Worker> {
  const worker = new BullWorker(run, (job: Job) => processing.process(job.data as Work), {
    connection: { url: site.redis, maxRetriesPerRequest: null },
    concurrency,
    autorun: false,
    ...(lockMs !== undefined && {
      lockDuration: lockMs,
      stalledInterval: lockMs,
      maxStalledCount: STALLS_MAX,
    }),
  });
  worker.on('completed', (job) => onCompleted(job.data as Work));
  worker.on('failed', (_job, cause) => onFailed(cause));
  worker.on('error', () => undefined); // a run that cannot go on ends by its own deadline
  await worker.waitUntilReady();
  return {
    start: () => void worker.run().catch(onFailed),
    async close() {
      await worker.close();
      processing.close();
    },
  };
}
