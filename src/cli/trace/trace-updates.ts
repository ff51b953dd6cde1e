/**
 * The update that replays recorded editing, in a module of its own: worker processes load it by its
 * path, as they would a user's.
 */
import { fileURLToPath } from 'node:url';
import { defineUpdate, type Update } from '../../updates/update.ts';

/** What one transaction does at one place: position and length in Unicode code points. */
export type Patch = readonly [position: number, deleteCount: number, inserted: string];

export interface Edit {
  /** The document's key. */
  readonly document: string;
  readonly patches: readonly Patch[];
}

/** Where worker processes find this file. */
export const TRACE_UPDATES_FILE: string = fileURLToPath(import.meta.url);

export const edit: Update<'edit', string, Edit, Edit, void> = defineUpdate({
  name: 'edit',
  key: ({ document }: Edit) => document,
  initial: () => '',
  apply: (text: string, { patches }: Edit) => applyPatches(text, patches),
});

/** @throws RangeError for a patch beyond the end of the text */
export function applyPatches(text: string, patches: readonly Patch[]): string {
  let edited = text;
  for (const [position, deleteCount, inserted] of patches) {
    const from = offsetOf(edited, 0, position);
    const to = offsetOf(edited, from, deleteCount);
    edited = edited.slice(0, from) + inserted + edited.slice(to);
  }
  return edited;
}

const SURROGATE = /[\uD800-\uDFFF]/;

/** The UTF-16 offset `points` code points behind `from`; they are the same where there are no pairs. */
function offsetOf(text: string, from: number, points: number): number {
  const straight = from + points;
  if (straight <= text.length && !SURROGATE.test(text.slice(from, straight))) return straight;
  let offset = from;
  for (let passed = 0; passed < points; passed++) {
    const point = text.codePointAt(offset);
    if (point === undefined) {
      throw new RangeError(
        `the patch ends ${points - passed} characters behind the end of the text`,
      );
    }
    offset += point > 0xffff ? 2 : 1;
  }
  return offset;
}
