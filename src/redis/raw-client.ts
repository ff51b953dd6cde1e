import type { RedisClient, RedisConnection } from 'bullmq';

/**
 * The client within BullMQ's connection, connected or not; undefined if none could be made. There is no public way to it:
 * `client` waits until it is ready.
 */
export function rawClientOf(connection: RedisConnection): RedisClient | undefined {
  return (connection as unknown as { readonly _client?: RedisClient })._client;
}
