/**
 * An update: a named, deterministic function that changes one shared value. This file is what users
 * write against; job-data.ts checks data, calling/apply.ts calls `apply`.
 */
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { TorilError } from '../errors.ts';
import { refuseMisspelt } from '../options.ts';

/** Returned by `apply` to delete the cell: the next update starts from `initial` again. */
export const DELETE_CELL: unique symbol = Symbol.for('toril.deleteCell');

/** All that an update may depend on besides its value and its data. Replays alike. */
export interface UpdateContext {
  readonly key: string;
  readonly jobId: string;
  /** The lease's fencing token: grows with every acquisition of the key; hand it to other stores. */
  readonly token: number;
  /** The job's place in its lane; grows along the key. */
  readonly sequence: number;
  /** 1 for the first attempt. */
  readonly attempt: number;
  /** Milliseconds since 1970 at which the job entered its lane. */
  readonly now: number;
  /** Aborts when the lease is lost, the update's time is up, or the job is cancelled (`worker.cancelJob`). */
  readonly signal: AbortSignal;
  /** A number in [0, 1) from a generator seeded by the job. */
  random(): number;
  /** A name that nobody else has: a UUID (version 8), made from the job, another one with each call. */
  id(): string;
  /**
   * Adds a row to the job's log, as BullMQ's `job.log` does. Not waited for; a row that cannot be kept is an event
   * (`logLost`). An update that is called again logs again.
   */
  log(row: string): void;
}

/** What happens to the key while a failed job has attempts left. */
export type OnFailure = 'block' | 'skip';
/** What happens to the key when a job's attempts are used up. */
export type OnExhausted = 'continue' | 'hold' | 'cascade';
/** What becomes of a transaction while other jobs are before it at one of its keys. */
export type OnBlocked = 'wait' | { readonly failAfterMs: number };

export interface UpdateSettings<Value, Data, Result> {
  /** The BullMQ job's name; unique within a worker. */
  readonly name: string;
  /** Whose cell the job changes: 1 byte to 1 KiB. Must not depend on anything but the data. */
  key(data: Data): string;
  /** The value of a key that has none. Without it, such a job fails. */
  initial?(key: string): Value;
  /**
   * The new value, or DELETE_CELL. It may change and return the value it was given (unless it is
   * `immutable`). Throwing fails
   * the job and uses up one of its attempts; the value stays as it was.
   */
  apply(
    value: Value,
    data: Data,
    context: UpdateContext,
  ): Value | typeof DELETE_CELL | Promise<Value | typeof DELETE_CELL>;
  /**
   * `apply` does not change the value it is given, which is frozen, but returns another one, which may
   * share its parts: `{ ...value, count: value.count + 1 }`. For large values of many objects: then
   * only what is new is looked at after each job. Default false.
   */
  readonly immutable?: boolean | undefined;
  /** What BullMQ reports as the job's result; nothing by default. Runs right after `apply`. */
  result?(value: Value | undefined, data: Data, context: UpdateContext): Result;
  /**
   * Turns a value that Toril did not write into the first value of its chain. Without it, a foreign
   * value holds the lane (FOREIGN_VALUE).
   */
  adopt?(foreign: Buffer, key: string): Value;
  /** Default `block`: later jobs of the key wait for the retry. `skip`: they overtake it. */
  readonly onFailure?: OnFailure | undefined;
  /** Default `continue`. `hold` stops the key; `cascade` fails everything that waits behind. */
  readonly onExhausted?: OnExhausted | undefined;
  /** One more round trip, after which no older holder's write can land. For updates that act on the outside world. */
  readonly strict?: boolean | undefined;
  /** Milliseconds after which an asynchronous `apply` fails with UPDATE_TIMED_OUT. Default 30,000. */
  readonly timeoutMs?: number | undefined;
  /** Whole seconds, 1 to 30 days, after which the value is gone unless changed again. Default: never. */
  readonly expireSeconds?: number | undefined;
}

/** A registered update. `Input` is what producers pass, `Data` what the schema makes of it. */
export interface Update<
  Name extends string = string,
  Value = unknown,
  Input = unknown,
  Data = unknown,
  Result = unknown,
> extends UpdateSettings<Value, Data, Result> {
  readonly name: Name;
  readonly schema: StandardSchemaV1<Input, Data> | undefined;
  readonly onFailure: OnFailure;
  readonly onExhausted: OnExhausted;
  readonly strict: boolean;
  readonly immutable: boolean;
  readonly timeoutMs: number;
  /** Of a transaction only (transaction.ts): then `apply` and `result` take lists of values, and `key` is the first of these. */
  keys?(data: Data): readonly string[];
  /** Of a transaction only. */
  readonly onBlocked?: OnBlocked;
}

/** Any update, whatever its types: what registries hold. */
// oxlint-disable-next-line typescript/no-explicit-any -- `unknown` would fit no update: data comes in and goes out
export type AnyUpdate = Update<string, any, any, any, any>;

export type InputOf<U> =
  U extends Update<string, infer _V, infer Input, infer _D, infer _R> ? Input : never;
export type ResultOf<U> =
  U extends Update<string, infer _V, infer _I, infer _D, infer Result> ? Result : never;

/** Of whatever `defineUpdate` takes. */
export const UPDATE_NAMES: readonly string[] = Object.keys({
  ...{ name: true, schema: true, key: true, initial: true, apply: true, result: true, adopt: true },
  ...{ onFailure: true, onExhausted: true, strict: true, immutable: true, timeoutMs: true },
  expireSeconds: true,
} satisfies Record<keyof UpdateSettings<unknown, unknown, unknown> | 'schema', true>);

const UPDATE_TIMEOUT_MS = 30_000;
const EXPIRE_SECONDS_MAX = 30 * 24 * 60 * 60;

/**
 * Defines an update. With a `schema` (any Standard Schema: zod, valibot, arktype, ...) the types of
 * `data` follow from it; without one, annotate `data` in `apply`. Two signatures, here and of transactions: in one, a
 * function that names a part of the data (`key: ({ id }: { id: string }) => id`) would say what they are, and not the schema.
 *
 * @throws TorilError INVALID_OPTIONS
 */
export function defineUpdate<
  const Name extends string,
  Value,
  Schema extends StandardSchemaV1,
  Result = void,
>(
  settings: UpdateSettings<Value, StandardSchemaV1.InferOutput<Schema>, Result> & {
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
export function defineUpdate<const Name extends string, Value, Data, Result = void>(
  settings: UpdateSettings<Value, Data, Result> & {
    readonly name: Name;
    readonly schema?: undefined;
  },
): Update<Name, Value, Data, Data, Result>;
export function defineUpdate(
  settings: UpdateSettings<unknown, unknown, unknown> & { schema?: StandardSchemaV1 | undefined },
): AnyUpdate {
  checkSettings(settings, 'defineUpdate');
  refuseMisspelt('defineUpdate', settings, UPDATE_NAMES);
  return { ...settings, ...withDefaults(settings) };
}

/** What may be left out of an update. */
export function withDefaults(
  settings: { readonly [Name in keyof AnyUpdate]?: AnyUpdate[Name] | undefined },
): Pick<AnyUpdate, 'schema' | 'onFailure' | 'onExhausted' | 'strict' | 'immutable' | 'timeoutMs'> {
  return {
    schema: settings.schema,
    onFailure: settings.onFailure ?? 'block',
    onExhausted: settings.onExhausted ?? 'continue',
    strict: settings.strict ?? false,
    immutable: settings.immutable ?? false,
    timeoutMs: settings.timeoutMs ?? UPDATE_TIMEOUT_MS,
  };
}

/** @param caller for messages */
export function checkSettings(
  settings: UpdateSettings<unknown, unknown, unknown> & { schema?: StandardSchemaV1 | undefined },
  caller: 'defineUpdate' | 'defineTransaction',
): void {
  const refuse = (what: string): never => {
    throw new TorilError('INVALID_OPTIONS', `${caller}: ${what}.`);
  };
  if (typeof settings !== 'object' || settings === null)
    refuse('pass an object with name, key and apply');
  const { name } = settings;
  if (typeof name !== 'string' || name === '') refuse('name must be a non-empty string');
  for (const own of ['keys', 'onBlocked'])
    if (own in settings) refuse(`"${name}" has ${own}: several keys take defineTransaction`);
  if (typeof settings.key !== 'function') refuse(`key of "${name}" must be a function of the data`);
  if (typeof settings.apply !== 'function')
    refuse(`apply of "${name}" must be a function of the value and the data`);
  for (const optional of ['initial', 'result', 'adopt'] as const)
    if (settings[optional] !== undefined && typeof settings[optional] !== 'function')
      refuse(`${optional} of "${name}" must be a function, not ${typeof settings[optional]}`);
  if (
    settings.schema !== undefined &&
    typeof settings.schema['~standard']?.validate !== 'function'
  ) {
    refuse(
      `schema of "${name}" is not a Standard Schema; pass a schema of zod, valibot, arktype or the like`,
    );
  }
  const { onFailure, onExhausted, immutable, timeoutMs, expireSeconds } = settings;
  if (immutable !== undefined && typeof immutable !== 'boolean') {
    refuse(`immutable of "${name}" must be true or false, not ${JSON.stringify(immutable)}`);
  }
  if (onFailure !== undefined && !['block', 'skip'].includes(onFailure)) {
    refuse(`onFailure of "${name}" must be "block" or "skip", not ${JSON.stringify(onFailure)}`);
  }
  if (onExhausted !== undefined && !['continue', 'hold', 'cascade'].includes(onExhausted)) {
    refuse(
      `onExhausted of "${name}" must be "continue", "hold" or "cascade", not ${JSON.stringify(onExhausted)}`,
    );
  }
  if (timeoutMs !== undefined && !(timeoutMs > 0 && timeoutMs < 2 ** 31)) {
    refuse(
      `timeoutMs of "${name}" must be a positive number of milliseconds below 2^31, not ${timeoutMs}`,
    );
  }
  if (
    expireSeconds !== undefined &&
    !(Number.isInteger(expireSeconds) && expireSeconds >= 1 && expireSeconds <= EXPIRE_SECONDS_MAX)
  ) {
    refuse(
      `expireSeconds of "${name}" must be whole seconds from 1 to ${EXPIRE_SECONDS_MAX}, not ${expireSeconds}`,
    );
  }
}
