/** From one text to another, and back: what a long value and the next one have in common is kept once. */
export interface TextEdit {
  readonly at: number;
  readonly removed: string;
  readonly inserted: string;
}

export function editBetween(before: string, after: string): TextEdit {
  const shorter = Math.min(before.length, after.length);
  let at = 0;
  while (at < shorter && before.charCodeAt(at) === after.charCodeAt(at)) at++;
  let same = 0;
  while (
    same < shorter - at &&
    before.charCodeAt(before.length - 1 - same) === after.charCodeAt(after.length - 1 - same)
  ) {
    same++;
  }
  return {
    at,
    removed: before.slice(at, before.length - same),
    inserted: after.slice(at, after.length - same),
  };
}

export function edited(before: string, { at, removed, inserted }: TextEdit): string {
  return before.slice(0, at) + inserted + before.slice(at + removed.length);
}

export function undone(after: string, { at, removed, inserted }: TextEdit): string {
  return after.slice(0, at) + removed + after.slice(at + inserted.length);
}
