/** A server as users write it: its address, perhaps with a user. */
import { TorilError } from '../errors.ts';

const PORT_DEFAULT = 11211;
const SCHEME = 'memcached://';
const HOST = /^([\w.-]+|\[[\da-f:.]+\])$/i;
const HOW_TO_WRITE =
  'Write host, host:port, [ipv6]:port or memcached://user:password@host:port, one string for each';
const UNIX_SOCKET = /^(unix:|\.{0,2}\/)/;
const WHY_NO_UNIX_SOCKET =
  'It names another memcached on each machine, so that one key would have several locks. Give an address, such as "127.0.0.1:11211" (memcached -l)';

export interface ServerAddress {
  /** `host:port`, in lower case. */
  readonly address: string;
  readonly host: string;
  readonly port: number;
  readonly credentials: Credentials | undefined;
}

export interface Credentials {
  readonly username: string;
  readonly password: string;
}

/** Throws INVALID_OPTIONS. Never shows a password. */
export function parseServer(text: unknown): ServerAddress {
  if (typeof text !== 'string') throw invalid(`a server is of type ${typeof text}, not a string`);
  const url = urlOf(text);
  const shown = `"${text.replace(/^.*@/s, '…@')}"`;
  if (UNIX_SOCKET.test(text)) throw invalid(`${shown} is a Unix socket. ${WHY_NO_UNIX_SOCKET}`);
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

/** Throws INVALID_OPTIONS unless there are both or none. */
export function credentialsOf(username: unknown, password: unknown): Credentials | undefined {
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

export function invalid(what: string): TorilError {
  return new TorilError('INVALID_OPTIONS', `the option "memcached": ${what}.`);
}
