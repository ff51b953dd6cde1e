/** The updates in a user's file. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { messageOf, TorilError } from '../../errors.ts';
import type { AnyUpdate } from '../../updates/update.ts';
import { updatesOf } from '../../updates/updates-of.ts';

/**
 * Imports `file` and takes its default export or its export `updates`, if that is an array; else
 * everything that it exports and that defineUpdate() returned.
 * @throws TorilError BAD_FILE
 */
export async function loadUpdates(file: string): Promise<readonly AnyUpdate[]> {
  const exported = await importFile(file, '--updates');
  return updatesOf(exported, file, 'BAD_FILE');
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
