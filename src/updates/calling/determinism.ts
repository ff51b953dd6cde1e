/**
 * A check for development: whether an update gives the same again for the same (for tests: check-determinism.ts). It is run
 * three times on copies of its input, each time with another clock, time zone, environment and chance, so
 * that what depends on these or on memory shows. Updates that act on the outside world (`strict`) run only once.
 */
import { andThen, isPromiseLike } from '../../base/promises.ts';
import { TorilError } from '../../errors.ts';
import { OTHER_SURROUNDINGS, within } from './surroundings.ts';
import { type AnyUpdate, DELETE_CELL, type UpdateContext } from '../update.ts';
import { repeatedContext } from './update-context.ts';

/** Characters of two values that are shown on both sides of where they part. */
const SHOWN = 40;

/** Told once per update: it is no fault, since the data are its own copy, but hardly meant. */
export type OnChangedData = (update: string, context: UpdateContext) => void;

/**
 * The same update, but it fails with UPDATE_NOT_REPEATABLE if it does not give the same again. Takes
 * more than three times as long.
 */
export function verified(update: AnyUpdate, onChangedData: OnChangedData): AnyUpdate {
  if (update.strict) return update;
  const hint = once(onChangedData);
  const { initial } = update;
  // What `result` draws comes behind what `apply` drew: by the context of each run.
  const contexts = new WeakMap<UpdateContext, readonly UpdateContext[]>();
  return {
    ...update,
    // A transaction's is told the key's place, too.
    ...(initial && {
      initial: (...of: [string]) => repeatedInitial(update, () => initial(...of)),
    }),
    apply(value: unknown, data: unknown, context) {
      const runs = new Runs(update, value, data, context, hint);
      contexts.set(context, runs.contexts);
      return runs.run();
    },
    ...(update.result && {
      result: (value: unknown, data: unknown, context: UpdateContext) =>
        repeatedResult(update, value, data, [context, ...(contexts.get(context) ?? [])]),
    }),
  };
}

function once(tell: OnChangedData): OnChangedData {
  let told = false;
  return (update, context) => {
    if (told) return;
    told = true;
    tell(update, context);
  };
}

function repeatedInitial(update: AnyUpdate, initial: () => unknown): unknown {
  const first = initial();
  const one = textOf(first);
  for (const surroundings of OTHER_SURROUNDINGS) {
    const other = textOf(within(surroundings, initial));
    if (one !== other) throw notRepeatable(update, `"initial" of the update`, one, other);
  }
  return first;
}

/** @param contexts of the first run, and of the others */
function repeatedResult(
  update: AnyUpdate,
  value: unknown,
  data: unknown,
  contexts: readonly UpdateContext[],
): unknown {
  const inputs = contexts.map(() => [copyOf(value), copyOf(data)]);
  const [first, ...others] = contexts.map((context, at) => {
    const surroundings = OTHER_SURROUNDINGS[at - 1];
    const resultOf = (): unknown => update.result?.(...(inputs[at] as [unknown, unknown]), context);
    return surroundings === undefined ? resultOf() : within(surroundings, resultOf);
  });
  const one = textOf(first);
  const other = others.map(textOf).find((text) => text !== one);
  if (other !== undefined) throw notRepeatable(update, `"result" of the update`, one, other);
  return first;
}

/** The runs of one update for one job. */
class Runs {
  readonly #update: AnyUpdate;
  readonly #value: unknown;
  readonly #data: unknown;
  readonly #context: UpdateContext;
  readonly #onChangedData: OnChangedData;
  readonly #valueJson: string;
  readonly #dataText: string;
  /** As they were before the first run: one for each of the others. */
  readonly #dataCopies: readonly unknown[];
  /** Of the other runs. */
  readonly contexts: readonly UpdateContext[];

  constructor(
    update: AnyUpdate,
    value: unknown,
    data: unknown,
    context: UpdateContext,
    onChangedData: OnChangedData,
  ) {
    this.#update = update;
    this.#value = value;
    this.#data = data;
    this.#context = context;
    this.#onChangedData = onChangedData;
    this.#valueJson = JSON.stringify(value);
    this.#dataCopies = OTHER_SURROUNDINGS.map(() => copyOf(data));
    this.#dataText = textOf(data);
    this.contexts = OTHER_SURROUNDINGS.map(() => repeatedContext(context));
  }

  run(): unknown {
    const first = this.#outcomeOf(this.#value, this.#data, this.#context);
    return andThen(first, (settled) => this.#seen(settled));
  }

  #seen(first: Outcome): unknown {
    if (textOf(this.#data) !== this.#dataText)
      this.#onChangedData(this.#update.name, this.#context);
    return this.#again(first, 0);
  }

  #again(first: Outcome, from: number): unknown {
    for (const [at, surroundings] of OTHER_SURROUNDINGS.entries()) {
      if (at < from) continue;
      const value: unknown = JSON.parse(this.#valueJson);
      const context = this.contexts[at] as UpdateContext;
      const other = within(surroundings, () =>
        this.#outcomeOf(value, this.#dataCopies[at], context),
      );
      if (other instanceof Promise) {
        return other.then((settled) => {
          this.#compare(first, settled);
          return this.#again(first, at + 1);
        });
      }
      this.#compare(first, other);
    }
    if (first.kind === 'threw') throw first.thrown;
    return first.value;
  }

  #compare(first: Outcome, other: Outcome): void {
    const [one, two] = [describe(first), describe(other)];
    if (one !== two) throw notRepeatable(this.#update, 'the update', one, two);
  }

  #outcomeOf(value: unknown, data: unknown, context: UpdateContext): Outcome | Promise<Outcome> {
    const threw = (thrown: unknown): Outcome => ({ kind: 'threw', thrown });
    try {
      const returned: unknown = this.#update.apply(value, data, context);
      return isPromiseLike(returned)
        ? Promise.resolve(returned).then(returnedOf, threw)
        : returnedOf(returned);
    } catch (thrown) {
      return threw(thrown);
    }
  }
}

type Outcome =
  /** `text`: as it was when it was returned; another run may change what both hold. */
  | { readonly kind: 'returned'; readonly value: unknown; readonly text: string }
  | { readonly kind: 'threw'; readonly thrown: unknown };

function returnedOf(value: unknown): Outcome {
  return { kind: 'returned', value, text: textOf(value) };
}

/** What it threw need not be alike to the letter: messages may tell the time. */
function describe(outcome: Outcome): string {
  return outcome.kind === 'threw' ? 'an error' : outcome.text;
}

/** JSON where it can be had: what else is returned is refused anyhow (UPDATE_NOT_JSON). */
function textOf(value: unknown): string {
  if (value === DELETE_CELL) return 'DELETE_CELL';
  try {
    return JSON.stringify(value, orDeleted) ?? typeof value;
  } catch {
    return typeof value;
  }
}

/** Among the values of a transaction. */
function orDeleted(_name: string, value: unknown): unknown {
  return value === DELETE_CELL ? 'DELETE_CELL' : value;
}

/** A schema may make dates and maps of data, but not everything can be copied; then all runs share it. */
export function copyOf(data: unknown): unknown {
  try {
    return structuredClone(data);
  } catch {
    return data;
  }
}

function notRepeatable({ name }: AnyUpdate, what: string, one: string, other: string): TorilError {
  let parting = 0;
  while (parting < one.length && one[parting] === other[parting]) parting++;
  const from = Math.max(0, parting - SHOWN);
  const around = (text: string): string => {
    const to = parting + SHOWN;
    return `${from > 0 ? '…' : ''}${text.slice(from, to)}${to < text.length ? '…' : ''}`;
  };
  return new TorilError(
    'UPDATE_NOT_REPEATABLE',
    `${what} "${name}" gave first ${around(one)} and then, for the same input, ${around(other)}. It must depend on nothing but its value, its data and its context: take context.now for the time, in UTC, context.random() for chance, context.id() for names; ask neither the environment nor the time zone, and keep nothing between calls.`,
  );
}
