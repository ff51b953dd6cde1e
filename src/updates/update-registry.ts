import { TorilError, messageOf } from '../errors.ts';
import { type AnyUpdate, withDefaults } from './update.ts';

/** The updates that a queue or a worker knows, by name. */
export class UpdateRegistry {
  readonly #updates = new Map<string, AnyUpdate>();
  /** The same, as they were when they were registered. */
  readonly #read = new Map<string, AnyUpdate>();

  /**
   * @param as what is to be called instead of an update
   * @throws TorilError INVALID_OPTIONS, DUPLICATE_UPDATE
   */
  constructor(
    updates: readonly AnyUpdate[],
    as: (update: AnyUpdate) => AnyUpdate = (update) => update,
  ) {
    for (const update of updates) {
      const read = readOnce(update);
      const { name } = read;
      if (typeof read.apply !== 'function' || typeof name !== 'string') {
        throw new TorilError(
          'INVALID_OPTIONS',
          'updates must hold what defineUpdate() or defineTransaction() returned.',
        );
      }
      if (this.#updates.has(name)) {
        throw new TorilError(
          'DUPLICATE_UPDATE',
          `two updates are named "${name}". Give each its own name: a job finds its update by it.`,
        );
      }
      this.#updates.set(name, update);
      this.#read.set(name, as(read));
    }
  }

  /** The update as it was when it was registered, to be called. */
  find(name: string): AnyUpdate | undefined {
    return this.#read.get(name);
  }

  /** Whether one of them changes several keys at a time. */
  get hasTransactions(): boolean {
    return [...this.#read.values()].some(({ keys }) => keys !== undefined);
  }

  /**
   * A transaction is decided in Redis before any cell is written: without copies there is nothing to write them from.
   * @throws TorilError INVALID_OPTIONS
   */
  checkCopies(durableCopies: boolean): void {
    if (durableCopies || !this.hasTransactions) return;
    throw new TorilError(
      'INVALID_OPTIONS',
      'durableCopies cannot be false in a worker with transactions: their values are kept in Redis before they are written to memcached.',
    );
  }

  get names(): string[] {
    return [...this.#updates.keys()];
  }

  /** The very object that was registered. @throws TorilError UNKNOWN_UPDATE */
  require(name: string): AnyUpdate {
    const update = this.#updates.get(name);
    if (update !== undefined) return update;
    const known = this.names.length === 0 ? 'none is' : `known: ${this.names.join(', ')}`;
    throw new TorilError(
      'UNKNOWN_UPDATE',
      `no update named "${name}" is registered here (${known}). Pass it in "updates".`,
    );
  }
}

const PROPERTIES = [
  ...['name', 'schema', 'key', 'initial', 'apply', 'immutable', 'result', 'adopt', 'onFailure'],
  ...['onExhausted', 'strict', 'timeoutMs', 'expireSeconds', 'keys', 'onBlocked'],
];

/**
 * An update whose properties can be read at any time: its own may be getters, and one that throws in the
 * middle of a turn would be nobody's failure. What cannot be read is the failure of each of its jobs.
 */
function readOnce(update: AnyUpdate): AnyUpdate {
  const read: Record<string, unknown> = {};
  let unreadable: TorilError | undefined;
  for (const property of new Set([...PROPERTIES, ...Object.keys(update ?? {})])) {
    try {
      const value: unknown = update?.[property as keyof AnyUpdate];
      if (value !== undefined) read[property] = value;
    } catch (cause) {
      unreadable ??= cannotBeRead(property, cause);
    }
  }
  const whole = { ...read, ...withDefaults(read) } as AnyUpdate;
  if (unreadable === undefined) return whole;
  const fail = (): never => {
    throw unreadable;
  };
  return { ...whole, key: whole.key ?? fail, initial: fail, apply: fail };
}

function cannotBeRead(property: string, cause: unknown): TorilError {
  return new TorilError(
    'INVALID_OPTIONS',
    `"${property}" of the update cannot be read: ${messageOf(cause)}`,
    { cause },
  );
}
