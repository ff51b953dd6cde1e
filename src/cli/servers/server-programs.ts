/** Redis and memcached as programs: how a private one is started and recognised. */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';

export interface ServerProgram {
  readonly name: 'redis' | 'memcached';
  /** On the PATH. */
  readonly command: string;
  /** `host:port` as TORIL_REDIS or TORIL_MEMCACHED take it. */
  address(hostAndPort: string): string;
  flags(binary: string, host: string, port: number, folder: string): readonly string[];
  /** A request in the server's text protocol. */
  readonly whoAreYou: string;
  /** Finds the server's process id in the answer. */
  readonly processId: RegExp;
}

export const REDIS_PROGRAM: ServerProgram = {
  name: 'redis',
  command: 'redis-server',
  address: (hostAndPort) => `redis://${hostAndPort}`,
  flags: (_binary, host, port, folder) => [
    ...['--bind', host, '--port', String(port), '--dir', folder],
    // Nothing of a private server is worth keeping; a test of durability passes --appendonly yes.
    ...['--save', '', '--appendonly', 'no'],
    // BullMQ and Toril need every key that they wrote.
    ...['--maxmemory-policy', 'noeviction'],
  ],
  whoAreYou: 'INFO server\r\n',
  processId: /^process_id:(\d+)/m,
};

export const MEMCACHED_PROGRAM: ServerProgram = {
  name: 'memcached',
  command: 'memcached',
  address: (hostAndPort) => hostAndPort,
  flags: (binary, host, port) => [
    ...['-l', host, '-p', String(port), '-U', '0', '-t', '2', '-m', '256'],
    // Keeps short-lived items, the leases, from being evicted.
    ...(knows(binary, 'temporary_ttl') ? ['-o', 'temporary_ttl=61'] : []),
    // memcached refuses to run as root unless it is told whom to become.
    ...(process.getuid?.() === 0 ? ['-u', 'nobody'] : []),
  ],
  whoAreYou: 'stats\r\n',
  processId: /^STAT pid (\d+)/m,
};

function knows(binary: string, option: string): boolean {
  return spawnSync(binary, ['-h'], { encoding: 'utf8' }).stdout?.includes(option) === true;
}

/** The full path of a command on the PATH, as a shell would find it. */
export function findBinary(name: string): string | undefined {
  return (process.env['PATH'] ?? '')
    .split(delimiter)
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
