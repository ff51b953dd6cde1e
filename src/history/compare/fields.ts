/** Where two JSON values differ, leaf by leaf. */

/** What is at a place in both; undefined: nothing. */
export interface FieldDifference {
  readonly old: unknown;
  readonly new: unknown;
}

/** By path, as in `.lines[3].cents`; empty: the values themselves. */
export type Differences = ReadonlyMap<string, FieldDifference>;

export const NONE: Differences = new Map();
/** Places of one pair of values that are told apart; behind that, it is one large difference. */
const FIELDS_MAX = 1_000;

export function differencesOf(old: unknown, now: unknown): Differences {
  if (isSame(old, now)) return NONE;
  const found = new Map<string, FieldDifference>();
  collect(old, now, '', found);
  return found;
}

/** Without indices: `.lines[].cents`. */
export function fieldOf(path: string): string {
  return path.replaceAll(/\[\d+\]/g, '[]');
}

/** Nearly always true, and then nothing else is done. The order of an object's members means nothing. */
export function isSame(old: unknown, now: unknown): boolean {
  if (old === now) return true;
  if (!isObject(old) || !isObject(now)) return false;
  if (Array.isArray(old) !== Array.isArray(now)) return false;
  const names = Object.keys(old);
  if (names.length !== Object.keys(now).length) return false;
  for (const name of names) if (!isSame(old[name], now[name])) return false;
  return true;
}

function collect(
  old: unknown,
  now: unknown,
  path: string,
  found: Map<string, FieldDifference>,
): void {
  if (isSame(old, now) || found.size >= FIELDS_MAX) return;
  const isSameKind = isObject(old) && isObject(now) && Array.isArray(old) === Array.isArray(now);
  if (!isSameKind) {
    found.set(path, { old, new: now });
    return;
  }
  for (const name of new Set([...Object.keys(old), ...Object.keys(now)])) {
    collect(old[name], now[name], path + (Array.isArray(old) ? `[${name}]` : `.${name}`), found);
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
