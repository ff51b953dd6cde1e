/** What is reached for inside a Redis client, to which there is no public way. */
import type { RedisClient, RedisConnection } from 'bullmq';

/**
 * The client within BullMQ's connection, connected or not; undefined if none could be made. Its
 * own `client` waits until it is ready.
 */
export function rawClientOf(connection: RedisConnection): RedisClient | undefined {
  return (connection as unknown as { readonly _client?: RedisClient })._client;
}

/** What is needed of a Redis client: of ioredis, its Cluster, or what wraps them. */
export interface AbandonableClient {
  readonly status: string;
  disconnect(): unknown;
}

/** What ioredis has beyond that. */
interface InnerClient {
  readonly stream?: { destroy?(): void };
  nodes?(): readonly InnerClient[];
  flushQueue?(error: Error): void;
  setStatus?(status: string): void;
}

/**
 * Ends a Redis client at once, whatever state it is in: all that waits for an answer is rejected, and
 * nothing of it keeps the process alive. Its own `disconnect()` waits for the other side's farewell,
 * which a frozen server never sends; and while it waits for its next attempt to connect, it forgets the
 * attempt, but not the commands that wait for it: they would be pending for ever.
 */
export function abandonClient(client: AbandonableClient): void {
  const wasReconnecting = client.status === 'reconnecting';
  client.disconnect();
  const inner = client as InnerClient;
  for (const { stream } of [inner, ...(inner.nodes?.() ?? [])]) stream?.destroy?.();
  if (!wasReconnecting || client.status !== 'reconnecting') return;
  inner.flushQueue?.(new Error('Connection is closed.'));
  inner.setStatus?.('end');
}
