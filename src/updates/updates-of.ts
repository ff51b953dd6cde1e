/** Updates as a list, or as what a module exports. */
import { TorilError } from '../errors.ts';
import type { AnyUpdate } from './update.ts';

/** A list, or a module (`import * as updates from './updates.js'`). */
export type Updates = readonly AnyUpdate[] | Readonly<Record<string, unknown>>;

/**
 * Of a module: its default export or its export `updates`, if that is an array; else everything that it
 * exports and that defineUpdate() returned.
 * @param what it is, for messages, and the code of its errors
 * @throws TorilError
 */
export function updatesOf(
  given: Updates,
  what = 'the module of updates',
  code: 'BAD_FILE' | 'INVALID_OPTIONS' = 'INVALID_OPTIONS',
): readonly AnyUpdate[] {
  if (isList(given)) return given; // the registry looks at each
  const exported = typeof given === 'object' && given !== null ? given : {};
  const list = [exported['default'], exported['updates']].find((one) => Array.isArray(one));
  if (list !== undefined) return checkedList(list as unknown[], what, code);
  const found = [...new Set(Object.values(exported).filter(isUpdate))];
  if (found.length > 0) return found;
  throw new TorilError(
    code,
    `${what} exports no updates. Export what defineUpdate() or defineTransaction() returned, or an array of it as default or as "updates".`,
  );
}

function isList(given: Updates): given is readonly AnyUpdate[] {
  return Array.isArray(given);
}

function checkedList(
  list: readonly unknown[],
  what: string,
  code: 'BAD_FILE' | 'INVALID_OPTIONS',
): readonly AnyUpdate[] {
  const wrong = list.findIndex((one) => !isUpdate(one));
  if (wrong === -1 && list.length > 0) return list as AnyUpdate[];
  throw new TorilError(
    code,
    list.length === 0
      ? `${what} exports an empty list of updates.`
      : `item ${wrong} of the updates in ${what} is not what defineUpdate() or defineTransaction() returns.`,
  );
}

function isUpdate(value: unknown): value is AnyUpdate {
  if (typeof value !== 'object' || value === null) return false;
  const { name, key, apply, onFailure } = value as Partial<Record<keyof AnyUpdate, unknown>>;
  return (
    typeof name === 'string' &&
    typeof key === 'function' &&
    typeof apply === 'function' &&
    typeof onFailure === 'string'
  );
}
