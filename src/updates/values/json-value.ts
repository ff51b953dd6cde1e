/** Values live in JSON: whether a value survives the way there and back unchanged. */
import { messageOf, TorilError } from '../../errors.ts';

/** Nesting levels; deeper than any sane value. */
const DEPTH_MAX = 500;

/** `same`: JSON gives back what it was given. `alike`: it gives back something slightly different. */
export type Finding = 'same' | 'alike' | Problem;

/** Who made a value: an update, or a transaction, which has `keys`. */
export interface ValueSource {
  readonly name: string;
  readonly keys?: unknown;
}

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
 * @param as what it returned the value as, for the message: `for "a"`
 * @throws TorilError UPDATE_NOT_JSON, naming the place, for what JSON cannot hold: an update that
 * returns a Date would see a Date in the next job of the same batch, and a string in the next batch.
 * For the same reason, what cannot be changed (Immer freezes all that it makes) is made anew.
 */
export function asJsonValue(value: unknown, source: ValueSource, as?: string): unknown {
  const objects = new Set<object>();
  const finding = examineJson(value, undefined, objects);
  return settled(value, finding === 'same' && isAnyFixed(objects) ? 'alike' : finding, source, as);
}

function isAnyFixed(objects: ReadonlySet<object>): boolean {
  for (const object of objects) if (!Object.isExtensible(object)) return true;
  return false;
}

/**
 * Whether JSON gives the value back.
 * @param before a value that is JSON and cannot change: what is at the same place in both is not
 *   looked at again
 * @param seen gets the objects that were looked at
 */
export function examineJson(value: unknown, before: unknown, seen: Set<object>): Finding {
  return examine(value, before, 0, seen);
}

/** @throws TorilError UPDATE_NOT_JSON */
export function settled(
  value: unknown,
  finding: Finding,
  source: ValueSource,
  as?: string,
): unknown {
  if (finding === 'same') return value;
  if (finding !== 'alike') throw notJson(`${finding.what} at ${placeOf(finding)}`, source, as);
  return writtenAndRead(value, source, as);
}

/**
 * What becomes of a value by way of a text, whatever it looked like. A copy: nobody else has hold of it.
 * @throws TorilError UPDATE_NOT_JSON
 */
export function writtenAndRead(value: unknown, source: ValueSource, as?: string): unknown {
  if (value === undefined) return undefined;
  try {
    return JSON.parse(JSON.stringify(value));
  } catch (cause) {
    const problem = `a circle, or what cannot be written (${messageOf(cause).split('\n')[0]})`;
    throw notJson(problem, source, as);
  }
}

/**
 * The value as JSON text, at this moment.
 * @throws what `refuse` makes of the problem, where JSON cannot give the value back
 */
export function jsonTextOf(value: unknown, refuse: (problem: string) => TorilError): string {
  let problem: string;
  try {
    const finding = examineJson(value, undefined, new Set());
    if (finding === 'same' || finding === 'alike') return JSON.stringify(value);
    problem = `${finding.what} at ${placeOf(finding)}`;
  } catch (thrown) {
    // A circle, or a getter or a Proxy that threw.
    problem = messageOf(thrown).split('\n')[0] ?? '';
  }
  throw refuse(problem);
}

/** A copy of what is JSON already: for small values six times as fast as by way of a text. */
export function copyOfJson(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(copyOfJson);
  const members = value as Readonly<Record<string, unknown>>;
  const copy: Record<string, unknown> = {};
  for (const name of Object.keys(members)) {
    // Assigned, this one would become the copy's prototype.
    if (name === '__proto__') return JSON.parse(JSON.stringify(value));
    copy[name] = copyOfJson(members[name]);
  }
  return copy;
}

function examine(value: unknown, before: unknown, depth: number, seen: Set<object>): Finding {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return 'same';
    case 'number':
      if (!Number.isFinite(value)) return { what: String(value), path: [] };
      return Object.is(value, -0) ? 'alike' : 'same';
    case 'object':
      return value === null || value === before
        ? 'same'
        : examineObject(value, before, depth, seen);
    default:
      return { what: typeof value, path: [] };
  }
}

function examineObject(value: object, before: unknown, depth: number, seen: Set<object>): Finding {
  if (depth > DEPTH_MAX) return { what: `more than ${DEPTH_MAX} levels`, path: ['…'] };
  if (seen.has(value)) return 'alike'; // or a circle: JSON will say
  seen.add(value);
  return Array.isArray(value)
    ? examineArray(value, Array.isArray(before) ? before : undefined, depth, seen)
    : examineRecord(value as Record<string, unknown>, recordOf(before), depth, seen);
}

function examineArray(
  value: readonly unknown[],
  before: readonly unknown[] | undefined,
  depth: number,
  seen: Set<object>,
): Finding {
  const shift = before === undefined ? 0 : before.length - value.length;
  let found: Finding = 'same';
  for (let i = before === undefined ? 0 : alikeFor(value, before); i < value.length; i++) {
    // Behind what was put in or taken out, everything has moved.
    const counterpart = i + shift < 0 ? undefined : before?.[i + shift];
    const finding = examine(value[i], counterpart, depth + 1, seen);
    if (finding === 'same') continue;
    if (finding !== 'alike') return within(finding, `[${i}]`);
    found = 'alike';
  }
  return found;
}

/** How many objects at the beginning of both are the same. */
function alikeFor(value: readonly unknown[], before: readonly unknown[]): number {
  const end = Math.min(value.length, before.length);
  let i = 0;
  while (i < end && value[i] === before[i] && typeof value[i] === 'object') i++;
  return i;
}

function examineRecord(
  value: Record<string, unknown>,
  before: Record<string, unknown> | undefined,
  depth: number,
  seen: Set<object>,
): Finding {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null && !isForeignRoot(prototype)) {
    // Refused, whatever comes of it: a rejection would end the process.
    if (value instanceof Promise) value.catch(() => undefined);
    return { what: `a ${value.constructor?.name ?? 'class instance'}`, path: [] };
  }
  if (typeof value['toJSON'] === 'function') return { what: 'an object with toJSON', path: [] };
  let found: Finding = prototype === Object.prototype ? 'same' : 'alike';
  for (const name in value) {
    const member = value[name];
    // JSON leaves these out, and so does everybody who writes `{ ...value, note: undefined }`.
    const finding =
      member === undefined ? 'alike' : examine(member, before?.[name], depth + 1, seen);
    if (finding === 'same') continue;
    if (finding !== 'alike') return within(finding, `.${name}`);
    found = 'alike';
  }
  return found;
}

function recordOf(before: unknown): Record<string, unknown> | undefined {
  if (typeof before !== 'object' || before === null) return undefined;
  return before as Record<string, unknown>;
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

export function sourceText({ name, keys }: ValueSource): string {
  return `the ${keys === undefined ? 'update' : 'transaction'} "${name}"`;
}

function notJson(problem: string, source: ValueSource, as = ''): TorilError {
  return new TorilError(
    'UPDATE_NOT_JSON',
    `${sourceText(source)} returned ${as === '' ? '' : `${as} `}what JSON cannot hold: ${problem}. Return plain objects, arrays, strings, finite numbers, booleans and null.`,
  );
}
