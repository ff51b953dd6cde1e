/** BullMQ with a processor that does nothing: the ceiling for everything that is built on it. */
import { bullmqSystem } from './bullmq.ts';

export const bullmqNoop = bullmqSystem(async () => ({
  process: async () => undefined,
  close: () => undefined,
}));
