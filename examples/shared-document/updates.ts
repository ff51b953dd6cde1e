/**
 * A text that several people write at once. Each edit says where, how many characters go and what
 * comes in their place: applied twice, dropped or out of order, the text comes out wrong.
 */
import { DELETE_CELL, defineUpdate, type Update } from 'toril';

export interface SharedDocument {
  readonly text: string;
  /** Edits that led to it. */
  readonly revision: number;
  /** Who has written in it, in order of their first edit. */
  readonly authors: readonly string[];
}

export interface Edit {
  readonly document: string;
  readonly author: string;
  /** Positions and lengths count UTF-16 units, as JavaScript's strings do. */
  readonly patches: readonly Patch[];
}

export type Patch = readonly [position: number, removed: number, inserted: string];

export const edit: Update<'edit', SharedDocument, Edit, Edit, number> = defineUpdate({
  name: 'edit',
  key: ({ document }: Edit) => `document:${document}`,
  initial: (): SharedDocument => ({ text: '', revision: 0, authors: [] }),
  apply: ({ text, revision, authors }: SharedDocument, { author, patches }: Edit) => ({
    text: patches.reduce(patched, text),
    revision: revision + 1,
    authors: authors.includes(author) ? authors : [...authors, author],
  }),
  result: (document) => document?.revision ?? 0,
});

function patched(text: string, [position, removed, inserted]: Patch): string {
  if (position + removed > text.length) {
    throw new RangeError(`there are only ${text.length} characters`);
  }
  return text.slice(0, position) + inserted + text.slice(position + removed);
}

export const discard: Update<'discard', SharedDocument, Discard, Discard, void> = defineUpdate({
  name: 'discard',
  key: ({ document }: Discard) => `document:${document}`,
  initial: (): SharedDocument => ({ text: '', revision: 0, authors: [] }),
  apply: (): typeof DELETE_CELL => DELETE_CELL,
});

export interface Discard {
  readonly document: string;
}
