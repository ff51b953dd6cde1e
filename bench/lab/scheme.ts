/** A way of changing a value in memcached that several clients share: one that people try, or ours. */
import type { ValueStore } from '../competitors/plain-values.ts';
import type { MemcachedClient } from '../memcached-client.ts';
import type { Work } from '../work.ts';

/** What a client of a scheme without a queue has at hand. Each has connections of its own. */
interface Workbench {
  /** The server that holds the values. */
  readonly values: ValueStore;
  /** Another server: where the pool's hashing puts the lock elsewhere than the value. */
  readonly elsewhere: MemcachedClient;
  /** Every lock ends by itself after so long: nobody is measured with one that never does. */
  readonly lockSeconds: number;
  /** Between two attempts; longer where more clients try. */
  readonly pause: (attempt: number) => Promise<void>;
}

/** Resolves when the client believes its update to be in the value. */
export type DirectUpdate = (bench: Workbench, work: Work) => Promise<void>;

/** Every scheme's lock, so that the lab can evict it. */
export function lockOf(key: string): string {
  return `lock:${key}`;
}
