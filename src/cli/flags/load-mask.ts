/** The mask in a user's file. */
import { TorilError } from '../../errors.ts';
import type { Mask } from '../../history/recording/mask.ts';
import { importFile } from './load-updates.ts';

/** @throws TorilError BAD_FILE */
export async function loadMask(file: string): Promise<Mask> {
  const exported = await importFile(file, '--mask');
  const named = exported['default'] ?? exported;
  const { data, value } = (typeof named === 'object' && named !== null ? named : {}) as Record<
    string,
    unknown
  >;
  if (typeof data === 'function' && (value === undefined || typeof value === 'function')) {
    return (value === undefined ? { data } : { data, value }) as Mask;
  }
  throw new TorilError(
    'BAD_FILE',
    `${file} is no mask: it must export a function "data(data, job)", and may export "value(value, key)".`,
  );
}
