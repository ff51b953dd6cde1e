/** A job's data: written as JSON at enqueue, checked by the update's schema there and again when applied; and whose key it names. */
import { isPromiseLike } from '../base/promises.ts';
import { TorilError, messageOf } from '../errors.ts';
import { checkKey } from '../key.ts';
import { type CallSite, settledInTime } from './calling/call-site.ts';
import { issuesText } from './schema-issues.ts';
import { isTransaction, keysOf } from './transaction.ts';
import type { AnyUpdate } from './update.ts';

/**
 * The data as it will be when it comes back out of the queue.
 * @throws TorilError DATA_NOT_JSON (circular, BigInt, a function, ...)
 */
export function throughJson(update: AnyUpdate, data: unknown): unknown {
  let text: string | undefined;
  try {
    text = JSON.stringify(data === undefined ? {} : data);
  } catch (cause) {
    throw notJson(update, messageOf(cause), cause);
  }
  if (text === undefined) throw notJson(update, `it is a ${typeof data}`, undefined);
  return JSON.parse(text);
}

function notJson(update: AnyUpdate, why: string, cause: unknown): TorilError {
  return new TorilError(
    'DATA_NOT_JSON',
    `the data of "${update.name}" cannot be written as JSON: ${why}. Nothing was enqueued; pass plain objects, arrays, strings, numbers, booleans and null.`,
    { cause },
  );
}

/**
 * What the schema makes of data that came out of JSON; a promise only if the schema is asynchronous.
 * @throws TorilError INVALID_DATA, naming every issue
 */
export function validated(update: AnyUpdate, data: unknown): unknown {
  if (update.schema === undefined) return data;
  const outcome = update.schema['~standard'].validate(data);
  return isPromiseLike(outcome)
    ? Promise.resolve(outcome).then((settled) => unwrap(update, settled as Settled))
    : unwrap(update, outcome);
}

/** A schema that never settles must hold nobody up for ever, either. @throws TorilError UPDATE_TIMED_OUT */
export function schemaInTime(
  validating: Promise<unknown>,
  { name, timeoutMs }: AnyUpdate,
  site: CallSite,
): Promise<unknown> {
  const what = `the schema of the update "${name}"`;
  return settledInTime(validating, site, { timeoutMs, what, abort: () => undefined });
}

type Settled = Awaited<ReturnType<NonNullable<AnyUpdate['schema']>['~standard']['validate']>>;

function unwrap(update: AnyUpdate, outcome: Settled): unknown {
  if (outcome.issues === undefined) return outcome.value;
  throw new TorilError(
    'INVALID_DATA',
    `the data of "${update.name}" does not fit its schema: ${issuesText(outcome.issues)}.`,
  );
}

/** The keys of the lanes that a job enters: one, or those of a transaction. */
export type LaneKeys = string | readonly string[];

/** @throws TorilError INVALID_KEY, or whatever the update's `key` or `keys` throws */
export function lanesOf(update: AnyUpdate, data: unknown): LaneKeys {
  return isTransaction(update) ? keysOf(update, data) : keyOf(update, data);
}

/** Of a transaction: the first of its keys. @throws TorilError INVALID_KEY, or whatever the update's `key` throws */
export function keyOf(update: AnyUpdate, data: unknown): string {
  if (isTransaction(update)) return keysOf(update, data)[0] as string;
  const key: unknown = update.key(data);
  if (key instanceof Promise) key.catch(() => undefined); // refused below, whatever comes of it
  try {
    checkKey(key);
  } catch (thrown) {
    if (!(thrown instanceof TorilError)) throw thrown;
    throw new TorilError(
      thrown.code,
      `the update "${update.name}" names no usable key: ${thrown.message}`,
      { cause: thrown },
    );
  }
  return key;
}
