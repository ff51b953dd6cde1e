/** Calling one update with one job's data: nothing of batches, leases or lanes. */
import { seededFraction, seededUuid } from '../base/random.ts';
import type { Clock } from '../base/clock.ts';
import { TorilError } from '../errors.ts';
import { asFrozenValue, frozenValue, thawed } from './frozen-value.ts';
import { asJsonValue, copyOfJson } from '../json-value.ts';
import { DELETE_CELL, type AnyUpdate, type UpdateContext } from './update.ts';

/** What an update is told besides value and data. */
export interface ApplyFacts {
  readonly key: string;
  readonly jobId: string;
  readonly token: number;
  readonly sequence: number;
  readonly attempt: number;
}

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
  leaseSignal: () => AbortSignal,
  clock: Clock,
): AppliedUpdate | Promise<AppliedUpdate> {
  const context = new Context(facts, leaseSignal);
  const given = value === undefined ? initialOf(update, facts.key) : value;
  const start = update.immutable ? frozenValue(given) : thawed(given);
  const returned: unknown = update.apply(start, data, context);
  if (!isPromiseLike(returned)) return finish(update, start, returned, data, context);
  return settleInTime(update, returned, context, leaseSignal(), clock).then((settled) =>
    finish(update, start, settled, data, context),
  );
}

function initialOf(update: AnyUpdate, key: string): unknown {
  if (update.initial !== undefined) {
    const initial = asJsonValue(update.initial(key), update.name);
    // `initial: () => EMPTY` is natural, and `apply` may change what it gets: give it its own.
    return copyOfJson(initial);
  }
  throw new TorilError(
    'UPDATE_RETURNED_NOTHING',
    `the key "${key}" has no value yet, and the update "${update.name}" has no "initial". Define initial(key).`,
  );
}

function finish(
  update: AnyUpdate,
  start: unknown,
  returned: unknown,
  data: unknown,
  context: UpdateContext,
): AppliedUpdate {
  if (returned === undefined) {
    throw new TorilError(
      'UPDATE_RETURNED_NOTHING',
      `the update "${update.name}" returned undefined. Return the new value, the value as it was, or DELETE_CELL.`,
    );
  }
  const value = returned === DELETE_CELL ? undefined : newValue(update, start, returned);
  if (update.result === undefined) return { value, result: '' };
  const result: unknown = update.result(value, data, context);
  return { value, result: result === undefined ? '' : resultJson(result, update.name) };
}

function newValue(update: AnyUpdate, start: unknown, returned: unknown): unknown {
  return update.immutable
    ? asFrozenValue(returned, start, update.name)
    : asJsonValue(returned, update.name);
}

function resultJson(result: unknown, updateName: string): string {
  return JSON.stringify(asJsonValue(result, updateName));
}

/** An update that never settles must not hold its key for ever. */
function settleInTime(
  update: AnyUpdate,
  returned: PromiseLike<unknown>,
  context: Context,
  leaseSignal: AbortSignal,
  clock: Clock,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const endMs = clock.monotonicMs() + update.timeoutMs;
    const tooLate = (): void => {
      const late = new TorilError(
        'UPDATE_TIMED_OUT',
        `the update "${update.name}" did not settle within ${update.timeoutMs} ms. Make it faster, heed context.signal, or raise timeoutMs.`,
      );
      context.timeOut(late);
      reject(late);
    };
    let timer = clock.after(update.timeoutMs, tooLate, { keepAlive: true });
    // Nothing will come of it any more: that is no reason to keep a closed worker's process alive.
    const leaseIsLost = (): void => {
      timer.cancel();
      timer = clock.after(Math.max(0, endMs - clock.monotonicMs()), tooLate);
    };
    const settled = (): void => {
      timer.cancel();
      leaseSignal.removeEventListener('abort', leaseIsLost);
    };
    leaseSignal.addEventListener('abort', leaseIsLost, { once: true });
    returned.then(resolve, reject).then(settled, settled);
  });
}

/** A context for the same job that begins anew: its first random number and id are the first ones again. */
export function repeatedContext(context: UpdateContext): UpdateContext {
  return new Context(context, () => context.signal);
}

/** Made once per job: everything that costs something is made when it is asked for. */
class Context implements UpdateContext {
  readonly #facts: ApplyFacts;
  readonly #leaseSignal: () => AbortSignal;
  #timeUp: AbortController | undefined;
  #signal: AbortSignal | undefined;
  #fraction: (() => number) | undefined;
  #ids = 0;

  constructor(facts: ApplyFacts, leaseSignal: () => AbortSignal) {
    this.#facts = facts;
    this.#leaseSignal = leaseSignal;
  }

  get key(): string {
    return this.#facts.key;
  }
  get jobId(): string {
    return this.#facts.jobId;
  }
  get token(): number {
    return this.#facts.token;
  }
  get sequence(): number {
    return this.#facts.sequence;
  }
  get attempt(): number {
    return this.#facts.attempt;
  }
  /** A sequence is the time in µs at which the job entered, unless many entered in one µs. */
  get now(): number {
    return Math.floor(this.#facts.sequence / 1000);
  }
  get signal(): AbortSignal {
    this.#timeUp ??= new AbortController();
    this.#signal ??= AbortSignal.any([this.#leaseSignal(), this.#timeUp.signal]);
    return this.#signal;
  }
  // Functions, not methods: updates write `{ random, id }` and call them on their own.
  get random(): () => number {
    this.#fraction ??= seededFraction(this.#seed());
    return this.#fraction;
  }
  get id(): () => string {
    return () => seededUuid(`${this.#seed()}\n${this.#ids++}`);
  }
  #seed(): string {
    const { key, jobId, sequence } = this.#facts;
    return `${key}\n${jobId}\n${sequence}`;
  }
  timeOut(reason: TorilError): void {
    this.#timeUp?.abort(reason);
  }
}

export function isPromiseLike(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === 'object' &&
    value !== null &&
    'then' in value &&
    typeof value.then === 'function'
  );
}
