/** Where two JSON values first differ. The order of an object's members means nothing. */
export interface JsonDifference {
  /** As in JavaScript (`.lines[3].cents`); empty: the values themselves. */
  readonly path: string;
  /** Undefined: nothing is there. */
  readonly actual: unknown;
  readonly expected: unknown;
}

/** Undefined: they are alike. Members that are undefined are not there, as JSON has it. */
export function jsonDifference(
  actual: unknown,
  expected: unknown,
  path = '',
): JsonDifference | undefined {
  if (Object.is(actual, expected) || (actual === 0 && expected === 0)) return undefined;
  const isSameKind =
    isObject(actual) && isObject(expected) && Array.isArray(actual) === Array.isArray(expected);
  if (!isSameKind) return { path, actual, expected };
  for (const name of new Set([...Object.keys(expected), ...Object.keys(actual)])) {
    const step = Array.isArray(expected) ? `[${name}]` : `.${name}`;
    const difference = jsonDifference(actual[name], expected[name], path + step);
    if (difference !== undefined) return difference;
  }
  return undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

const SHOWN_MAX = 200;

/** For a message: short, and never without an end. */
export function shown(value: unknown): string {
  const text = value === undefined ? 'nothing' : (JSON.stringify(value) ?? `a ${typeof value}`);
  return text.length > SHOWN_MAX
    ? `${text.slice(0, SHOWN_MAX)}… (${text.length} characters)`
    : text;
}

/** `at .cents: found 40, expected 45`. */
export function differenceText({ path, actual, expected }: JsonDifference): string {
  const place = path === '' ? '' : `at ${path}: `;
  return `${place}found ${shown(actual)}, expected ${shown(expected)}`;
}
