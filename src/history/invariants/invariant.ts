/** Invariants: what must hold of every value, of every job's step, and of all keys together. What users write. */
import { TorilError } from '../../errors.ts';

/** `false`, or a text that says what is wrong: it does not hold. */
export type InvariantAnswer = boolean | string;

/** An applied job. */
export interface InvariantJob {
  readonly id: string;
  /** The update's name. */
  readonly update: string;
  readonly data: unknown;
  readonly sequence: number;
  readonly attempt: number;
}

/** What one job did to its key's value. All of it is frozen. */
export interface InvariantStep<Value = unknown> {
  readonly key: string;
  /** Of a transaction's job, which is a step of each of its keys: all of them. */
  readonly keys?: readonly string[];
  readonly job: InvariantJob;
  /** Undefined: the key had none. */
  readonly before: Value | undefined;
  /** Undefined: it is deleted. */
  readonly after: Value | undefined;
  /** What `result()` returned; undefined: nothing. */
  readonly result: unknown;
  /** Of the recording, counted from 1; undefined: on a test bed. */
  readonly line: number | undefined;
}

export interface TotalFacts {
  /** What jobs have changed of it, and values that were lost or adopted since they were known. */
  readonly change: number | bigint;
  /** Keys that have a value. */
  readonly keys: number;
}

/** Something of each value, summed over all keys: kept up to date with each job, not summed again. */
export interface InvariantTotal<Value = unknown> {
  /** A whole number (up to 2^53) or a bigint, always the same of the two: fractions would not add up. */
  of(value: Value, key: string): number | bigint;
  /** "The total is constant": `change === 0`, since values become known one after the other. */
  holds(total: number | bigint, facts: TotalFacts): InvariantAnswer;
  /** `always`: after each job (default); `end`: behind the last one only. */
  readonly when?: 'always' | 'end';
}

/** At least one of `value`, `step` and `total`. None of them may be asynchronous. */
export interface Invariant<Value = unknown> {
  readonly name: string;
  /** Which keys it is about; default: all. */
  readonly keys?: RegExp | ((key: string) => boolean);
  /** Asked of each value that a job leaves behind, and of the one that the key begins with. */
  value?(value: Value, key: string): InvariantAnswer;
  /** Asked of each applied job. */
  step?(step: InvariantStep<Value>): InvariantAnswer;
  readonly total?: InvariantTotal<Value>;
}

/** Any invariant, whatever its types: what lists of them hold. */
// oxlint-disable-next-line typescript/no-explicit-any -- `unknown` would fit none: values come in
export type AnyInvariant = Invariant<any>;

const MEMBERS: ReadonlySet<string> = new Set(['name', 'keys', 'value', 'step', 'total']);
const TOTAL_MEMBERS: ReadonlySet<string> = new Set(['of', 'holds', 'when']);

/**
 * For the types, and to be told of mistakes where they are made.
 * @throws TorilError INVALID_OPTIONS
 */
export function defineInvariant<Value = unknown>(invariant: Invariant<Value>): Invariant<Value> {
  checkInvariant(invariant);
  return invariant;
}

/** @throws TorilError INVALID_OPTIONS */
export function checkInvariants(invariants: unknown): readonly AnyInvariant[] {
  if (!Array.isArray(invariants)) refuse('invariants must be an array');
  if ((invariants as unknown[]).length === 0) refuse('the list of invariants is empty');
  const names = new Set<string>();
  for (const one of invariants as unknown[]) {
    checkInvariant(one);
    const { name } = one as AnyInvariant;
    if (names.has(name)) refuse(`two invariants are named "${name}"`);
    names.add(name);
  }
  return invariants as AnyInvariant[];
}

/** A member that is misspelt would never be asked. */
function checkInvariant(one: unknown): void {
  if (typeof one !== 'object' || one === null) refuse('an invariant is an object');
  const { name, keys, value, step, total } = one as Partial<Record<keyof AnyInvariant, unknown>>;
  if (typeof name !== 'string' || name === '') refuse('an invariant needs a name');
  const what = `the invariant "${String(name)}"`;
  const unknown = Object.keys(one as object).find((member) => !MEMBERS.has(member));
  if (unknown !== undefined) refuse(`${what} has a member ${unknown}, which means nothing`);
  const areKeys = keys === undefined || keys instanceof RegExp || typeof keys === 'function';
  if (!areKeys) refuse(`keys of ${what} must be a regular expression or a function of the key`);
  for (const [member, found] of Object.entries({ value, step })) {
    const isFine = found === undefined || typeof found === 'function';
    if (!isFine) refuse(`${member} of ${what} must be a function`);
  }
  if (total !== undefined) checkTotal(total, what);
  if (value === undefined && step === undefined && total === undefined) {
    refuse(`${what} says nothing: give it value, step or total`);
  }
}

function checkTotal(total: unknown, what: string): void {
  const { of, holds, when } = (total ?? {}) as Partial<Record<keyof InvariantTotal, unknown>>;
  if (typeof of !== 'function' || typeof holds !== 'function') {
    refuse(`total of ${what} needs two functions, of(value) and holds(total)`);
  }
  const unknown = Object.keys(total as object).find((member) => !TOTAL_MEMBERS.has(member));
  if (unknown !== undefined) refuse(`total of ${what} has a member ${unknown}`);
  if (when !== undefined && when !== 'always' && when !== 'end') {
    refuse(`total.when of ${what} must be "always" or "end"`);
  }
}

function refuse(what: string): never {
  throw new TorilError('INVALID_OPTIONS', `${what}.`);
}
