/**
 * BullMQ and the single-instance lock of the Redis documentation (SET NX PX with a random token,
 * released by a script that compares it). Keeps no order.
 */
import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { bullmqSystem } from './bullmq.ts';
import { backOff } from './backoff.ts';
import { openValues, readPlainValues } from './plain-values.ts';

const LOCK_MS = 10_000;
const RELEASE = `if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0`;

interface LockClient extends Redis {
  releaseLock(lock: string, token: string): Promise<number>;
}

export const bullmqRedisMutex = bullmqSystem(async (site, settings) => {
  const values = await openValues(site, settings);
  const redis = new Redis(site.redis, { enableAutoPipelining: true }) as LockClient;
  redis.defineCommand('releaseLock', { numberOfKeys: 1, lua: RELEASE });
  await redis.ping();
  const { lockMs = LOCK_MS } = settings;
  const acquire = async (lock: string, token: string): Promise<boolean> =>
    (await redis.set(lock, token, 'PX', lockMs, 'NX')) === 'OK';
  return {
    async process(work) {
      const lock = `lock:${work.key}`;
      const token = randomUUID();
      for (let attempt = 0; !(await acquire(lock, token)); attempt++) await backOff(attempt);
      try {
        await values.update(work);
      } finally {
        await redis.releaseLock(lock, token);
      }
    },
    close() {
      redis.disconnect();
      values.client.close();
    },
  };
}, readPlainValues);
