/**
 * The option `connection` of whatever needs Redis, by its shape: options, a client of any copy of ioredis, a Cluster,
 * BullMQ's wrapped clients. What names no server is refused: it would end at localhost.
 */
import { isRedisInstance, RedisConnection } from 'bullmq';
import { TorilError } from '../errors.ts';

/** Options that say where Redis is. */
const PLACES = ['host', 'port', 'path', 'url', 'sentinels'] as const;
/** Beside places, options that may stand alone: without a place, they mean localhost. Any other could be a misspelt place. */
const KNOWN: ReadonlySet<string> = new Set([
  ...PLACES,
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

/** @throws TorilError INVALID_OPTIONS */
export function checkConnection(connection: unknown): void {
  if (isRedisInstance(connection)) return;
  if (typeof connection !== 'object' || connection === null || Array.isArray(connection)) {
    throw invalidConnection(
      `it is ${Array.isArray(connection) ? 'an array' : connection === null ? 'null' : `of type ${typeof connection}`}`,
    );
  }
  const options = connection as Options;
  // With a factory of the user's own, only that knows what its options mean.
  if (RedisConnection.clientFactory !== undefined) return;
  const hasPlace = PLACES.some((name) => options[name] !== undefined);
  const unknown = Object.keys(options).find((name) => !KNOWN.has(name));
  if (!hasPlace && unknown !== undefined) {
    throw invalidConnection(`it names no server, only ${Object.keys(options).join(', ')}`);
  }
  for (const name of PLACES) if (name in options) checkPlace(name, options[name], options);
}

function checkPlace(name: (typeof PLACES)[number], value: unknown, options: Options): void {
  const others = PLACES.filter((other) => other !== name && other !== 'port');
  // Beside another one that counts, an unset one does no harm.
  if (value === undefined && others.some((other) => options[other] !== undefined)) return;
  if (isPlace(name, value)) return;
  throw invalidConnection(`"${name}" is ${describe(value)}`);
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
  if (value === undefined)
    return 'undefined: is the environment variable set that it comes from? (Without the option, it is localhost.)';
  if (typeof value === 'number' || value === null) return String(value);
  return `of type ${typeof value}`;
}

export function invalidConnection(what: string, cause?: unknown): TorilError {
  return new TorilError(
    'INVALID_OPTIONS',
    `the option "connection": ${what}. Give what Queue and Worker take: { url: "redis://host:port" }, { host, port }, { path }, { sentinels, name }, or a client of ioredis.`,
    cause === undefined ? undefined : { cause },
  );
}
