/**
 * Servers named the way memjs does: by a client of its, of which only settings are read, or by its
 * environment variables. What cannot mean the same here as there is refused.
 */
import { inspect } from 'node:util';
import { credentialsOf, invalid, parseServer, type ServerAddress } from './addresses.ts';

/** A `memjs.Client`, of whichever copy of memjs. It is never used, and never closed. */
export interface MemjsClient {
  /** Each with `host`, `port`, `username` and `password`. */
  readonly servers: readonly unknown[];
  readonly perform: (...args: never[]) => unknown;
}

export interface MemjsServers {
  readonly servers: readonly ServerAddress[];
  /** Undefined: as Toril has it. */
  readonly requestDeadlineMs?: number | undefined;
  readonly connectDeadlineMs?: number | undefined;
}

interface MemjsOptions {
  readonly failover?: unknown;
  /** Seconds. */
  readonly timeout?: unknown;
  /** Seconds. */
  readonly conntimeout?: unknown;
}

const TIMEOUT_SECONDS_MAX = 60;

export function isMemjsClient(setting: unknown): setting is MemjsClient {
  if (typeof setting !== 'object' || setting === null) return false;
  const { servers, perform } = setting as Partial<MemjsClient>;
  return Array.isArray(servers) && typeof perform === 'function';
}

/** Throws INVALID_OPTIONS. */
export function serversOfMemjsClient(client: MemjsClient): MemjsServers {
  const [first] = client.servers;
  if (first === undefined) throw invalid('the memjs client has no server');
  if (client.servers.length > 1) checkRouting(client, optionsOf(client));
  // Of the client itself, options has them only if it was created with any options.
  const { timeout, conntimeout } = optionsOf(first);
  return {
    servers: client.servers.map(serverOf),
    requestDeadlineMs: millisecondsOf('timeout', timeout),
    connectDeadlineMs: millisecondsOf('conntimeout', conntimeout),
  };
}

function optionsOf(owner: unknown): MemjsOptions {
  return (owner as { readonly options?: MemjsOptions } | null)?.options ?? {};
}

/** Both mean that a key has now this server, now that one: two locks for one key. */
function checkRouting(client: MemjsClient, { failover }: MemjsOptions): void {
  if (failover === true) {
    throw invalid(
      'the memjs client has failover: true, which moves keys to another server while theirs is down: two workers could each hold the lock of one key. Give a client without it',
    );
  }
  let routings = 0;
  for (let object: object = client; object !== null; object = Object.getPrototypeOf(object)) {
    if (Object.hasOwn(object, 'getServer')) routings++;
  }
  if (routings > 1) {
    throw invalid(
      'the memjs client has a getServer of its own, which Toril cannot follow: it finds the server of a key by rendezvous hashing. Give the servers as strings if that is what you want',
    );
  }
}

function serverOf(server: unknown): ServerAddress {
  const { host, port, username, password } = (server ?? {}) as Record<string, unknown>;
  if (typeof host !== 'string' || !Number.isInteger(port)) {
    throw invalid(`the memjs client has a server with host ${inspect(host)}, port ${String(port)}`);
  }
  if (host.trim() === '[') {
    throw invalid(
      'the memjs client was given an IPv6 address, which memjs cuts at its first colon. Give it to Toril as a string, such as "[::1]:11211"',
    );
  }
  const address = parseServer(`${host.trim()}:${Number(port)}`);
  return { ...address, credentials: credentialsOf(username, password) };
}

function millisecondsOf(name: string, seconds: unknown): number | undefined {
  if (seconds === undefined || seconds === null) return undefined;
  const ms = Math.round(Number(seconds) * 1000);
  if (ms >= 1 && ms <= TIMEOUT_SECONDS_MAX * 1000) return ms;
  throw invalid(
    `the memjs client's ${name} is ${inspect(seconds)}. It is in seconds, above 0 and at most ${TIMEOUT_SECONDS_MAX}`,
  );
}

/**
 * Undefined if neither variable names a server. memjs takes localhost then; here each machine would have a
 * lock of its own. Throws INVALID_OPTIONS.
 */
export function serversOfEnvironment(
  env: NodeJS.ProcessEnv,
  option: Partial<Record<'username' | 'password', string | undefined>>,
): MemjsServers | undefined {
  const variable = ['MEMCACHIER_SERVERS', 'MEMCACHE_SERVERS'].find((name) => isSet(env[name]));
  if (variable === undefined) return undefined;
  const texts = (env[variable] ?? '').split(',').map((text) => text.trim());
  const username = option.username || env['MEMCACHIER_USERNAME'] || env['MEMCACHE_USERNAME'];
  const password = option.password || env['MEMCACHIER_PASSWORD'] || env['MEMCACHE_PASSWORD'];
  const servers = texts.map((text) => {
    const at = text.lastIndexOf('@');
    const [own, secret, ...rest] = at < 0 ? [] : text.slice(0, at).split(':');
    if (rest.length > 0 || own?.includes('@') === true || secret?.includes('@') === true) {
      throw invalid(
        `in ${variable} a user name or password holds ":" or "@", where memjs cuts it. Give it by itself, in MEMCACHIER_USERNAME and MEMCACHIER_PASSWORD`,
      );
    }
    const credentials = credentialsOf(
      own || username || undefined,
      secret || password || undefined,
    );
    return { ...parseServer(text.slice(at + 1)), credentials };
  });
  return { servers };
}

function isSet(text: string | undefined): boolean {
  return text !== undefined && text.trim() !== '';
}

/** Said once if memjs has several servers. */
export function keysElsewhereWarning(servers: readonly ServerAddress[]): string {
  return (
    `Toril and memjs look for a key on different ones of ${servers.length} servers ` +
    `(${servers.map(({ address }) => address).join(', ')}): what one has written, the other does not find. ` +
    'Read values with openCells(). Give the servers as strings to have this not said.'
  );
}
