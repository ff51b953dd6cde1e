/**
 * A transaction: a named, deterministic function that changes the values of several keys, all of them or none. Users
 * write against this file, as against update.ts. To registries and queues it is an update that names `keys`.
 */
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { TorilError } from '../errors.ts';
import { checkKey } from '../key.ts';
import { refuseMisspelt } from '../options.ts';
import {
  type AnyUpdate,
  checkSettings,
  type DELETE_CELL,
  type OnBlocked,
  type OnExhausted,
  type OnFailure,
  type Update,
  type UpdateContext,
  UPDATE_NAMES,
  withDefaults,
} from './update.ts';

const TRANSACTION_KEYS_MIN = 2;
export const TRANSACTION_KEYS_MAX = 8;

/** One for each key, in their order: a tuple for a tuple. */
type Each<Keys extends readonly string[], T> = { [Place in keyof Keys]: T };

/** As of an update, but with all its keys. `random` and `id` are seeded by the first of them. */
export type TransactionContext = Omit<UpdateContext, 'key'> & { readonly keys: readonly string[] };

export interface TransactionSettings<Value, Keys extends readonly string[], Data, Result> {
  /** The BullMQ job's name; unique within a worker, among updates and transactions. */
  readonly name: string;
  /** Whose cells the job changes: 2 to 8 keys, all different. Must not depend on anything but the data. */
  keys(data: Data): Keys;
  /** The value of a key that has none. Without it, such a job fails. `place`: of the key among `keys`, from 0. */
  initial?(key: string, place: number): Value;
  /**
   * The new values, one for each key in their order; DELETE_CELL deletes one. It may change and return the values that it
   * was given (unless it is `immutable`). Throwing fails the job and uses up one of its attempts; all values stay as
   * they were.
   */
  apply(
    values: Each<Keys, Value>,
    data: Data,
    context: TransactionContext,
  ): Each<Keys, Value | typeof DELETE_CELL> | Promise<Each<Keys, Value | typeof DELETE_CELL>>;
  /** What BullMQ reports as the job's result; nothing by default. Runs right after `apply`. */
  result?(values: Each<Keys, Value | undefined>, data: Data, context: TransactionContext): Result;
  /** Turns a value that Toril did not write into the first value of its key's chain. Without it, it holds the lane. */
  adopt?(foreign: Buffer, key: string): Value;
  /** As of an update; for all its keys. */
  readonly onFailure?: OnFailure | undefined;
  /** As of an update; for all its keys. */
  readonly onExhausted?: OnExhausted | undefined;
  /**
   * What becomes of a job that is the first one of a lane while other jobs are before it in another. Default `wait`.
   * `failAfterMs`: it fails with JOINT_BLOCKED once it has waited so long (1 ms to 30 days), and lets its keys go.
   */
  readonly onBlocked?: OnBlocked | undefined;
  /** As of an update: `apply` does not change the values that it is given, which are frozen. */
  readonly immutable?: boolean | undefined;
  /** Milliseconds after which an asynchronous `apply` fails with UPDATE_TIMED_OUT. Default 30,000. */
  readonly timeoutMs?: number | undefined;
  /** Whole seconds, 1 to 30 days, after which the values that it made are gone unless changed again. Default: never. */
  readonly expireSeconds?: number | undefined;
}

/** A defined transaction. `Input` is what producers pass, `Data` what the schema makes of it. */
export interface Transaction<
  Name extends string = string,
  Input = unknown,
  Data = unknown,
  Result = unknown,
  // oxlint-disable-next-line typescript/no-explicit-any -- `apply` takes and returns lists of values
> extends Update<Name, any, Input, Data, Result> {
  keys(data: Data): readonly string[];
}

/**
 * Defines a transaction over several keys. With a `schema` (any Standard Schema) the types of `data` follow from it;
 * without one, annotate `data` in `keys`.
 *
 * @throws TorilError INVALID_OPTIONS
 */
export function defineTransaction<
  const Name extends string,
  Value,
  Keys extends readonly string[] | readonly [string],
  Schema extends StandardSchemaV1,
  Result = void,
>(
  settings: TransactionSettings<Value, Keys, StandardSchemaV1.InferOutput<Schema>, Result> & {
    readonly name: Name;
    readonly schema: Schema;
  },
): Transaction<
  Name,
  StandardSchemaV1.InferInput<Schema>,
  StandardSchemaV1.InferOutput<Schema>,
  Result
>;
export function defineTransaction<
  const Name extends string,
  Value,
  Keys extends readonly string[] | readonly [string],
  Data,
  Result = void,
>(
  settings: TransactionSettings<Value, Keys, Data, Result> & {
    readonly name: Name;
    readonly schema?: undefined;
  },
): Transaction<Name, Data, Data, Result>;
export function defineTransaction(
  settings: TransactionSettings<unknown, readonly string[], unknown, unknown> & {
    schema?: StandardSchemaV1 | undefined;
  },
): Transaction {
  check(settings);
  const keys = (data: unknown): readonly string[] => settings.keys(data);
  const first = (data: unknown): string => keysOf({ name: settings.name, keys }, data)[0] as string;
  const defined = { ...settings, ...withDefaults(settings as unknown as Partial<AnyUpdate>) };
  return { ...defined, keys, key: first } as unknown as Transaction;
}

function check(settings: object): void {
  const refuse = (what: string): never => {
    throw new TorilError('INVALID_OPTIONS', `defineTransaction: ${what}.`);
  };
  if (typeof settings !== 'object' || settings === null)
    refuse('pass an object with name, keys and apply');
  const { name, keys, onBlocked, ...rest } = settings as unknown as Partial<AnyUpdate>;
  if (typeof keys !== 'function') {
    refuse(`keys of "${String(name)}" must be a function of the data`);
  }
  if ('key' in rest) refuse(`"${String(name)}" has keys, so it cannot have a key`);
  if ('strict' in rest) {
    refuse(`"${String(name)}" cannot be strict: it would need the leases of all its keys`);
  }
  if (!isOnBlocked(onBlocked)) {
    refuse(
      `onBlocked of "${String(name)}" must be "wait" or { failAfterMs } with a number from 1 to ${BLOCKED_MS_MAX}`,
    );
  }
  checkSettings({ ...rest, name, key: keys } as never, 'defineTransaction');
  refuseMisspelt('defineTransaction', rest, [...UPDATE_NAMES, 'onBlocked']);
}

/** 30 days. */
const BLOCKED_MS_MAX = 30 * 24 * 60 * 60 * 1000;

function isOnBlocked(onBlocked: unknown): boolean {
  if (onBlocked === undefined || onBlocked === 'wait') return true;
  if (typeof onBlocked !== 'object' || onBlocked === null) return false;
  const { failAfterMs } = onBlocked as { failAfterMs?: unknown };
  return typeof failAfterMs === 'number' && failAfterMs >= 1 && failAfterMs <= BLOCKED_MS_MAX;
}

/** @throws TorilError INVALID_KEY, or whatever the transaction's `keys` throws */
export function keysOf(
  { name, keys }: Pick<Transaction, 'name' | 'keys'>,
  data: unknown,
): readonly string[] {
  const named: unknown = keys(data);
  if (named instanceof Promise) named.catch(() => undefined); // refused below, whatever comes of it
  const problem = problemOf(named);
  if (problem === undefined) return [...(named as readonly string[])];
  throw new TorilError('INVALID_KEY', `the transaction "${name}" names no usable keys: ${problem}`);
}

function problemOf(named: unknown): string | undefined {
  if (!Array.isArray(named)) return '"keys" must return a list of keys.';
  if (named.length < TRANSACTION_KEYS_MIN || named.length > TRANSACTION_KEYS_MAX) {
    return `there are ${named.length} of them, and a transaction has ${TRANSACTION_KEYS_MIN} to ${TRANSACTION_KEYS_MAX}.`;
  }
  for (const [at, key] of (named as readonly unknown[]).entries()) {
    try {
      checkKey(key);
    } catch (thrown) {
      return `keys[${at}]: ${(thrown as Error).message}`;
    }
  }
  const twice = named.find((key, at) => named.indexOf(key) !== at) as string | undefined;
  return twice === undefined ? undefined : `"${twice}" is there twice.`;
}

export function isTransaction(update: AnyUpdate): update is AnyUpdate & Transaction {
  return update.keys !== undefined;
}
