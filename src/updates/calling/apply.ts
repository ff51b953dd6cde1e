/** Calling one update with one job's data: nothing of batches, leases or lanes. */
import { isPromiseLike } from '../../base/promises.ts';
import { asJsonValue, copyOfJson, sourceText } from '../values/json-value.ts';
import { type CallSite, settledInTime } from './call-site.ts';
import { asFrozenValue, frozenValue, thawed } from '../values/frozen-value.ts';
import { DELETE_CELL, type AnyUpdate, type UpdateContext } from '../update.ts';
import { noInitial, returnedNothing } from './returned-nothing.ts';
import { type ApplyFacts, Context, UpdateCall } from './update-context.ts';

export interface AppliedUpdate {
  /** Undefined: the cell is deleted. */
  readonly value: unknown;
  /** JSON; empty for none. */
  readonly result: string;
}

/**
 * Applies one update; a promise only if `apply` is asynchronous. `value` undefined: the key has none.
 * @throws whatever the update throws, UPDATE_RETURNED_NOTHING, UPDATE_NOT_JSON, UPDATE_TIMED_OUT
 */
export function applyUpdate(
  update: AnyUpdate,
  value: unknown,
  data: unknown,
  facts: ApplyFacts,
  site: CallSite,
): AppliedUpdate | Promise<AppliedUpdate> {
  const call = new UpdateCall(site);
  const context = new Context(facts, call);
  const given = value === undefined ? initialOf(update, facts.key) : value;
  const start = update.immutable ? frozenValue(given) : thawed(given);
  const returned: unknown = update.apply(start, data, context);
  if (!isPromiseLike(returned)) return finish(update, start, returned, data, context);
  return settledInTime(returned, site, {
    timeoutMs: update.timeoutMs,
    what: sourceText(update),
    abort: (reason) => call.abort(reason),
  }).then((settled) => finish(update, start, settled, data, context));
}

function initialOf(update: AnyUpdate, key: string): unknown {
  if (update.initial !== undefined) {
    const initial = asJsonValue(update.initial(key), update, 'as "initial"');
    // `initial: () => EMPTY` is natural, and `apply` may change what it gets: give it its own.
    return copyOfJson(initial);
  }
  throw noInitial(update, key);
}

function finish(
  update: AnyUpdate,
  start: unknown,
  returned: unknown,
  data: unknown,
  context: UpdateContext,
): AppliedUpdate {
  if (returned === undefined) throw returnedNothing(update, 'returned undefined');
  const value = returned === DELETE_CELL ? undefined : newValue(update, start, returned);
  if (update.result === undefined) return { value, result: '' };
  const result: unknown = update.result(value, data, context);
  return { value, result: result === undefined ? '' : resultJson(result, update) };
}

function newValue(update: AnyUpdate, start: unknown, returned: unknown): unknown {
  return update.immutable ? asFrozenValue(returned, start, update) : asJsonValue(returned, update);
}

function resultJson(result: unknown, update: AnyUpdate): string {
  return JSON.stringify(asJsonValue(result, update, 'as "result"'));
}
