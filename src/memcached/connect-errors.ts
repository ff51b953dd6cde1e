/** What can be wrong with a server when a connection to it is made, and what to do about it. */
import { TorilError } from '../errors.ts';

const WHAT_SPEAKS_IT =
  'Toril needs memcached itself, reached directly: mcrouter, twemproxy, its built-in proxy and ' +
  'ElastiCache Serverless are not one. Give the address of the server behind them';

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
  const what = `${address} takes connections, but does not answer as memcached does`;
  const why =
    'It hangs, or it is no memcached, or one that wants TLS (-Z: set tls) or a login (-Y: set username and password, and the right ones), ' +
    'or the protocol "binary" is set for one started with -B ascii';
  return new TorilError('MEMCACHED_TIMED_OUT', `${what}. ${why}. ${WHAT_SPEAKS_IT}.`, { cause });
}

/** So do TCP forwarders behind which nothing runs yet. */
export function closedAtOnceError(address: string, cause?: TorilError): TorilError {
  const what = `${address} closes the connection at the first message`;
  const why =
    'It is no memcached, or one that wants TLS (-Z: set tls) or a login (-Y: set username and password, and the right ones), or one that does not speak the protocol that is set';
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
  return new TorilError(
    'CLOSED',
    `the client of memcached at ${address} is closed: await what you ask of it before you close it.`,
  );
}

/** So do ElastiCache Serverless, and proxies. */
export function unprovenError(address: string): TorilError {
  const what = `${address} does not tell its settings ("stats settings"), as memcached does`;
  const why =
    'There may be several memcached behind it, and so several locks for one key. Give the address of one, or read in docs/memcached.md what unproven: "accept" means';
  return new TorilError('MEMCACHED_PROTOCOL', `${what}. ${why}.`);
}

const UNTRUSTED = 'its certificate is signed by nobody that this program trusts';
const GIVE_CA =
  "Give the certificate of its authority, or a self-signed one itself, in tls: { ca }; this machine's own store is not asked then";
/** What Node says about a certificate, or about an answer that is no TLS: what it means, and what to do. */
const TLS_TROUBLES: Readonly<Record<string, readonly [what: string, advice: string]>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: [UNTRUSTED, GIVE_CA],
  SELF_SIGNED_CERT_IN_CHAIN: [UNTRUSTED, GIVE_CA],
  UNABLE_TO_GET_ISSUER_CERT: [UNTRUSTED, GIVE_CA],
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: [UNTRUSTED, GIVE_CA],
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: [UNTRUSTED, GIVE_CA],
  ERR_TLS_CERT_ALTNAME_INVALID: [
    'its certificate is for another name',
    'Use the name that stands in the certificate as the address, or say it in tls: { servername }',
  ],
  CERT_HAS_EXPIRED: ['its certificate has expired', "Renew it, or correct this machine's clock"],
  CERT_NOT_YET_VALID: [
    'its certificate is not valid yet',
    "Correct this machine's clock, or the certificate",
  ],
  ERR_SSL_WRONG_VERSION_NUMBER: [
    'it does not speak TLS',
    'Leave the option tls away, or start it with -Z',
  ],
};

/** Undefined: it has nothing to do with TLS. */
export function tlsError(address: string, cause: unknown): TorilError | undefined {
  if (!(cause instanceof Error) || !('code' in cause)) return undefined;
  const [what, advice] = TLS_TROUBLES[String(cause.code)] ?? [];
  if (what === undefined) return undefined;
  const text = `memcached at ${address} cannot be spoken to over TLS: ${what} (${cause.message.trim()}). ${advice}.`;
  return new TorilError('MEMCACHED_TLS', text, { cause });
}
