/**
 * The servers that tests use. The shared ones are for everybody: never flush them, and give each
 * test names of its own. Private ones are for tests that kill, freeze or restart a server.
 */
import { afterAll } from 'vitest';
import { startPrivateServer } from '../../src/cli/servers/private-server.ts';
import { MEMCACHED_PROGRAM } from '../../src/cli/servers/server-programs.ts';
import {
  type PrivateServer,
  type StartOptions,
  startMemcached as startPrivateMemcached,
  startRedis as startPrivateRedis,
} from '../../scripts/servers.ts';

export type { PrivateServer };

/** The shared Redis, as a URL. */
export function redisUrl(): string {
  const address = required('TORIL_REDIS');
  return address.includes('://') ? address : `redis://${address}`;
}

/** The shared memcached servers, each as `host:port`. */
export function memcachedAddresses(): readonly string[] {
  return required('TORIL_MEMCACHED')
    .split(',')
    .map((address) => address.trim());
}

function required(variable: string): string {
  const address = process.env[variable];
  if (address !== undefined && address !== '') return address;
  throw new Error(`${variable} is not set: only tests outside test/unit have servers`);
}

const started = new Set<PrivateServer>();

/**
 * A memcached of the test's own, of the machine's or another `binary`. Call its `stop()` in the end:
 * one left over fails the file.
 */
export async function startMemcached({
  binary,
  ...options
}: StartOptions & { readonly binary?: string | undefined } = {}): Promise<PrivateServer> {
  if (binary === undefined) return remember(await startPrivateMemcached(options));
  return remember(await startPrivateServer(MEMCACHED_PROGRAM, binary, options));
}

/** A Redis of the test's own. Call its `stop()` in the end: one left over fails the file. */
export async function startRedis(options?: StartOptions): Promise<PrivateServer> {
  return remember(await startPrivateRedis(options));
}

function remember(server: PrivateServer): PrivateServer {
  started.add(server);
  return server;
}

afterAll(async () => {
  const left = [...started].filter((server) => server.running);
  started.clear();
  for (const server of left) await server.stop();
  if (left.length > 0) {
    throw new Error(`a test left servers running: ${left.map((server) => server.name).join(', ')}`);
  }
});
