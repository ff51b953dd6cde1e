/**
 * The Redis of a feature that has no queue. BullMQ makes the client, so whatever Queue and Worker take
 * as `connection` is taken here, by its shape: options, a client of any copy of ioredis, a Cluster,
 * BullMQ's wrapped clients. What names no server is refused: it would end at localhost.
 */
import { type ConnectionOptions, isRedisInstance, type RedisClient, RedisConnection } from 'bullmq';
import { abandonClient, rawClientOf } from './redis-client.ts';
import { messageOf, TorilError } from '../errors.ts';

/** Options that say where Redis is. */
const PLACES = ['host', 'port', 'path', 'url', 'sentinels'] as const;
/** Options that may stand alone: whoever writes them, and no place, means localhost. Any other could be a misspelt place. */
const WITHOUT_A_PLACE: ReadonlySet<string> = new Set([
  ...['db', 'username', 'password', 'tls', 'family', 'connectionName', 'skipVersionCheck'],
  ...['connectTimeout', 'commandTimeout', 'keepAlive', 'noDelay', 'lazyConnect', 'readOnly'],
  ...['retryStrategy', 'reconnectOnError', 'maxRetriesPerRequest', 'maxLoadingRetryTime'],
  ...[
    'enableReadyCheck',
    'enableOfflineQueue',
    'enableAutoPipelining',
    'autoResendUnfulfilledCommands',
  ],
]);

type Options = Readonly<Record<string, unknown>>;

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
    if (client === undefined) throw invalid('no client could be made of it');
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
      this.#connecting ??= RedisConnection.waitUntilReady(client).finally(() => {
        this.#connecting = undefined;
      });
      await this.#connecting;
    }
    return client.runCommand(name, args);
  }

  /** At once, whatever is under way; a client that was given stays open. */
  async close(): Promise<void> {
    if (!this.#isShared) abandonClient(this.#client);
    await this.#connection.close(true);
  }
}

function connect(connection: ConnectionOptions, shared: boolean): RedisConnection {
  const options = shared
    ? connection
    : { retryStrategy, ...checkedOptions(connection), maxRetriesPerRequest: null };
  try {
    return new RedisConnection(options, {
      ...{ shared, blocking: false, skipVersionCheck: true, skipWaitingForReady: true },
    });
  } catch (cause) {
    throw invalid(messageOf(cause), cause);
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

function checkedOptions(connection: unknown): Options {
  if (typeof connection !== 'object' || connection === null || Array.isArray(connection)) {
    throw invalid(
      `it is ${Array.isArray(connection) ? 'an array' : connection === null ? 'null' : `of type ${typeof connection}`}`,
    );
  }
  const options = connection as Options;
  // With a factory of the user's own, only that knows what its options mean.
  if (RedisConnection.clientFactory !== undefined) return options;
  const hasPlace = PLACES.some((name) => options[name] !== undefined);
  const unknown = Object.keys(options).find((name) => !WITHOUT_A_PLACE.has(name));
  if (!hasPlace && unknown !== undefined) {
    throw invalid(`it names no server, only ${Object.keys(options).join(', ')}`);
  }
  for (const name of PLACES) if (name in options) checkPlace(name, options[name], options);
  return options;
}

function checkPlace(name: (typeof PLACES)[number], value: unknown, options: Options): void {
  const others = PLACES.filter((other) => other !== name && other !== 'port');
  // Beside another one that counts, an unset one does no harm.
  if (value === undefined && others.some((other) => options[other] !== undefined)) return;
  if (isPlace(name, value)) return;
  throw invalid(`"${name}" is ${describe(value)}`);
}

function isPlace(name: (typeof PLACES)[number], value: unknown): boolean {
  switch (name) {
    case 'port':
      return value !== '' && Number.isInteger(Number(value)) && Number(value) > 0;
    case 'sentinels':
      return Array.isArray(value) && value.length > 0;
    case 'url':
      return typeof value === 'string' && isRedisUrl(value);
    case 'host':
    case 'path':
      return typeof value === 'string' && value.trim() !== '';
  }
}

/** As ioredis reads it: a URL, a path of a socket, host and port, or a port alone. */
function isRedisUrl(text: string): boolean {
  if (/^rediss?:\/\//i.test(text)) return URL.canParse(text) && new URL(text).hostname !== '';
  return /^\/.+/.test(text) || /^([\w.-]+|\[[\da-f:.]+\])(:\d+)?$/i.test(text);
}

/** Never shows a password. */
function describe(value: unknown): string {
  if (typeof value === 'string') return value === '' ? 'empty' : 'no address of a Redis';
  if (typeof value === 'number' || value === undefined || value === null) return String(value);
  return `of type ${typeof value}`;
}

function invalid(what: string, cause?: unknown): TorilError {
  return new TorilError(
    'INVALID_OPTIONS',
    `the option "connection": ${what}. Give what Queue and Worker take: { url: "redis://host:port" }, { host, port }, { path }, { sentinels, name }, or a client of ioredis.`,
    cause === undefined ? undefined : { cause },
  );
}
