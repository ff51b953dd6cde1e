/** What a user's file says about what is shown. */
import { TorilError } from '../../errors.ts';
import type { UiOptions } from '../../ui.ts';
import { importFile } from '../flags/load-updates.ts';

/** @throws TorilError BAD_FILE */
export async function loadHide(file: string): Promise<NonNullable<UiOptions['hide']>> {
  const exported = await importFile(file, '--hide');
  const hide = exported['hide'] ?? exported['default'];
  if (typeof hide === 'function') return hide as NonNullable<UiOptions['hide']>;
  throw new TorilError(
    'BAD_FILE',
    `${file} hides nothing: it must export a function "hide(value, { queue, key, what })", which returns what is shown instead.`,
  );
}
