/** How settling which value is true can end, and what is said of it. */
import type { TorilError } from '../../errors.ts';

export type TrustEnd =
  /** The cell is gone; the next job of the key restores it from the copy. */
  | { readonly kind: 'copy-trusted'; readonly token: number }
  /** The copy says what the cell says; jobs that the cell has applied have left the lane. */
  | { readonly kind: 'cell-trusted'; readonly token: number; readonly watermark: number }
  /** There is no cell, so there is nothing to choose: the copy is true already. */
  | { readonly kind: 'no-cell' }
  /** The copy is as new as the cell, or newer: workers know by themselves that it is true. */
  | { readonly kind: 'copy-is-newer' }
  /** Redis has no value to restore the cell from; nothing was changed. */
  | { readonly kind: 'no-copy' }
  /** The cell cannot be the truth; nothing was changed. */
  | { readonly kind: 'unusable'; readonly cause: TorilError };

/** @throws TorilError the cause, if the cell was unusable */
export function trustEndText(end: TrustEnd): string {
  switch (end.kind) {
    case 'unusable':
      throw end.cause;
    case 'copy-trusted':
      return `the cell is deleted; the next job restores it from commit ${end.token}`;
    case 'cell-trusted':
      return `the copy is now the cell's commit ${end.token}`;
    case 'copy-is-newer':
      return 'nothing was changed: the copy in Redis is as new as the cell or newer, and workers trust it anyway';
    case 'no-cell':
      return 'nothing was changed: there is no cell, so the copy is trusted anyway';
    case 'no-copy':
      return 'nothing was changed: Redis has no value to restore. To begin anew, delete the item with a memcached client';
  }
}
