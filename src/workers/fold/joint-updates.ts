/**
 * Transactions as a fold sees them. A run of jobs of several keys is folded over one value, the list of the values of all
 * its keys, so that whatever holds for updates (attempts, failures, cancelling, time) holds for transactions. Each one gets
 * copies of its own values, so that one which throws spoils nothing.
 */
import { isPromiseLike } from '../../base/promise-like.ts';
import { messageOf, TorilError } from '../../errors.ts';
import type { LaneEntry } from '../../jobs/lanes.ts';
import { keysOf, type Transaction, type TransactionContext } from '../../updates/transaction.ts';
import { type AnyUpdate, DELETE_CELL, type UpdateContext } from '../../updates/update.ts';
import type { UpdateRegistry } from '../../updates/update-registry.ts';
import { asJsonValue, copyOfJson } from '../../updates/values/json-value.ts';

/** The values of a run's keys, in its order; null: the key has none. */
export type JointValues = readonly (readonly [value: unknown] | null)[];

/** An entry whose keys are known. */
export type JointEntry = LaneEntry & { readonly keys: readonly string[] };

export interface JointUpdatesOptions {
  readonly registry: Pick<UpdateRegistry, 'find'>;
  readonly entries: readonly JointEntry[];
  /** Of the run's keys among its values. */
  readonly places: ReadonlyMap<string, number>;
  /** A job's data name other keys than those whose lanes it has entered. */
  readonly keysChanged: (entry: JointEntry, named: readonly string[]) => void;
}

type Loose = Transaction & {
  initial?(key: string, place: number): unknown;
  apply(values: unknown, data: unknown, context: TransactionContext): unknown;
  result?(values: unknown, data: unknown, context: TransactionContext): unknown;
};

/** Takes the place of a registry. */
export class JointUpdates {
  readonly #options: JointUpdatesOptions;
  readonly #entries: ReadonlyMap<string, JointEntry>;
  readonly #found = new Map<string, AnyUpdate | undefined>();

  constructor(options: JointUpdatesOptions) {
    this.#options = options;
    this.#entries = new Map(options.entries.map((entry) => [entry.jobId, entry]));
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
      apply: (values: JointValues, data: unknown, context: UpdateContext) =>
        this.#apply(transaction, values, data, context),
      ...(result !== undefined && {
        result: (values: JointValues, data: unknown, context: UpdateContext) => {
          const { keys } = this.#entryOf(context);
          const its = keys.map((key) => handedOut(transaction, this.#in(values, key)?.[0]));
          return transaction.result?.(its, data, new JointContext(context, keys));
        },
      }),
    } as AnyUpdate;
  }

  #apply(update: Loose, values: JointValues, data: unknown, context: UpdateContext): unknown {
    const entry = this.#entryOf(context);
    const { keys } = entry;
    this.#compareKeys(update, data, entry);
    const given = keys.map((key, place) => {
      const box = this.#in(values, key);
      return box === null ? initialOf(update, key, place) : handedOut(update, box[0]);
    });
    const returned = update.apply(given, data, new JointContext(context, keys));
    return isPromiseLike(returned)
      ? Promise.resolve(returned).then((settled) => this.#with(update, values, keys, settled))
      : this.#with(update, values, keys, returned);
  }

  #entryOf({ jobId }: UpdateContext): JointEntry {
    return this.#entries.get(jobId) as JointEntry;
  }

  #in(values: JointValues, key: string): JointValues[number] {
    return values[this.#options.places.get(key) as number] ?? null;
  }

  /** It is applied to the keys whose lanes it has entered, as an update is; if it can be. */
  #compareKeys(update: Loose, data: unknown, entry: JointEntry): void {
    const named = keysOf(update, data);
    const { keys, jobId } = entry;
    if (named.length === keys.length && named.every((key, at) => key === keys[at])) return;
    if (named.length !== keys.length) {
      throw new TorilError(
        'INVALID_KEY',
        `the transaction "${update.name}" names ${named.length} keys for job ${jobId}, which has entered the lanes of ${keys.length}: its "keys" was changed. Let the old jobs drain before you deploy another one.`,
      );
    }
    this.#options.keysChanged(entry, named);
  }

  #with(
    { name, immutable }: Loose,
    before: JointValues,
    keys: readonly string[],
    returned: unknown,
  ): JointValues {
    if (!Array.isArray(returned) || returned.length !== keys.length) throw wrongValues(name, keys);
    const values = [...before];
    for (const [at, key] of keys.entries()) {
      const value: unknown = returned[at];
      if (value === undefined) throw noValue(name, key);
      const place = this.#options.places.get(key) as number;
      if (value === DELETE_CELL) values[place] = null;
      else values[place] = [immutable ? value : copyOfJson(asJsonValue(value, name))];
    }
    return values;
  }
}

function handedOut({ immutable }: Loose, value: unknown): unknown {
  return immutable ? value : copyOfJson(value);
}

function initialOf(update: Loose, key: string, place: number): unknown {
  if (update.initial !== undefined) {
    return copyOfJson(asJsonValue(update.initial(key, place), update.name));
  }
  throw new TorilError(
    'UPDATE_RETURNED_NOTHING',
    `the key "${key}" has no value yet, and the transaction "${update.name}" has no "initial". Define initial(key).`,
  );
}

function wrongValues(name: string, keys: readonly string[]): TorilError {
  return new TorilError(
    'UPDATE_RETURNED_NOTHING',
    `the transaction "${name}" did not return a list of ${keys.length} values. Return one for each of its keys, in their order: the new value, the value as it was, or DELETE_CELL.`,
  );
}

function noValue(name: string, key: string): TorilError {
  return new TorilError(
    'UPDATE_RETURNED_NOTHING',
    `the transaction "${name}" returned undefined for "${key}". Return the new value, the value as it was, or DELETE_CELL.`,
  );
}

/** The context of the call, with all keys. */
class JointContext implements TransactionContext {
  readonly #context: UpdateContext;
  readonly keys: readonly string[];

  constructor(context: UpdateContext, keys: readonly string[]) {
    this.#context = context;
    this.keys = keys;
  }

  get jobId(): string {
    return this.#context.jobId;
  }
  get token(): number {
    return this.#context.token;
  }
  get sequence(): number {
    return this.#context.sequence;
  }
  get attempt(): number {
    return this.#context.attempt;
  }
  get now(): number {
    return this.#context.now;
  }
  get signal(): AbortSignal {
    return this.#context.signal;
  }
  // Functions, not methods: they are called on their own.
  get random(): () => number {
    return this.#context.random;
  }
  get id(): () => string {
    return this.#context.id;
  }
  get log(): (row: string) => void {
    return this.#context.log;
  }
}

/** A job that has entered one lane, of an update that is a transaction by now, or the other way round. */
export function otherKind({ jobId, keys }: LaneEntry, { name }: AnyUpdate): TorilError {
  const was =
    keys === undefined ? 'one key' : `${keys.length} keys (${messageOf(keys.join(', '))})`;
  return new TorilError(
    'KEY_CHANGED',
    `job ${jobId} has entered the lanes of ${was}, and "${name}" is ${keys === undefined ? 'a transaction' : 'an update of one key'} by now. Let the old jobs drain before you deploy the other.`,
  );
}
