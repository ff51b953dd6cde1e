/** A foreign value under a key, which an update or a transaction takes over. */
import { messageOf, TorilError } from '../../errors.ts';
import type { LaneEntry } from '../../jobs/lane.ts';
import { asJsonValue } from '../../updates/values/json-value.ts';
import type { GateContext } from '../gate/gate-context.ts';

/**
 * The adopted value as JSON, or why there is none.
 * @param jobs of the key: the first one whose update has an `adopt` is asked
 */
export function adopt(
  { registry }: Pick<GateContext, 'registry'>,
  key: string,
  bytes: Buffer,
  jobs: readonly LaneEntry[],
): string | TorilError {
  const update = jobs
    .map(({ name }) => registry.find(name))
    .find((found) => found?.adopt !== undefined);
  if (update?.adopt === undefined) {
    const what = jobs[0]?.keys === undefined ? 'update' : 'transaction';
    return new TorilError(
      'FOREIGN_VALUE',
      `memcached holds a value under "${key}" that Toril did not write. Delete it, use another key, or give the ${what} an "adopt" function that takes it over.`,
    );
  }
  try {
    return JSON.stringify(asJsonValue(update.adopt(bytes, key), update));
  } catch (cause) {
    const kind = update.keys === undefined ? 'update' : 'transaction';
    const what = `"adopt" of the ${kind} "${update.name}" failed on the value under "${key}": ${messageOf(cause)}`;
    return new TorilError('FOREIGN_VALUE', what, { cause });
  }
}
