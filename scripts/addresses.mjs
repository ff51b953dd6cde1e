/** Addresses of servers: reading them, and whether somebody is there. */
import { once } from 'node:events';
import { connect } from 'node:net';

/** @typedef {{ host: string, port: number }} Address */

/**
 * Reads a URL, `host:port` or `host`.
 * @param {string} text
 * @param {number} usualPort
 * @returns {Address | undefined} undefined: it is none of them
 */
export function parseAddress(text, usualPort) {
  const url = URL.parse === undefined ? parseUrl(withScheme(text)) : URL.parse(withScheme(text));
  if (url === null || url.hostname === '') return undefined;
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? usualPort : Number(url.port),
  };
}

/** @param {string} text */
function withScheme(text) {
  return text.includes('://') ? text : `tcp://${text}`;
}

/** URL.parse came with Node 22.1. @param {string} text */
function parseUrl(text) {
  try {
    return new URL(text);
  } catch {
    return null;
  }
}

/**
 * What went wrong when connecting, or undefined if the connection was accepted.
 * @param {Address} address
 * @param {number} deadlineMs
 * @returns {Promise<string | undefined>}
 */
export async function problemConnecting({ host, port }, deadlineMs) {
  const socket = connect({ host, port });
  try {
    await once(socket, 'connect', { signal: AbortSignal.timeout(deadlineMs) });
    return undefined;
  } catch (error) {
    if (!(error instanceof Error)) return String(error);
    if (error.name === 'AbortError') return `no answer within ${deadlineMs} ms`;
    return 'code' in error ? String(error.code) : error.message;
  } finally {
    socket.destroy();
  }
}
