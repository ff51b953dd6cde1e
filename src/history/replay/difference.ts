/** Two values for people to compare: a unified diff, short enough to read. */
import { structuredPatch } from 'diff';

/** Lines shown, and characters of each. */
const LINES_MAX = 40;
const LINE_MAX = 160;
/** Characters shown before the place at which two long lines part. */
const LEAD = 40;
/** Changed lines beyond which a diff says less than both values side by side. */
const EDITS_MAX = 1000;
const CONTEXT_LINES = 3;

/** `-` expected, `+` actual. Undefined: no value. */
export function differenceBetween(
  expected: string | undefined,
  actual: string | undefined,
): string {
  const [before, after] = textsOf(expected, actual);
  const patch = structuredPatch('', '', before, after, '', '', {
    context: CONTEXT_LINES,
    maxEditLength: EDITS_MAX,
  });
  const lines =
    patch === undefined
      ? [`-${before}`, `+${after}`]
      : patch.hunks.flatMap(({ oldStart, newStart, lines: changed }) => [
          `@@ -${oldStart} +${newStart} @@`,
          ...changed,
        ]);
  const shown = clipped(lines.slice(0, LINES_MAX));
  const more = lines.length - shown.length;
  return [...shown, ...(more > 0 ? [`... and ${more} more lines`] : [])].join('\n');
}

/** Texts are compared by their own lines, everything else by those of its JSON. */
function textsOf(expected: string | undefined, actual: string | undefined): [string, string] {
  const [before, after] = [expected, actual].map((json) =>
    json === undefined ? undefined : (JSON.parse(json) as unknown),
  );
  const areTexts = typeof before === 'string' && typeof after === 'string';
  const textOf = (value: unknown): string => {
    if (value === undefined) return '(no value)\n';
    const isText = areTexts && typeof value === 'string';
    return `${isText ? value : JSON.stringify(value, null, 2)}\n`;
  };
  return [textOf(before), textOf(after)];
}

/** Long lines are cut; a removed and an added one that belong together, around the place where they part. */
function clipped(lines: readonly string[]): string[] {
  return lines.map((line, at) => {
    if (line.length <= LINE_MAX) return line;
    const from = Math.max(1, partingOf(lines, at) - LEAD);
    const start = from > 1 ? `${line[0]}…` : (line[0] ?? '');
    const end = from + LINE_MAX < line.length ? '…' : '';
    return start + line.slice(from, from + LINE_MAX) + end;
  });
}

function partingOf(lines: readonly string[], at: number): number {
  const line = lines[at] ?? '';
  const partner = partnerOf(lines, at);
  if (partner === undefined) return 1;
  let same = 1;
  while (same < line.length && line[same] === partner[same]) same++;
  return same;
}

/** The line with the same place in the run of the other sign. */
function partnerOf(lines: readonly string[], at: number): string | undefined {
  const sign = lines[at]?.[0];
  const signAt = (index: number): string | undefined => lines[index]?.[0];
  if (sign !== '-' && sign !== '+') return undefined;
  let first = at;
  while (signAt(first - 1) === sign) first--;
  const place = at - first;
  if (sign === '-') {
    let other = at;
    while (signAt(other) === '-') other++;
    return signAt(other + place) === '+' ? lines[other + place] : undefined;
  }
  let removed = first;
  while (signAt(removed - 1) === '-') removed--;
  return removed + place < first ? lines[removed + place] : undefined;
}
