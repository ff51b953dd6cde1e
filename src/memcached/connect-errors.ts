/** What can be wrong with a server when a connection to it is made, and what to do about it. */
import { TorilError } from '../errors.ts';

const WHAT_SPEAKS_IT =
  'Toril needs memcached itself, reached directly: mcrouter, twemproxy, its built-in proxy and ' +
  'ElastiCache Serverless do not speak the binary protocol. Give the address of the server behind them';

export function unreachableError(address: string, what: string, cause?: unknown): TorilError {
  const message = `memcached at ${address} cannot be reached: ${what}. Check that it runs and that the address is right.`;
  return new TorilError('MEMCACHED_UNREACHABLE', message, { cause });
}

export function fullError(address: string, cause: TorilError): TorilError {
  const what = 'it takes no more connections. Raise its limit (-c) or close some';
  return new TorilError('MEMCACHED_UNREACHABLE', `memcached at ${address}: ${what}.`, { cause });
}

/** The connection was taken and nothing came. A frozen memcached looks the same as none: it may yet answer. */
export function silenceError(address: string, cause?: TorilError): TorilError {
  const what = `${address} takes connections, but does not answer in the binary protocol of memcached`;
  const why = 'It hangs, or it is no memcached, or one started with -B ascii';
  return new TorilError('MEMCACHED_TIMED_OUT', `${what}. ${why}. ${WHAT_SPEAKS_IT}.`, { cause });
}

/** So do TCP forwarders behind which nothing runs yet. */
export function closedAtOnceError(address: string, cause?: TorilError): TorilError {
  const what = `${address} closes the connection at the first message of the binary protocol of memcached`;
  const why =
    'It is no memcached, or one started with -B ascii, or one that wants TLS (-Z: set tls)';
  return new TorilError('MEMCACHED_CLOSED', `${what}. ${why}. ${WHAT_SPEAKS_IT}.`, { cause });
}

export function protocolError(address: string, what: string, cause?: TorilError): TorilError {
  const detail = cause === undefined ? '' : ` (${cause.message})`;
  const message = `${address} ${what}${detail}. ${WHAT_SPEAKS_IT}.`;
  return new TorilError('MEMCACHED_PROTOCOL', message, { cause });
}

export function authError(address: string, what: string): TorilError {
  return new TorilError('MEMCACHED_AUTH', `memcached at ${address} ${what}.`);
}

export function casDisabledError(address: string): TorilError {
  const what = 'was started with -C: it has no CAS, so that no write can be made conditional';
  const message = `memcached at ${address} ${what}. Start it without -C.`;
  return new TorilError('MEMCACHED_CAS_DISABLED', message);
}

export function closedClientError(address: string): TorilError {
  return new TorilError('CLOSED', `the client of memcached at ${address} is closed`);
}
