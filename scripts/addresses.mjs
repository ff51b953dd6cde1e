/** Addresses of servers: reading them, asking them, and finding a free one. */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';

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

/**
 * Sends one request and collects the answer until it contains `pattern`, the peer closes, or the
 * deadline passes. Undefined: nobody accepted the connection.
 * @param {Address} address
 * @param {string} request
 * @param {RegExp} pattern
 * @param {number} deadlineMs
 * @returns {Promise<string | undefined>}
 */
export function ask({ host, port }, request, pattern, deadlineMs) {
  return new Promise((resolve) => {
    /** @type {string | undefined} */
    let answer;
    const socket = connect({ host, port }, () => {
      answer = '';
      socket.write(request);
    });
    const timer = setTimeout(() => socket.destroy(), deadlineMs);
    socket.setEncoding('utf8');
    socket.on('data', (chunk) => {
      answer += String(chunk);
      if (pattern.test(answer ?? '')) socket.destroy();
    });
    socket.on('error', () => {}); // 'close' follows
    socket.on('close', () => {
      clearTimeout(timer);
      resolve(answer);
    });
  });
}

/** A port that is free now. Somebody else may take it before it is used: be ready to retry. */
export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port was given');
  return address.port;
}
