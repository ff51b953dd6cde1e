/**
 * Transactions as a fold sees them. A run of jobs of several keys is folded over one value, the list of the values of all
 * its keys, so that whatever holds for updates (attempts, failures, cancelling, time) holds for transactions. Each one gets
 * copies of its own values, so that one which throws spoils nothing.
 */
import { isPromiseLike } from '../../base/promises.ts';
import { TorilError } from '../../errors.ts';
import { keysOf, type Transaction, type TransactionContext } from '../transaction.ts';
import { type AnyUpdate, DELETE_CELL } from '../update.ts';
import type { UpdateRegistry } from '../update-registry.ts';
import { noInitial, returnedNothing } from './returned-nothing.ts';
import type { Context } from './update-context.ts';
import { asFrozenValue, frozenJson, knownFrozen } from '../values/frozen-value.ts';
import { asJsonValue, copyOfJson } from '../values/json-value.ts';

/** The values of several keys, in one order for all calls; null: the key has none. */
export type JointValues = readonly (readonly [value: unknown] | null)[];

export interface JointUpdatesOptions {
  readonly registry: Pick<UpdateRegistry, 'find'>;
  /** Of the keys among the values. */
  readonly places: ReadonlyMap<string, number>;
  /** A job's data name other keys, as many, than those whose lanes it has entered. */
  readonly keysChanged: (name: string, job: TransactionContext, named: readonly string[]) => void;
}

type Loose = Transaction & {
  initial?(key: string, place: number): unknown;
  apply(values: unknown, data: unknown, context: TransactionContext): unknown;
  result?(values: unknown, data: unknown, context: TransactionContext): unknown;
};

/** Takes the place of a registry. */
export class JointUpdates {
  readonly #options: JointUpdatesOptions;
  readonly #found = new Map<string, AnyUpdate | undefined>();

  constructor(options: JointUpdatesOptions) {
    this.#options = options;
  }

  find(name: string): AnyUpdate | undefined {
    if (!this.#found.has(name)) {
      const update = this.#options.registry.find(name);
      this.#found.set(name, update?.keys === undefined ? update : this.#overValues(update));
    }
    return this.#found.get(name);
  }

  #overValues(update: AnyUpdate): AnyUpdate {
    const transaction = update as unknown as Loose;
    const { initial: _, result, ...rest } = update;
    return {
      ...rest,
      immutable: true, // the list is; what is handed out of it is a copy
      apply: (values: JointValues, data: unknown, context: TransactionContext) =>
        this.#apply(transaction, values, data, context),
      ...(result !== undefined && {
        result: (values: JointValues, data: unknown, context: TransactionContext) => {
          const of = (key: string): unknown => handedOut(transaction, this.#in(values, key)?.[0]);
          return transaction.result?.(context.keys.map(of), data, context);
        },
      }),
    } as unknown as AnyUpdate;
  }

  #apply(update: Loose, values: JointValues, data: unknown, context: TransactionContext): unknown {
    const keys = this.#keysOf(update, data, context);
    const given = keys.map((key, place) => {
      const box = this.#in(values, key);
      return box === null ? initialOf(update, key, place) : handedOut(update, box[0]);
    });
    const returned = update.apply(given, data, context);
    return isPromiseLike(returned)
      ? Promise.resolve(returned).then((settled) => this.#with(update, values, keys, settled))
      : this.#with(update, values, keys, returned);
  }

  #in(values: JointValues, key: string): JointValues[number] {
    return values[this.#options.places.get(key) as number] ?? null;
  }

  /**
   * It is applied to the keys whose lanes it has entered, as an update is; if it can be. Its values come in the order in
   * which it names them by now: in that of former times, what is taken from one account would be given to it.
   */
  #keysOf(update: Loose, data: unknown, job: TransactionContext): readonly string[] {
    const named = keysOf(update, data);
    const { keys, jobId } = job;
    if (named.length !== keys.length) {
      throw new TorilError(
        'INVALID_KEY',
        `the transaction "${update.name}" names ${named.length} keys for job ${jobId}, which has entered the lanes of ${keys.length}: its "keys" was changed. Let the old jobs drain before you deploy another one.`,
      );
    }
    if (named.every((key, at) => key === keys[at])) return keys;
    if (named.every((key) => keys.includes(key))) return (job as Context).inOrder(named);
    this.#options.keysChanged(update.name, job, named);
    return keys;
  }

  #with(
    update: Loose,
    before: JointValues,
    keys: readonly string[],
    returned: unknown,
  ): JointValues {
    const { immutable } = update;
    if (!Array.isArray(returned) || returned.length !== keys.length) {
      const what = `did not return a list of ${keys.length} values, one for each of its keys`;
      throw returnedNothing(update, what);
    }
    const values = [...before];
    for (const [at, key] of keys.entries()) {
      const value: unknown = returned[at];
      if (value === undefined) throw returnedNothing(update, `returned undefined for "${key}"`);
      const place = this.#options.places.get(key) as number;
      if (value === DELETE_CELL) values[place] = null;
      else if (immutable)
        values[place] = [asFrozenValue(value, before[place]?.[0], update, `for "${key}"`)];
      else values[place] = [frozenJson(copyOfJson(asJsonValue(value, update, `for "${key}"`)))];
    }
    return knownFrozen(values);
  }
}

function handedOut({ immutable }: Loose, value: unknown): unknown {
  return immutable ? value : copyOfJson(value);
}

function initialOf(update: Loose, key: string, place: number): unknown {
  if (update.initial !== undefined) {
    return copyOfJson(asJsonValue(update.initial(key, place), update, `as "initial" of "${key}"`));
  }
  throw noInitial(update, key);
}
