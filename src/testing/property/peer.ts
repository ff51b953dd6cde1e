/** fast-check, which the user's project brings: only `toril/testing/fast-check` needs it. */
import type * as FastCheck from 'fast-check';
import { TorilError } from '../../errors.ts';

/** @throws TorilError PEER_MISSING */
export const fc: typeof FastCheck = await load();

async function load(): Promise<typeof FastCheck> {
  try {
    return await import('fast-check');
  } catch (cause) {
    if ((cause as { code?: unknown }).code !== 'ERR_MODULE_NOT_FOUND') throw cause;
    throw new TorilError(
      'PEER_MISSING',
      'toril/testing/fast-check needs the package fast-check (3 or 4), which is not installed: npm install --save-dev fast-check.',
      { cause },
    );
  }
}
