/**
 * A kind of cells, defined once: whose they are, what a value looks like, where it begins. Its updates agree on
 * that by construction, and readers get the type.
 */
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { isPromiseLike } from '../base/promises.ts';
import { TorilError } from '../errors.ts';
import { refuseMisspelt } from '../options.ts';
import type { JsonProblem } from './values/json-type.ts';
import { issuesText } from './schema-issues.ts';
import { defineTransaction, type Transaction, type TransactionSettings } from './transaction.ts';
import { DELETE_CELL, defineUpdate, type Update, type UpdateSettings } from './update.ts';

export interface CellSettings<Id, Value> {
  /** For error messages: "account". */
  readonly name: string;
  /** The memcached key of one of them: 1 byte to 1 KiB. */
  key(id: Id): string;
  /**
   * Any Standard Schema (zod, valibot, arktype, ...) of the value. It is checked after each update, which fails
   * its job (INVALID_VALUE), and by readers. It only checks: a schema that makes something else of a value
   * is refused by the compiler.
   */
  readonly schema?: StandardSchemaV1<Value, Value> | undefined;
  /** The value of a key that has none. Without it, an update of such a key fails. */
  initial?(key: string): Value;
  /** Turns a value that Toril did not write into the first one of its chain. */
  adopt?(foreign: Buffer, key: string): Value;
  /** Whole seconds, 1 to 30 days, after which a value is gone unless changed again. Default: never. */
  readonly expireSeconds?: number | undefined;
}

/** What an update says besides what its cell has said already. */
export interface CellUpdateSettings<Id, Value, Data, Result>
  extends Omit<UpdateSettings<Value, Data, Result>, 'key' | 'initial' | 'adopt' | 'expireSeconds'> {
  /** Whose cell the job changes. Must not depend on anything but the data. */
  id(data: Data): Id;
}

/** The same of a transaction over several such cells. */
export interface CellTransactionSettings<Id, Value, Ids extends readonly Id[], Data, Result>
  extends Omit<
    TransactionSettings<Value, { [Place in keyof Ids]: string }, Data, Result>,
    'keys' | 'initial' | 'adopt' | 'expireSeconds'
  > {
  /** Whose cells the job changes: 2 to 8, all different. Must not depend on anything but the data. */
  ids(data: Data): Ids;
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
  /** Defines a transaction over several such cells: otherwise like `defineTransaction`. @throws TorilError INVALID_OPTIONS */
  transaction<
    const Name extends string,
    Ids extends readonly Id[] | readonly [Id],
    Schema extends StandardSchemaV1,
    Result = void,
  >(
    settings: CellTransactionSettings<
      Id,
      Value,
      Ids,
      StandardSchemaV1.InferOutput<Schema>,
      Result
    > & {
      readonly name: Name;
      readonly schema: Schema;
    },
  ): Transaction<
    Name,
    StandardSchemaV1.InferInput<Schema>,
    StandardSchemaV1.InferOutput<Schema>,
    Result
  >;
  transaction<
    const Name extends string,
    Ids extends readonly Id[] | readonly [Id],
    Data,
    Result = void,
  >(
    settings: CellTransactionSettings<Id, Value, Ids, Data, Result> & {
      readonly name: Name;
      readonly schema?: undefined;
    },
  ): Transaction<Name, Data, Data, Result>;
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
  const fits = (after: unknown, at: string): unknown =>
    after === DELETE_CELL || after === undefined ? after : checked(after, at);
  const ofCell = {
    ...(initial !== undefined && { initial }),
    ...(adopt !== undefined && { adopt }),
    ...(expireSeconds !== undefined && { expireSeconds }),
  };
  const update = (own: Loose<'id'>): unknown => {
    checkOwn(own, 'id', `an update of the cell "${name}"`);
    const { id, ...rest } = own;
    const apply: Loose<'id'>['apply'] = (value, data, context) =>
      settled(own.apply(value, data, context), (after) => fits(after, context.key as string));
    return defineUpdate({
      ...(rest as unknown as UpdateSettings<Value, unknown, unknown> & { name: string }),
      schema: own.schema as undefined,
      key: (data) => keyOf(id(data) as Id),
      ...ofCell,
      ...(schema !== undefined && { apply: apply as never }),
    });
  };
  const transaction = (own: Loose<'ids'>): unknown => {
    checkOwn(own, 'ids', `a transaction over cells "${name}"`);
    const { ids, ...rest } = own;
    const apply: Loose<'ids'>['apply'] = (values, data, context) =>
      settled(own.apply(values, data, context), (after) => allFit(after, context.keys ?? [], fits));
    return defineTransaction({
      ...(rest as unknown as TransactionSettings<Value, string[], unknown, unknown>),
      schema: own.schema as undefined,
      // What is no list is refused as any other.
      keys: (data) => (ids(data) as readonly Id[]).map?.(keyOf) as string[],
      ...ofCell,
      ...(schema !== undefined && { apply: apply as never }),
    });
  };
  return { name, key: keyOf, checked, update, transaction } as CellDefinition<Id, Value>;
}

/** An update or a transaction of a cell, whatever its types. */
type Loose<Whose extends 'id' | 'ids'> = Readonly<Record<Whose, (data: unknown) => unknown>> & {
  readonly schema?: unknown;
  apply(
    value: unknown,
    data: unknown,
    context: { readonly key?: string; readonly keys?: readonly string[] },
  ): unknown;
};

/** They would be left out, or hold for one update of the cell only. */
const SAID_BY_CELL = ['key', 'keys', 'initial', 'adopt', 'expireSeconds'] as const;

function checkOwn<Whose extends 'id' | 'ids'>(
  own: Loose<Whose> | undefined,
  whose: Whose,
  what: string,
): void {
  const twice = own && SAID_BY_CELL.find((name) => Object.hasOwn(own, name));
  if (twice !== undefined) {
    throw new TorilError(
      'INVALID_OPTIONS',
      `${what} cannot have "${twice}": whose values they are and where they begin is said by defineCell, for all alike.`,
    );
  }
  if (typeof own?.[whose] === 'function') return;
  const says = whose === 'id' ? 'whose cell it is' : 'whose cells they are';
  throw new TorilError(
    'INVALID_OPTIONS',
    `${what} needs "${whose}", a function of the data that says ${says}.`,
  );
}

/** What an update returned may be any thenable. */
function settled(returned: unknown, follow: (after: unknown) => unknown): unknown {
  return isPromiseLike(returned) ? Promise.resolve(returned).then(follow) : follow(returned);
}

/** The caller refuses what is no list. */
function allFit(
  after: unknown,
  keys: readonly string[],
  fits: (after: unknown, key: string) => unknown,
): unknown {
  if (!Array.isArray(after)) return after;
  const fitted = after.map((value, place) => fits(value, keys[place] ?? ''));
  return fitted.some(isPromiseLike) ? Promise.all(fitted) : fitted;
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
  refuseMisspelt('defineCell', settings, CELL_NAMES);
}

const CELL_NAMES: readonly string[] = Object.keys({
  ...{ name: true, key: true, schema: true, initial: true, adopt: true, expireSeconds: true },
} satisfies Record<keyof CellSettings<never, unknown>, true>);
