/** The updates in a user's file. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { messageOf, TorilError } from '../../errors.ts';
import type { AnyUpdate } from '../../updates/update.ts';

/**
 * Imports `file` and takes its default export or its export `updates`, if that is an array; else
 * everything that it exports and that defineUpdate() returned.
 * @throws TorilError BAD_FILE
 */
export async function loadUpdates(file: string): Promise<readonly AnyUpdate[]> {
  const exported = await importFile(file, '--updates');
  const list = [exported['default'], exported['updates']].find((one) => Array.isArray(one));
  if (list !== undefined) return checkedList(file, list as unknown[]);
  const found = [...new Set(Object.values(exported).filter(isUpdate))];
  if (found.length > 0) return found;
  throw new TorilError(
    'BAD_FILE',
    `${file} exports no updates. Export what defineUpdate() returned, or an array of it as default or as "updates".`,
  );
}

/** @param flag which names the file. @throws TorilError BAD_FILE */
export async function importFile(file: string, flag: string): Promise<Record<string, unknown>> {
  const path = resolve(file);
  if (!existsSync(path)) {
    throw new TorilError('BAD_FILE', `there is no file ${file}; ${flag} names a module of yours.`);
  }
  try {
    return (await import(pathToFileURL(path).href)) as Record<string, unknown>;
  } catch (cause) {
    if ((cause as { code?: unknown }).code === 'ERR_UNKNOWN_FILE_EXTENSION') {
      throw new TorilError(
        'BAD_FILE',
        `this Node (${process.version}) cannot import ${file}. Compile it to JavaScript first, or start toril with a loader: node --import tsx node_modules/toril/dist/cli/main.js ...`,
        { cause },
      );
    }
    throw new TorilError('BAD_FILE', `${file} cannot be loaded: ${messageOf(cause)}`, { cause });
  }
}

function checkedList(file: string, list: readonly unknown[]): readonly AnyUpdate[] {
  const wrong = list.findIndex((one) => !isUpdate(one));
  if (wrong === -1 && list.length > 0) return list as AnyUpdate[];
  throw new TorilError(
    'BAD_FILE',
    list.length === 0
      ? `${file} exports an empty list of updates.`
      : `item ${wrong} of the updates in ${file} is not what defineUpdate() returns.`,
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
