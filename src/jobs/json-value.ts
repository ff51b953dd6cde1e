/** Values live in JSON: whether a value survives the way there and back unchanged. */
import { TorilError } from '../errors.ts';

/** Nesting levels; deeper than any sane value, and the end of circular ones. */
const DEPTH_MAX = 500;

/**
 * @throws TorilError UPDATE_NOT_JSON naming the place: an update that returns a Date would see a
 * Date in the next job of the same batch and a string in the next batch, so its result would depend
 * on chance.
 */
export function assertJsonValue(value: unknown, updateName: string): void {
  const problem = problemIn(value, '', 0);
  if (problem !== undefined) {
    throw new TorilError(
      'UPDATE_NOT_JSON',
      `the update "${updateName}" returned what JSON cannot hold: ${problem}. Return plain objects, arrays, strings, finite numbers, booleans and null.`,
    );
  }
}

function problemIn(value: unknown, path: string, depth: number): string | undefined {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return undefined;
    case 'number':
      return Number.isFinite(value) ? undefined : `${value} at ${place(path)}`;
    case 'object':
      return value === null ? undefined : problemInObject(value, path, depth);
    default:
      return `${typeof value} at ${place(path)}`;
  }
}

function problemInObject(value: object, path: string, depth: number): string | undefined {
  if (depth > DEPTH_MAX)
    return `a circle or more than ${DEPTH_MAX} levels at ${place(path.slice(0, 60))}`;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const problem = problemIn(value[i], `${path}[${i}]`, depth + 1);
      if (problem !== undefined) return problem;
    }
    return undefined;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    return `a ${value.constructor?.name ?? 'class instance'} at ${place(path)}`;
  }
  if ('toJSON' in value && typeof value.toJSON === 'function')
    return `an object with toJSON at ${place(path)}`;
  for (const name in value) {
    const member = (value as Record<string, unknown>)[name];
    // JSON leaves out members that are undefined, and so does everybody who writes `{ ...value, note: undefined }`.
    if (member === undefined) continue;
    const problem = problemIn(member, path === '' ? name : `${path}.${name}`, depth + 1);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function place(path: string): string {
  return path === '' ? 'the top' : `"${path}"`;
}
