/** Toril's state in Redis is out of reach of job ids, users' keys and BullMQ's housekeeping. */
import { type Job, Queue as BullQueue } from 'bullmq';
import { describe, expect, it, onTestFinished } from 'vitest';
import { OWN_MARK, ownPrefixOf } from '../../src/redis/own-keys.ts';
import { Queue } from '../../src/jobs/queue.ts';
import type { MemcachedSetting } from '../../src/memcached/options.ts';
import { startMemcached } from '../support/servers.ts';
import type { Entry } from '../support/updates.ts';
import { enqueueLog, entries, expectExact, quickly, stage } from '../support/workers.ts';

/** Words that BullMQ's keys end in, which its search for orphaned jobs looks at. */
const WORDS_OF_BULLMQ = ['failed', 'logs', 'lock', 'processed', 'dependencies', '1', 'wait'];

/** Keys are not the test's own here: neither is their server anybody else's. */
async function privateMemcached(): Promise<MemcachedSetting> {
  const server = await startMemcached();
  onTestFinished(() => server.stop());
  return quickly(server.address);
}

describe("BullMQ's housekeeping", () => {
  it('removes nothing, whatever the keys are called', async () => {
    const here = stage({ memcached: await privateMemcached() });
    const worker = await here.worker({ history: 'on' });
    const enqueueOne = (n: number): Promise<Job[]> =>
      enqueueLog(
        here,
        WORDS_OF_BULLMQ.map((key) => ({ key, n })),
      );
    await here.finished(await enqueueOne(0));
    await worker.pause();
    const waiting = await enqueueOne(1);
    const plain = new BullQueue(here.name, { connection: { url: here.redisUrl } });
    expect(await plain.removeOrphanedJobs()).toBe(0);
    await plain.close();
    await worker.resume();
    await here.finished(waiting);
    for (const key of WORDS_OF_BULLMQ)
      expect((await here.queue.lane(key).report()).copy).toHaveLength(2);
    const other = await privateMemcached();
    await expect(here.worker({ memcached: other })).rejects.toMatchObject({
      code: 'SERVER_LIST_CHANGED',
    });
  });
});

describe('job ids', () => {
  it.each(['copy:a:b', 'lane:a:b', 'sequence', 'history', `${OWN_MARK}9`])(
    'like %s are ids like any other',
    async (jobId) => {
      const here = stage({ memcached: await privateMemcached() });
      await here.worker({ history: 'on' });
      const [first, second] = entries('a:b', 2);
      const jobs = [
        ...(await enqueueLog(here, [first as Entry])),
        ...(await enqueueLog(here, [second as Entry], { jobId })),
      ];
      await expectExact(here, 'a:b', await here.finished(jobs));
    },
  );
});

describe('names of queues', () => {
  it('never meet, wherever the colons are', () => {
    const queues = ['a:b:', 'a:b:c:', 'a:bc:', 'ä:b:', 'a:b:lane:', 'a:9:b:'];
    const keys = ['', 'c', 'c:', 'lane:x', '9:b:lane:', ':'];
    const names = queues.flatMap((queue) => keys.map((key) => `${ownPrefixOf(queue)}lane:${key}`));
    expect(new Set(names).size).toBe(queues.length * keys.length);
    for (const name of names) {
      for (const queue of queues) expect(name.startsWith(queue)).toBe(false);
    }
  });

  it("may not have a prefix that is spelled like Toril's own", () => {
    const options = {
      connection: { host: '127.0.0.1', lazyConnect: true },
      prefix: `${OWN_MARK}1`,
    };
    expect(() => new Queue('orders', options)).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTIONS' }),
    );
  });
});
