/** The updates in a user's file. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
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
  const { href } = pathToFileURL(path);
  try {
    return await imported(href).catch(async (cause: unknown) => {
      if (!isUnknownExtension(cause) || !(await loadTsx(path))) throw cause;
      return imported(`${href}?tsx`); // Node keeps that the other address has failed
    });
  } catch (cause) {
    if (isUnknownExtension(cause)) {
      throw new TorilError(
        'BAD_FILE',
        `this Node (${process.version}) cannot import ${file}. Install tsx beside it (npm install --save-dev tsx), or compile it to JavaScript.`,
        { cause },
      );
    }
    throw new TorilError('BAD_FILE', `${file} cannot be loaded: ${messageOf(cause)}`, { cause });
  }
}

async function imported(href: string): Promise<Record<string, unknown>> {
  const exported = (await import(href)) as Record<string, unknown>;
  // In a project without `"type": "module"`, tsx makes CommonJS of it, of which only the default is seen.
  const { default: inner } = exported as { default?: { __esModule?: boolean } };
  return inner?.__esModule === true ? (inner as Record<string, unknown>) : exported;
}

function isUnknownExtension(cause: unknown): boolean {
  return (cause as { code?: unknown } | undefined)?.code === 'ERR_UNKNOWN_FILE_EXTENSION';
}

/** As `node --import tsx` does, with the tsx of the file's own project: Node reads TypeScript itself only from 22.18 on. */
async function loadTsx(path: string): Promise<boolean> {
  let loader: string;
  try {
    loader = createRequire(path).resolve('tsx');
  } catch {
    return false;
  }
  await import(pathToFileURL(loader).href);
  return true;
}
