/**
 * BullMQ and optimistic concurrency on the value itself. Loses nothing while no job is delivered
 * twice; keeps no order.
 */
import { bullmqSystem } from './bullmq.ts';
import { openValues, readPlainValues } from './plain-values.ts';

export const bullmqCas = bullmqSystem(async (site, settings) => {
  const values = await openValues(site, settings);
  return {
    process: (work) => values.updateByCas(work),
    close: () => values.client.close(),
  };
}, readPlainValues);
