/**
 * The Redis of a feature that has no queue. BullMQ makes the client, so whatever Queue and Worker take
 * as `connection` is taken here (connection-option.ts).
 */
import { once } from 'node:events';
import { type ConnectionOptions, isRedisInstance, type RedisClient, RedisConnection } from 'bullmq';
import { abandonClient, rawClientOf } from './redis-client.ts';
import { messageOf } from '../errors.ts';
import { checkConnection, invalidConnection } from './connection-option.ts';

export class OpenRedis {
  readonly #connection: RedisConnection;
  readonly #client: RedisClient;
  readonly #isShared: boolean;
  /** One wait for all who need the client while it is not connected. */
  #connecting: Promise<unknown> | undefined;
  /** Why there is no connection, as the last attempt has shown. */
  #trouble: Error | undefined;

  /** @throws TorilError INVALID_OPTIONS */
  constructor(connection: ConnectionOptions) {
    this.#isShared = isRedisInstance(connection);
    this.#connection = connect(connection, this.#isShared);
    const client = rawClientOf(this.#connection);
    if (client === undefined) throw invalidConnection('no client could be made of it');
    this.#client = client;
    this.#connection.on('error', (cause: Error) => {
      this.#trouble = cause;
    });
    this.#connection.on('ready', () => {
      this.#trouble = undefined;
    });
  }

  defineCommand(name: string, definition: { numberOfKeys: number; lua: string }): void {
    this.#client.defineCommand(name, definition);
  }

  /**
   * Rejects with the client's own error. Waits for a connection: a command that waits in the client's
   * queue would be carried out some time, for a caller who has long given up.
   */
  async runCommand(name: string, args: unknown[]): Promise<unknown> {
    const client = this.#client;
    if (!isLive(client)) {
      if (this.#trouble !== undefined) throw this.#trouble; // the client tries again by itself
      this.#connecting ??= this.#connected().finally(() => {
        this.#connecting = undefined;
      });
      await this.#connecting;
    }
    return client.runCommand(name, args);
  }

  /** BullMQ's own wait goes on beyond a refused login, until the client is closed; `once` rejects with the first error. */
  async #connected(): Promise<void> {
    const over = new AbortController();
    const told = once(this.#connection, 'ready', over);
    try {
      await Promise.race([RedisConnection.waitUntilReady(this.#client), told]);
    } finally {
      told.catch(() => undefined); // nobody waits for it any more
      over.abort();
    }
  }

  /** At once, whatever is under way; a client that was given stays open. */
  async close(): Promise<void> {
    if (!this.#isShared) abandonClient(this.#client);
    await this.#connection.close(true);
  }
}

function connect(connection: ConnectionOptions, shared: boolean): RedisConnection {
  checkConnection(connection);
  const options = shared
    ? connection
    : { retryStrategy, ...connection, maxRetriesPerRequest: null };
  try {
    return new RedisConnection(options, {
      ...{ shared, blocking: false, skipVersionCheck: true, skipWaitingForReady: true },
    });
  } catch (cause) {
    throw invalidConnection(messageOf(cause), cause);
  }
}

/** BullMQ's own waits for up to 20 s: nobody waits as long for a lease. */
function retryStrategy(times: number): number {
  return Math.min(25 * 2 ** Math.min(times, 6), 1_000);
}

/** An ioredis Cluster calls itself connected, not ready. */
function isLive({ status, isCluster }: { status: string; isCluster: boolean }): boolean {
  return status === 'ready' || (isCluster && status === 'connect');
}
