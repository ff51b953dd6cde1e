/** The user's `memcached` option: what may be written, and what it becomes. */
import { inspect } from 'node:util';
import type { ConnectionOptions } from 'node:tls';
import {
  type Credentials,
  credentialsOf,
  invalid,
  parseServer,
  type ServerAddress,
} from './addresses.ts';
import {
  isMemjsClient,
  type MemjsClient,
  type MemjsServers,
  serversOfEnvironment,
  serversOfMemjsClient,
} from './memjs-settings.ts';

export type { Credentials };

/** Milliseconds within which memcached must answer a request. */
export const REQUEST_DEADLINE_MS_DEFAULT = 1000;
/** Milliseconds within which a TCP connection (and TLS) must be there. */
const CONNECT_DEADLINE_MS_DEFAULT = 2000;
const DEADLINE_MS_MAX = 60_000;

/**
 * One server (`host`, `host:port`, `[ipv6]:port` or `memcached://user:password@host:port`), or more; or a
 * `memjs.Client`, whose servers, users and time-outs are read.
 */
export type MemcachedSetting = string | readonly string[] | MemcachedSettings | MemjsClient;

export interface MemcachedSettings {
  /** Default: those in the environment variable MEMCACHIER_SERVERS or MEMCACHE_SERVERS, as memjs reads them. */
  readonly servers?: string | readonly string[] | MemjsClient | undefined;
  /** For servers started with `-S` or `-Y`, unless a server has its own. */
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** For servers started with `-Z`; `true`: with Node's defaults. */
  readonly tls?: ConnectionOptions | boolean | undefined;
  /**
   * `meta`: from memcached 1.6.13 on; `binary`: for older ones. Default `auto`: asks each server, and prefers meta.
   */
  readonly protocol?: ProtocolSetting | undefined;
  /**
   * `accept`: also what does not tell its settings, and so may be several memcached behind one address (docs/memcached.md).
   * Locks then exclude nobody for certain. Default `refuse`.
   */
  readonly unproven?: UnprovenSetting | undefined;
  /**
   * `cas`: where the server can (meta, memcached 1.6.27), locks are renewed and taken over without memory, as `-M` wants it;
   * but `-o temporary_ttl` does not keep them from being evicted. Only once all who share keys can read them
   * (docs/memcached.md). Default `value`.
   */
  readonly locks?: LocksSetting | undefined;
  /** Milliseconds; default 1000. An answer that takes longer ends the connection. */
  readonly requestDeadlineMs?: number | undefined;
  /** Milliseconds; default 2000. */
  readonly connectDeadlineMs?: number | undefined;
}

export const PROTOCOLS = ['auto', 'meta', 'binary'] as const;
export type ProtocolSetting = (typeof PROTOCOLS)[number];
const PROTOCOL_DEFAULT: ProtocolSetting = 'auto';

const UNPROVEN = ['refuse', 'accept'] as const;
type UnprovenSetting = (typeof UNPROVEN)[number];

const LOCKS = ['value', 'cas'] as const;
export type LocksSetting = (typeof LOCKS)[number];
const LOCKS_DEFAULT: LocksSetting = 'value';

/** Everything that is needed to talk to one server. */
export interface ServerOptions extends ServerAddress {
  readonly tls: ConnectionOptions | undefined;
  readonly protocol: ProtocolSetting;
  readonly acceptsUnproven: boolean;
  readonly locks: LocksSetting;
  readonly requestDeadlineMs: number;
  readonly connectDeadlineMs: number;
}

const SETTING_NAMES: ReadonlySet<string> = new Set<keyof MemcachedSettings>([
  'servers',
  'username',
  'password',
  'tls',
  'protocol',
  'unproven',
  'locks',
  'requestDeadlineMs',
  'connectDeadlineMs',
]);

/** Throws INVALID_OPTIONS. Never shows a password. */
export function resolveMemcached(setting: MemcachedSetting | undefined): readonly ServerOptions[] {
  const settings = settingsOf(setting);
  const named = serversOf(settings);
  const shared = {
    tls: tlsOf(settings.tls),
    protocol: oneOf('protocol', settings.protocol, PROTOCOLS, PROTOCOL_DEFAULT),
    locks: oneOf('locks', settings.locks, LOCKS, LOCKS_DEFAULT),
    acceptsUnproven: oneOf('unproven', settings.unproven, UNPROVEN, 'refuse') === 'accept',
    requestDeadlineMs: deadlineOf(
      'requestDeadlineMs',
      settings.requestDeadlineMs ?? named.requestDeadlineMs,
      REQUEST_DEADLINE_MS_DEFAULT,
    ),
    connectDeadlineMs: deadlineOf(
      'connectDeadlineMs',
      settings.connectDeadlineMs ?? named.connectDeadlineMs,
      CONNECT_DEADLINE_MS_DEFAULT,
    ),
  };
  const credentials = credentialsOf(settings.username, settings.password);
  const servers = named.servers.map((server) => ({
    ...shared,
    ...server,
    credentials: server.credentials ?? credentials,
  }));
  const twice = servers.find(
    ({ address }, at) => servers.findIndex((s) => s.address === address) < at,
  );
  if (twice !== undefined) throw invalid(`it names ${twice.address} twice`);
  return servers;
}

function settingsOf(setting: unknown): MemcachedSettings {
  if (setting === undefined) return {};
  if (typeof setting === 'string' || Array.isArray(setting) || isMemjsClient(setting))
    return { servers: setting };
  if (typeof setting !== 'object' || setting === null) {
    throw invalid(`it is ${inspect(setting)}. Give a server such as "127.0.0.1:11211"`);
  }
  const unknown = Object.keys(setting).find((name) => !SETTING_NAMES.has(name));
  if (unknown !== undefined) {
    throw invalid(`it has no setting "${unknown}", only ${[...SETTING_NAMES].join(', ')}`);
  }
  return setting;
}

function serversOf(settings: MemcachedSettings): MemjsServers {
  const { servers } = settings;
  if (isMemjsClient(servers)) return serversOfMemjsClient(servers);
  const ofEnvironment =
    servers === undefined ? serversOfEnvironment(process.env, settings) : undefined;
  if (ofEnvironment !== undefined) return ofEnvironment;
  const list = typeof servers === 'string' ? [servers] : servers;
  if (!Array.isArray(list) || list.length === 0) {
    throw invalid(
      'it names no server, nor does the environment (MEMCACHIER_SERVERS, MEMCACHE_SERVERS). Give at least one, such as "127.0.0.1:11211"',
    );
  }
  return { servers: list.map(parseServer) };
}

/** Whether the servers were named in memjs' way, by somebody who may read with memjs. */
export function isNamedByMemjs(setting: MemcachedSetting | undefined): boolean {
  const { servers } = settingsOf(setting);
  return servers === undefined || isMemjsClient(servers);
}

function tlsOf(tls: unknown): ConnectionOptions | undefined {
  if (tls === undefined || tls === false) return undefined;
  if (tls === true) return {};
  if (typeof tls !== 'object' || tls === null)
    throw invalid('tls must be true or the options of tls.connect');
  return tls;
}

function oneOf<T extends string>(
  name: string,
  value: unknown,
  choices: readonly T[],
  byDefault: T,
): T {
  if (value === undefined) return byDefault;
  const known = choices.find((choice) => choice === value);
  if (known !== undefined) return known;
  throw invalid(`${name} is ${inspect(value)}. Give ${choices.join(', ')}`);
}

function deadlineOf(name: string, value: unknown, byDefault: number): number {
  if (value === undefined) return byDefault;
  if (Number.isInteger(value) && Number(value) >= 1 && Number(value) <= DEADLINE_MS_MAX)
    return Number(value);
  throw invalid(
    `${name} is ${inspect(value)}. Give whole milliseconds, from 1 to ${DEADLINE_MS_MAX}`,
  );
}

/** Milliseconds: the longest that a request to one of the servers may take. Throws INVALID_OPTIONS. */
export function longestDeadlineMs(setting: MemcachedSetting | undefined): number {
  return Math.max(...resolveMemcached(setting).map(({ requestDeadlineMs }) => requestDeadlineMs));
}
