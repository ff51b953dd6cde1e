/** Names that are nearly, but not quite, one of those that mean something. */

/** An edit is a letter more, less, another, or two in the wrong order. Names with so many letters may have two, */
const LONG = 8;
/** those with so many, one, and shorter ones (`id`, `key`) none: they are near to too much else. */
const SHORT = 4;

/**
 * The first member of `given` that is nearly called as one of `known`, and that one. Others are left alone: frameworks put
 * options of their own beside ours.
 */
export function misspelt(
  given: object,
  known: readonly string[],
): { readonly name: string; readonly meant: string } | undefined {
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || known.includes(name)) continue;
    const meant = known.find((other) => isNearly(name.toLowerCase(), other.toLowerCase()));
    if (meant !== undefined) return { name, meant };
  }
  return undefined;
}

function isNearly(name: string, other: string): boolean {
  return edits(name, other) <= (other.length >= LONG ? 2 : other.length >= SHORT ? 1 : 0);
}

/**
 * Optimal string alignment distance. Most packages (leven, fastest-levenshtein) count two swapped letters as two edits, which
 * would make `onExhuasted` right only for long names; damerau-levenshtein counts one, but has no types, and every user
 * would install it for these lines.
 */
function edits(a: string, b: string): number {
  let [twoUp, up]: number[][] = [[], Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const differs = a[i - 1] === b[j - 1] ? 0 : 1;
      const swapped = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      row[j] = Math.min(
        at(up, j) + 1,
        at(row, j - 1) + 1,
        at(up, j - 1) + differs,
        swapped ? at(twoUp, j - 2) + 1 : Number.POSITIVE_INFINITY,
      );
    }
    [twoUp, up] = [up, row];
  }
  return at(up, b.length);
}

function at(row: readonly number[] | undefined, place: number): number {
  return row?.[place] ?? Number.POSITIVE_INFINITY;
}
