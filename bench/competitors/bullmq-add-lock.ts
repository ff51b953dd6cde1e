/**
 * BullMQ and the lock that memcached's own FAQ describes: whoever can `add` an item has the lock
 * until it deletes it or the item expires; everybody else tries again. It does not know whose lock
 * it deletes, and jobs get it in any order.
 */
import { bullmqSystem } from './bullmq.ts';
import { backOff } from './backoff.ts';
import { openValues, readPlainValues } from './plain-values.ts';

const LOCK_SECONDS = 10;

export const bullmqAddLock = bullmqSystem(async (site, settings) => {
  const values = await openValues(site, settings);
  const { client } = values;
  return {
    async process(work) {
      const lock = `lock:${work.key}`;
      for (let attempt = 0; (await client.add(lock, '1', LOCK_SECONDS)) !== 'STORED'; attempt++) {
        await backOff(attempt);
      }
      try {
        await values.update(work);
      } finally {
        await client.delete(lock);
      }
    },
    close: () => client.close(),
  };
}, readPlainValues);
