/**
 * A kind of cells, defined once: whose they are, what a value looks like, where it begins. Its updates agree on
 * that by construction, and readers get the type.
 */
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { isPromiseLike } from '../base/promise-like.ts';
import { TorilError } from '../errors.ts';
import type { JsonProblem } from './values/json-type.ts';
import { issuesText } from './schema-issues.ts';
import { DELETE_CELL, defineUpdate, type Update, type UpdateSettings } from './update.ts';

export interface CellSettings<Id, Value> {
  /** For error messages: "account". */
  readonly name: string;
  /** The memcached key of one of them: 1 byte to 1 KiB. */
  key(id: Id): string;
  /**
   * Any Standard Schema (zod, valibot, arktype, ...) of the value. It is checked after each update, which fails
   * its job (INVALID_VALUE), and by whoever reads. It only checks: a schema that makes something else of a value
   * is refused by the compiler.
   */
  readonly schema?: StandardSchemaV1<Value, Value>;
  /** The value of a key that has none. Without it, an update of such a key fails. */
  initial?(key: string): Value;
  /** Turns a value that Toril did not write into the first one of its chain. */
  adopt?(foreign: Buffer, key: string): Value;
  /** Whole seconds, 1 to 30 days, after which a value is gone unless changed again. Default: never. */
  readonly expireSeconds?: number;
}

/** What an update says besides what its cell has said already. */
export interface CellUpdateSettings<Id, Value, Data, Result>
  extends Omit<UpdateSettings<Value, Data, Result>, 'key' | 'initial' | 'adopt' | 'expireSeconds'> {
  /** Whose cell the job changes. Must not depend on anything but the data. */
  id(data: Data): Id;
}

export interface CellDefinition<Id, Value> {
  readonly name: string;
  /** The memcached key, for what takes keys. */
  key(id: Id): string;
  /** The very value, if it fits the schema. @throws TorilError INVALID_VALUE */
  checked(value: unknown, key: string): Value | Promise<Value>;
  /** Defines an update of such cells: otherwise like `defineUpdate`. @throws TorilError INVALID_OPTIONS */
  update<const Name extends string, Schema extends StandardSchemaV1, Result = void>(
    settings: CellUpdateSettings<Id, Value, StandardSchemaV1.InferOutput<Schema>, Result> & {
      readonly name: Name;
      readonly schema: Schema;
    },
  ): Update<
    Name,
    Value,
    StandardSchemaV1.InferInput<Schema>,
    StandardSchemaV1.InferOutput<Schema>,
    Result
  >;
  update<const Name extends string, Data, Result = void>(
    settings: CellUpdateSettings<Id, Value, Data, Result> & {
      readonly name: Name;
      readonly schema?: undefined;
    },
  ): Update<Name, Value, Data, Data, Result>;
}

/** What the compiler asks for besides, if a value would not come back from JSON as it was. */
export type InJson<Value> = [JsonProblem<Value>] extends [never]
  ? unknown
  : { readonly valueMustBeJson: JsonProblem<Value> };

/**
 * Defines a kind of cells.
 *
 * @throws TorilError INVALID_OPTIONS
 */
export function defineCell<Id, Value>(
  settings: CellSettings<Id, Value> & InJson<Value>,
): CellDefinition<Id, Value>;
export function defineCell<Id, Value>(
  settings: CellSettings<Id, Value>,
): CellDefinition<Id, Value> {
  check(settings);
  const { name, schema, key, initial, adopt, expireSeconds } = settings;
  const keyOf = (id: Id): string => key(id);
  const checked = (value: unknown, at: string): Value | Promise<Value> => {
    if (schema === undefined) return value as Value;
    const outcome = schema['~standard'].validate(value);
    const settle = ({ issues }: Awaited<typeof outcome>): Value => {
      if (issues === undefined) return value as Value;
      throw new TorilError(
        'INVALID_VALUE',
        `the value under "${at}" does not fit the schema of the cell "${name}": ${issuesText(issues)}.`,
      );
    };
    return isPromiseLike(outcome) ? Promise.resolve(outcome).then(settle) : settle(outcome);
  };
  const update = (own: CellUpdateSettings<Id, Value, unknown, unknown> & { name: string }) => {
    if (typeof own?.id !== 'function') {
      throw new TorilError(
        'INVALID_OPTIONS',
        `an update of the cell "${name}" needs "id", a function of the data that says whose cell it is.`,
      );
    }
    const { id, ...rest } = own;
    const apply: typeof own.apply = (value, data, context) => {
      const fit = (after: Value | typeof DELETE_CELL): ReturnType<typeof own.apply> =>
        after === DELETE_CELL ? after : checked(after, context.key);
      const after = own.apply(value, data, context);
      return isPromiseLike(after) ? Promise.resolve(after).then(fit) : fit(after);
    };
    return defineUpdate({
      ...(rest as UpdateSettings<Value, unknown, unknown> & { name: string; schema?: undefined }),
      key: (data) => keyOf(id(data)),
      ...(initial !== undefined && { initial }),
      ...(adopt !== undefined && { adopt }),
      ...(expireSeconds !== undefined && { expireSeconds }),
      ...(schema !== undefined && { apply }),
    });
  };
  return { name, key: keyOf, checked, update: update as CellDefinition<Id, Value>['update'] };
}

function check(settings: CellSettings<never, unknown>): void {
  const refuse = (what: string): never => {
    throw new TorilError('INVALID_OPTIONS', `defineCell: ${what}.`);
  };
  if (typeof settings !== 'object' || settings === null)
    refuse('pass an object with name, key and initial');
  const { name, key, schema, initial } = settings;
  if (typeof name !== 'string' || name === '') refuse('name must be a non-empty string');
  if (typeof key !== 'function') refuse(`key of "${name}" must be a function of the id`);
  if (schema !== undefined && typeof schema['~standard']?.validate !== 'function')
    refuse(`schema of "${name}" is not a Standard Schema`);
  if (initial !== undefined && typeof initial !== 'function')
    refuse(`initial of "${name}" must be a function`);
}
