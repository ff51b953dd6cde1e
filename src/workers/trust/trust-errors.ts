/** Why an operator's choice between cell and copy was not carried out. */
import { TorilError } from '../../errors.ts';

export function lost(key: string): TorilError {
  return new TorilError(
    'LEASE_LOST',
    `the lease on "${key}" was lost on the way, and nothing was changed. Try again.`,
  );
}

export function unknownWrite(key: string, done: string, cause: TorilError): TorilError {
  return new TorilError(
    cause.code,
    `whether the cell of "${key}" was ${done} is unknown: ${cause.message} Look at the lane, and try again if it is still as it was.`,
    { cause },
  );
}

/** Said before a lease was waited for, so that an operator hears of the server and not of the lease. */
export function unseen(key: string, cause: TorilError): TorilError {
  return new TorilError(
    cause.code,
    `nothing was changed, since the cell of "${key}" cannot be read: ${cause.message} Say it again once that server answers.`,
    { cause },
  );
}

export function notOurs(key: string): TorilError {
  return new TorilError(
    'FOREIGN_VALUE',
    `memcached holds a value under "${key}" that Toril did not write; it cannot be trusted as a cell.`,
  );
}

export function olderThanCopy(key: string): TorilError {
  return new TorilError(
    'CELL_OF_ANOTHER_REDIS',
    `the cell of "${key}" belongs to another Redis data set and is older than what this one has acknowledged. Say "--trust copy" to restore the value from here.`,
  );
}

/** One of them alone would have half a transaction. */
export function ofSeveralKeys(key: string, keys: readonly string[]): TorilError {
  const others = keys.filter((one) => one !== key).map((one) => `"${one}"`);
  return new TorilError(
    'LANES_APART',
    `the commit in the cell of "${key}" changed ${others.join(', ')} as well, and not all of their cells have it any more. Say "--trust copy": the copies of all its keys agree.`,
  );
}

export function anotherQueue(queue: string): TorilError {
  return new TorilError(
    'CELL_OF_ANOTHER_QUEUE',
    `the cell belongs to the queue "${queue}"; ask there.`,
  );
}
