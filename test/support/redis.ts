/** Looking at Redis directly: what the queue's own methods do not tell. */
import { Redis } from 'ioredis';
import { onTestFinished } from 'vitest';
import { ownPrefixOf } from '../../src/redis/own-keys.ts';
import { redisUrl } from './servers.ts';

/** A client of the test's own, closed when the test has finished. */
export function redisClient(url: string = redisUrl()): Redis {
  const client = new Redis(url, { maxRetriesPerRequest: null });
  client.on('error', () => undefined);
  onTestFinished(() => client.disconnect());
  return client;
}

/** BullMQ's keys of a queue, without their prefix. */
export function redisKeys(client: Redis, queue: string, pattern = '*'): Promise<string[]> {
  return keysBehind(client, `bull:${queue}:`, pattern);
}

/** Toril's keys of a queue, without their prefix: `lane:...`, `copy:...`. */
export function ownKeys(client: Redis, queue: string, pattern = '*'): Promise<string[]> {
  return keysBehind(client, ownPrefixOf(`bull:${queue}:`), pattern);
}

async function keysBehind(client: Redis, prefix: string, pattern: string): Promise<string[]> {
  const found: string[] = [];
  for await (const keys of client.scanStream({ match: prefix + pattern, count: 500 })) {
    found.push(...(keys as string[]).map((key) => key.slice(prefix.length)));
  }
  return [...new Set(found)].sort();
}
