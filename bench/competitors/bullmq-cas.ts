/**
 * BullMQ and optimistic concurrency on the value itself: gets, change, cas, and all over again if
 * somebody was faster. Loses nothing while no job is delivered twice; keeps no order.
 */
import { bullmqSystem } from './bullmq.ts';
import { backOff } from './backoff.ts';
import { openValues, readPlainValues } from './plain-values.ts';

export const bullmqCas = bullmqSystem(async (site, settings) => {
  const { client, valueOf } = await openValues(site, settings);
  return {
    async process(work) {
      for (let attempt = 0; ; attempt++) {
        const item = await client.get(work.key);
        const changed = JSON.stringify(await settings.change(valueOf(item), work));
        const stored =
          item === undefined
            ? await client.add(work.key, changed)
            : await client.cas(work.key, changed, item.cas);
        if (stored === 'STORED') return;
        await backOff(attempt);
      }
    },
    close: () => client.close(),
  };
}, readPlainValues);
