/** BullMQ and a lock made by `add`. Jobs get it in any order. */
import { withAddLock } from './add-lock.ts';
import { bullmqSystem } from './bullmq.ts';
import { openValues, readPlainValues } from './plain-values.ts';

const LOCK_SECONDS = 10;

export const bullmqAddLock = bullmqSystem(async (site, settings) => {
  const values = await openValues(site, settings);
  const { client } = values;
  return {
    process: (work) =>
      withAddLock(client, `lock:${work.key}`, LOCK_SECONDS, () => values.update(work)),
    close: () => client.close(),
  };
}, readPlainValues);
