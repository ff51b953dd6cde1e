/** The invariants in a user's file. */
import { TorilError } from '../../errors.ts';
import { type AnyInvariant, checkInvariants } from '../../history/invariants/invariant.ts';
import { importFile } from '../flags/load-updates.ts';

/**
 * The default export of `file` or its export `invariants`, if that is an array; else every object that it exports, but for
 * updates. One that is misspelt is refused, and not left out.
 * @throws TorilError BAD_FILE
 */
export async function loadInvariants(file: string): Promise<readonly AnyInvariant[]> {
  const exported = await importFile(file, '--invariants');
  const list = [exported['default'], exported['invariants']].find((one) => Array.isArray(one));
  const found = list ?? [...new Set(Object.values(exported).filter(mayBeInvariant))];
  if ((found as unknown[]).length === 0) {
    throw new TorilError(
      'BAD_FILE',
      `${file} exports no invariants. Export what defineInvariant() returned, or an array of it as default or as "invariants".`,
    );
  }
  try {
    return checkInvariants(found);
  } catch (cause) {
    throw new TorilError('BAD_FILE', `${file}: ${(cause as Error).message}`, { cause });
  }
}

function mayBeInvariant(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !('apply' in value);
}
