/** Looking at Redis directly: what the queue's own methods do not tell. */
import { Redis } from 'ioredis';
import { onTestFinished } from 'vitest';
import { redisUrl } from './servers.ts';

/** A client of the test's own, closed when the test has finished. */
export function redisClient(url: string = redisUrl()): Redis {
  const client = new Redis(url, { maxRetriesPerRequest: null });
  client.on('error', () => undefined);
  onTestFinished(() => client.disconnect());
  return client;
}

/** The Redis keys of a queue, without its prefix: `lane:...`, `copy:...`, and BullMQ's own. */
export async function redisKeys(client: Redis, queue: string, pattern = '*'): Promise<string[]> {
  const prefix = `bull:${queue}:`;
  const found: string[] = [];
  for await (const keys of client.scanStream({ match: prefix + pattern, count: 500 })) {
    found.push(...(keys as string[]).map((key) => key.slice(prefix.length)));
  }
  return [...new Set(found)].sort();
}
