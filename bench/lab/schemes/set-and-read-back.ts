/**
 * (d) Set a random value as the lock and read it back: whoever reads its own has the lock. Somebody
 * who saw no lock either may still overwrite it a moment later, and read its own as well. Wikia's
 * MemcacheSync is of this kind; a consistency bug of App Engine's ndb was, too (issue 84).
 */
import { randomUUID } from 'node:crypto';
import { type DirectUpdate, lockOf } from '../scheme.ts';

export const setAndReadBack: DirectUpdate = async ({ values, lockSeconds, pause }, work) => {
  const { client } = values;
  const lock = lockOf(work.key);
  const mine = randomUUID();
  const isMine = async (): Promise<boolean> => (await client.get(lock))?.value === mine;
  for (let attempt = 0; ; attempt++) {
    if ((await client.get(lock)) === undefined) {
      await client.set(lock, mine, lockSeconds);
      if (await isMine()) break;
    }
    await pause(attempt);
  }
  try {
    await values.update(work);
  } finally {
    if (await isMine()) await client.delete(lock);
  }
};
