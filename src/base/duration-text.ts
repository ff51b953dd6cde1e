const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1_000],
] as const;

/** How long, for a person: one unit, rounded down (`3 min`, `12 s`, `40 ms`), since "119 s" says no more than "1 min". */
export function durationText(ms: number): string {
  for (const [unit, length] of UNITS) if (ms >= length) return `${Math.floor(ms / length)} ${unit}`;
  return `${Math.max(0, Math.floor(ms))} ms`;
}
