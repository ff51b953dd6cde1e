/**
 * (c) A lock item that says whether it is free: get it, add it if it is missing, and a CAS from free
 * to mine, again and again until it succeeds. It lies on another server than the value, as the
 * client's hashing has it. So do unimr.memcachedlock and memcachelock. Given back only while it is
 * still mine.
 */
import { randomUUID } from 'node:crypto';
import type { MemcachedClient } from '../../memcached-client.ts';
import { type DirectUpdate, lockOf } from '../scheme.ts';

const FREE = 'free';

export const casLock: DirectUpdate = async ({ values, elsewhere, lockSeconds, pause }, work) => {
  const lock = lockOf(work.key);
  const mine = randomUUID();
  for (let attempt = 0; !(await seize(elsewhere, lock, mine, lockSeconds)); attempt++) {
    await pause(attempt);
  }
  try {
    await values.update(work);
  } finally {
    const item = await elsewhere.get(lock);
    if (item?.value === mine) await elsewhere.cas(lock, FREE, item.cas);
  }
};

async function seize(
  client: MemcachedClient,
  lock: string,
  mine: string,
  lockSeconds: number,
): Promise<boolean> {
  let item = await client.get(lock);
  if (item === undefined) {
    await client.add(lock, FREE);
    item = await client.get(lock);
  }
  return item?.value === FREE && (await client.cas(lock, mine, item.cas, lockSeconds)) === 'STORED';
}
