/** BullMQ and get, change, set, with nothing in between: fast, and wrong as soon as two jobs meet. */
import { bullmqSystem } from './bullmq.ts';
import { openValues, readPlainValues } from './plain-values.ts';

export const bullmqNoLock = bullmqSystem(async (site, settings) => {
  const values = await openValues(site, settings);
  return {
    process: (work) => values.update(work),
    close: () => values.client.close(),
  };
}, readPlainValues);
