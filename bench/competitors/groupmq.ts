/**
 * GroupMQ: strict order per group, one job of a group at a time, on Redis. The key is the group;
 * since it runs one job of a group at a time, get, change, set needs no lock.
 */
import { Queue, Worker as GroupWorker } from 'groupmq';
import { Redis } from 'ioredis';
import type { System } from '../system.ts';
import type { Work } from '../work.ts';
import { openValues, readPlainValues } from './plain-values.ts';

/** Its own batching of adds, made as large as our bulks. */
const ADDS_PER_BATCH = 500;

export const groupmq: System = {
  async openProducer(site, run) {
    const redis = new Redis(site.redis, { maxRetriesPerRequest: null });
    await redis.ping();
    const one = new Queue<Work>({ redis, namespace: run });
    const many = new Queue<Work>({ redis, namespace: run, autoBatch: { size: ADDS_PER_BATCH } });
    return {
      async enqueue(works) {
        const queue = works.length === 1 ? one : many;
        await Promise.all(works.map((data) => queue.add({ groupId: data.key, data })));
      },
      async close() {
        await many.close();
        redis.disconnect();
      },
    };
  },

  async openWorker(site, run, settings) {
    const values = await openValues(site, settings);
    const redis = new Redis(site.redis, { maxRetriesPerRequest: null });
    await redis.ping();
    const worker = new GroupWorker<Work>({
      queue: new Queue<Work>({ redis, namespace: run }),
      concurrency: settings.concurrency,
      handler: (job) => values.update(job.data),
    });
    worker.on('completed', (job) => settings.onCompleted(job.data));
    worker.on('failed', (job) => settings.onFailed(job.failedReason));
    worker.on('error', () => undefined); // a run that cannot go on ends by its own deadline
    return {
      start: () => void worker.run().catch(settings.onFailed),
      async close() {
        await worker.close();
        redis.disconnect();
        values.client.close();
      },
    };
  },

  readValues: readPlainValues,
};
