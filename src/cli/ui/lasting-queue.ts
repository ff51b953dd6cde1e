/** A queue for a command that goes on while Redis is away: what is asked meanwhile fails at once, and later works again. */
import { systemClock } from '../../base/clock.ts';
import { Queue } from '../../jobs/queue.ts';
import { type QueueFlags, type RedisFlags, redisUrl } from '../flags/flags.ts';
import { closeQuietly, openQueue } from '../servers/connections.ts';
import { note } from '../terminal/terminal.ts';

const ANSWER_DEADLINE_MS = 5_000;
const RECONNECT_MAX_MS = 1_000;
const TELL_EVERY_MS = 30_000;

/** A queue that is not there is not made. @throws TorilError INVALID_OPTIONS, REDIS_FAILED: Redis is not there in the beginning */
export async function lastingQueue(flags: QueueFlags & RedisFlags): Promise<Queue> {
  await closeQuietly(await openQueue(flags, { isReadOnly: true }));
  const queue = new Queue(flags.queue, {
    connection: {
      url: redisUrl(flags),
      commandTimeout: ANSWER_DEADLINE_MS,
      maxRetriesPerRequest: 0,
      retryStrategy: (times) => Math.min(50 * times, RECONNECT_MAX_MS),
    },
    prefix: flags.prefix,
    skipMetasUpdate: true,
  });
  let toldAtMs = Number.NEGATIVE_INFINITY;
  queue.on('error', ({ message }) => {
    const nowMs = systemClock.monotonicMs();
    if (nowMs - toldAtMs < TELL_EVERY_MS) return; // there is one for each attempt to connect
    toldAtMs = nowMs;
    note(`Redis cannot be used: ${message}. It is tried again.`);
  });
  await queue.waitUntilReady();
  return queue;
}
