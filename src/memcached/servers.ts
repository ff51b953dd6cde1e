/** The configured memcached servers as one: which of them holds a key. */
import type { MemcachedServer } from './server.ts';

export interface MemcachedServers {
  readonly all: readonly MemcachedServer[];
  /** Names list and hashing; two processes whose fingerprints differ would keep two locks for one key. */
  readonly fingerprint: string;
  /** Always the same server for the same key. Never another one because that one is down. */
  serverFor(key: string): MemcachedServer;
  /** As of each server. */
  close(atOnce?: boolean): Promise<void>;
}

/** For people: the servers of a fingerprint. */
export function serversIn(fingerprint: string): string {
  return fingerprint.slice(fingerprint.indexOf(':') + 1);
}
