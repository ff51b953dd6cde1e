/** The two servers that Toril needs, and how a private one of each is started and recognised. */
import { spawnSync } from 'node:child_process';

/**
 * @typedef {object} ServerKind
 * @property {'redis' | 'memcached'} name also its service in docker-compose.yml
 * @property {string} variable names a server to use instead of a private one
 * @property {string} binary
 * @property {string} debianPackage
 * @property {string} brewPackage
 * @property {number} usualPort
 * @property {(address: string) => string} format `host:port` as Toril's own variable takes it
 * @property {(binary: string, port: number, folder: string) => string[]} flags
 * @property {string} whoAreYou a request in the server's text protocol
 * @property {RegExp} processId finds the server's process id in the answer
 */

/** @type {ServerKind} */
export const REDIS = {
  name: 'redis',
  variable: 'TORIL_REDIS',
  binary: 'redis-server',
  debianPackage: 'redis-server',
  brewPackage: 'redis',
  usualPort: 6379,
  format: (address) => `redis://${address}`,
  flags: (_binary, port, folder) => [
    ...['--bind', '127.0.0.1', '--port', String(port), '--dir', folder],
    // Nothing of a private server is worth keeping; a test of durability passes --appendonly yes.
    ...['--save', '', '--appendonly', 'no'],
    // BullMQ and Toril need every key that they wrote.
    ...['--maxmemory-policy', 'noeviction'],
  ],
  whoAreYou: 'INFO server\r\n',
  processId: /^process_id:(\d+)/m,
};

/** @type {ServerKind} */
export const MEMCACHED = {
  name: 'memcached',
  variable: 'TORIL_MEMCACHED',
  binary: 'memcached',
  debianPackage: 'memcached',
  brewPackage: 'memcached',
  usualPort: 11211,
  format: (address) => address,
  flags: (binary, port) => [
    ...['-l', '127.0.0.1', '-p', String(port), '-U', '0', '-t', '2', '-m', '256'],
    // Keeps short-lived items, the leases, from being evicted.
    ...(knows(binary, 'temporary_ttl') ? ['-o', 'temporary_ttl=61'] : []),
    // memcached refuses to run as root unless it is told whom to become.
    ...(process.getuid?.() === 0 ? ['-u', 'nobody'] : []),
  ],
  whoAreYou: 'stats\r\n',
  processId: /^STAT pid (\d+)/m,
};

/** @type {readonly ServerKind[]} */
export const SERVER_KINDS = [REDIS, MEMCACHED];

/** @param {string} binary @param {string} option */
function knows(binary, option) {
  return spawnSync(binary, ['-h'], { encoding: 'utf8' }).stdout?.includes(option) === true;
}
