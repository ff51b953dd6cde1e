/**
 * The lock that memcached's own FAQ describes: whoever can `add` an item has the lock until it
 * deletes it or the item expires; everybody else tries again. It does not know whose lock it deletes.
 */
import type { MemcachedClient } from '../memcached-client.ts';
import { backOff } from './backoff.ts';

export async function withAddLock(
  client: MemcachedClient,
  lock: string,
  lockSeconds: number,
  action: () => Promise<void>,
  pause: (attempt: number) => Promise<void> = backOff,
): Promise<void> {
  for (let attempt = 0; (await client.add(lock, '1', lockSeconds)) !== 'STORED'; attempt++) {
    await pause(attempt);
  }
  try {
    await action();
  } finally {
    await client.delete(lock);
  }
}
