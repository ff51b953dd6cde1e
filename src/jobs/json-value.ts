/** Values live in JSON: whether a value survives the way there and back unchanged. */
import { messageOf, TorilError } from '../errors.ts';

/** Nesting levels; deeper than any sane value. */
const DEPTH_MAX = 500;

/** `same`: JSON gives back what it was given. `alike`: it gives back something slightly different. */
type Finding = 'same' | 'alike' | Problem;

interface Problem {
  readonly what: string;
  /** From the inside to the outside. */
  readonly path: string[];
}

/**
 * The value as it will be when it comes back from memcached. Within a batch the next update gets it
 * without that detour, and its result must not depend on which of the two it was: members that are
 * undefined, one object in two places, `-0` and objects without a prototype are made what JSON makes
 * of them.
 *
 * @throws TorilError UPDATE_NOT_JSON, naming the place, for what JSON cannot hold: an update that
 * returns a Date would see a Date in the next job of the same batch, and a string in the next batch.
 */
export function asJsonValue(value: unknown, updateName: string): unknown {
  const finding = examine(value, 0, new Set());
  if (finding === 'same') return value;
  if (finding !== 'alike') throw notJson(updateName, `${finding.what} at ${placeOf(finding)}`);
  try {
    return JSON.parse(JSON.stringify(value));
  } catch (cause) {
    throw notJson(updateName, `a circle (${messageOf(cause).split('\n')[0]})`);
  }
}

function examine(value: unknown, depth: number, seen: Set<object>): Finding {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return 'same';
    case 'number':
      if (!Number.isFinite(value)) return { what: String(value), path: [] };
      return Object.is(value, -0) ? 'alike' : 'same';
    case 'object':
      return value === null ? 'same' : examineObject(value, depth, seen);
    default:
      return { what: typeof value, path: [] };
  }
}

function examineObject(value: object, depth: number, seen: Set<object>): Finding {
  if (depth > DEPTH_MAX) return { what: `more than ${DEPTH_MAX} levels`, path: ['…'] };
  if (seen.has(value)) return 'alike'; // or a circle: JSON will say
  seen.add(value);
  return Array.isArray(value)
    ? examineArray(value, depth, seen)
    : examineRecord(value as Record<string, unknown>, depth, seen);
}

function examineArray(value: readonly unknown[], depth: number, seen: Set<object>): Finding {
  let found: Finding = 'same';
  for (let i = 0; i < value.length; i++) {
    const finding = examine(value[i], depth + 1, seen);
    if (finding === 'same') continue;
    if (finding !== 'alike') return within(finding, `[${i}]`);
    found = 'alike';
  }
  return found;
}

function examineRecord(value: Record<string, unknown>, depth: number, seen: Set<object>): Finding {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null && !isForeignRoot(prototype)) {
    return { what: `a ${value.constructor?.name ?? 'class instance'}`, path: [] };
  }
  if (typeof value['toJSON'] === 'function') return { what: 'an object with toJSON', path: [] };
  let found: Finding = prototype === Object.prototype ? 'same' : 'alike';
  for (const name in value) {
    const member = value[name];
    // JSON leaves these out, and so does everybody who writes `{ ...value, note: undefined }`.
    const finding = member === undefined ? 'alike' : examine(member, depth + 1, seen);
    if (finding === 'same') continue;
    if (finding !== 'alike') return within(finding, `.${name}`);
    found = 'alike';
  }
  return found;
}

/**
 * The Object.prototype of another realm. Jest runs tests in one of their own, and `structuredClone`
 * gives back objects of the outer one.
 */
function isForeignRoot(prototype: unknown): boolean {
  return (
    Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype as object, 'isPrototypeOf')
  );
}

function within({ what, path }: Problem, step: string): Problem {
  return { what, path: [...path, step] };
}

function placeOf({ path }: Problem): string {
  if (path.length === 0) return 'the top';
  return `"${path.toReversed().join('').replace(/^\./, '').slice(0, 60)}"`;
}

function notJson(updateName: string, problem: string): TorilError {
  return new TorilError(
    'UPDATE_NOT_JSON',
    `the update "${updateName}" returned what JSON cannot hold: ${problem}. Return plain objects, arrays, strings, finite numbers, booleans and null.`,
  );
}
