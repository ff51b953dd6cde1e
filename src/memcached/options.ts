/** The user's `memcached` option: what may be written, and what it becomes. */
import { inspect } from 'node:util';
import type { ConnectionOptions } from 'node:tls';
import { TorilError } from '../errors.ts';

const PORT_DEFAULT = 11211;
/** Milliseconds within which memcached must answer a request. */
export const REQUEST_DEADLINE_MS_DEFAULT = 1000;
/** Milliseconds within which a TCP connection (and TLS) must be there. */
const CONNECT_DEADLINE_MS_DEFAULT = 2000;
const DEADLINE_MS_MAX = 60_000;

/** One server (`host`, `host:port`, `[ipv6]:port` or `memcached://user:password@host:port`), or more. */
export type MemcachedSetting = string | readonly string[] | MemcachedSettings;

export interface MemcachedSettings {
  readonly servers: string | readonly string[];
  /** For servers started with `-S`, unless a server's URL has its own. */
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** For servers started with `-Z`; `true`: with Node's defaults. */
  readonly tls?: ConnectionOptions | boolean | undefined;
  /** Milliseconds; default 1000. An answer that takes longer ends the connection. */
  readonly requestDeadlineMs?: number | undefined;
  /** Milliseconds; default 2000. */
  readonly connectDeadlineMs?: number | undefined;
}

/** Everything that is needed to talk to one server. */
export interface ServerOptions {
  /** `host:port`, in lower case. */
  readonly address: string;
  readonly host: string;
  readonly port: number;
  readonly credentials: Credentials | undefined;
  readonly tls: ConnectionOptions | undefined;
  readonly requestDeadlineMs: number;
  readonly connectDeadlineMs: number;
}

export interface Credentials {
  readonly username: string;
  readonly password: string;
}

type ServerAddress = Pick<ServerOptions, 'address' | 'host' | 'port' | 'credentials'>;

const SCHEME = 'memcached://';
const HOST = /^([\w.-]+|\[[\da-f:.]+\])$/i;
const HOW_TO_WRITE =
  'Write host, host:port, [ipv6]:port or memcached://user:password@host:port, one string for each';
const SETTING_NAMES: ReadonlySet<string> = new Set<keyof MemcachedSettings>([
  'servers',
  'username',
  'password',
  'tls',
  'requestDeadlineMs',
  'connectDeadlineMs',
]);

/** Throws INVALID_OPTIONS. Never shows a password. */
export function resolveMemcached(setting: MemcachedSetting): readonly ServerOptions[] {
  const settings = settingsOf(setting);
  const shared = {
    tls: tlsOf(settings.tls),
    requestDeadlineMs: deadlineOf(
      'requestDeadlineMs',
      settings.requestDeadlineMs,
      REQUEST_DEADLINE_MS_DEFAULT,
    ),
    connectDeadlineMs: deadlineOf(
      'connectDeadlineMs',
      settings.connectDeadlineMs,
      CONNECT_DEADLINE_MS_DEFAULT,
    ),
  };
  const credentials = credentialsOf(settings.username, settings.password);
  const list = typeof settings.servers === 'string' ? [settings.servers] : settings.servers;
  if (!Array.isArray(list) || list.length === 0) {
    throw invalid('it names no server. Give at least one, such as "127.0.0.1:11211"');
  }
  const servers = list.map((text: unknown) => {
    const server = parseServer(text);
    return { ...shared, ...server, credentials: server.credentials ?? credentials };
  });
  const twice = servers.find(
    ({ address }, at) => servers.findIndex((s) => s.address === address) < at,
  );
  if (twice !== undefined) throw invalid(`it names ${twice.address} twice`);
  return servers;
}

function settingsOf(setting: unknown): MemcachedSettings {
  if (typeof setting === 'string' || Array.isArray(setting)) return { servers: setting };
  if (typeof setting !== 'object' || setting === null) {
    throw invalid(`it is ${String(setting)}. Give a server such as "127.0.0.1:11211"`);
  }
  const unknown = Object.keys(setting).find((name) => !SETTING_NAMES.has(name));
  if (unknown !== undefined) {
    throw invalid(`it has no setting "${unknown}", only ${[...SETTING_NAMES].join(', ')}`);
  }
  return setting as MemcachedSettings;
}

function parseServer(text: unknown): ServerAddress {
  if (typeof text !== 'string') throw invalid(`a server is of type ${typeof text}, not a string`);
  const url = urlOf(text);
  const shown = `"${text.replace(/^.*@/s, '…@')}"`;
  if (url === undefined) throw invalid(`${shown} is no server. ${HOW_TO_WRITE}`);
  const port = url.port === '' ? PORT_DEFAULT : Number(url.port);
  if (port === 0) throw invalid(`${shown} has port 0`);
  const host = url.hostname.toLowerCase();
  return {
    address: `${host}:${port}`,
    host: host.replace(/^\[(.*)\]$/, '$1'),
    port,
    credentials: credentialsOf(decoded(url.username, shown), decoded(url.password, shown)),
  };
}

/** Undefined unless it is a host, perhaps a port, and in a URL perhaps a user, and nothing else. */
function urlOf(text: string): URL | undefined {
  const full = text.startsWith(SCHEME) ? text : SCHEME + text;
  if (!text.startsWith(SCHEME) && text.includes('@')) return undefined;
  if (!URL.canParse(full)) return undefined;
  const url = new URL(full);
  const rest = url.pathname.replace(/^\/$/, '') + url.search + url.hash;
  return rest === '' && HOST.test(url.hostname) ? url : undefined;
}

function decoded(text: string, shown: string): string | undefined {
  try {
    return text === '' ? undefined : decodeURIComponent(text);
  } catch {
    throw invalid(
      `in ${shown} user name or password hold a "%" that is not followed by two digits`,
    );
  }
}

function credentialsOf(username: unknown, password: unknown): Credentials | undefined {
  if (username === undefined && password === undefined) return undefined;
  if (!isText(username) || !isText(password)) {
    throw invalid('username and password must both be given, as non-empty strings');
  }
  return { username, password };
}

/** SASL PLAIN separates user name and password by NUL. */
function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && !value.includes('\0');
}

function tlsOf(tls: unknown): ConnectionOptions | undefined {
  if (tls === undefined || tls === false) return undefined;
  if (tls === true) return {};
  if (typeof tls !== 'object' || tls === null)
    throw invalid('tls must be true or the options of tls.connect');
  return tls;
}

function deadlineOf(name: string, value: unknown, byDefault: number): number {
  if (value === undefined) return byDefault;
  if (Number.isInteger(value) && Number(value) >= 1 && Number(value) <= DEADLINE_MS_MAX)
    return Number(value);
  throw invalid(
    `${name} is ${inspect(value)}. Give whole milliseconds, from 1 to ${DEADLINE_MS_MAX}`,
  );
}

function invalid(what: string): TorilError {
  return new TorilError('INVALID_OPTIONS', `the option "memcached": ${what}.`);
}

/** Milliseconds: the longest that a request to one of the servers may take. Throws INVALID_OPTIONS. */
export function longestDeadlineMs(setting: MemcachedSetting): number {
  return Math.max(...resolveMemcached(setting).map(({ requestDeadlineMs }) => requestDeadlineMs));
}
