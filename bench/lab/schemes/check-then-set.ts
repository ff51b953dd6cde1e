/**
 * (a) Look for a lock item; when there is none, set one. Between the look and the set, others look,
 * too. "This works 90% of the time", says who asked in 2012 how to mend it
 * (programmers.stackexchange.com/questions/150230).
 */
import { type DirectUpdate, lockOf } from '../scheme.ts';

export const checkThenSet: DirectUpdate = async ({ values, lockSeconds, pause }, work) => {
  const { client } = values;
  const lock = lockOf(work.key);
  for (let attempt = 0; (await client.get(lock)) !== undefined; attempt++) await pause(attempt);
  await client.set(lock, '1', lockSeconds);
  try {
    await values.update(work);
  } finally {
    await client.delete(lock);
  }
};
