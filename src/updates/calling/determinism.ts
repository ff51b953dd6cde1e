/**
 * A check for development and tests: whether an update gives the same again for the same. It is run
 * three times on copies of its input, each time with another clock, time zone, environment and chance, so
 * that what depends on these or on memory shows. Updates that act on the outside world (`strict`) run only once.
 */
import { andThen } from '../../base/and-then.ts';
import { systemClock } from '../../base/clock.ts';
import { isPromiseLike } from '../../base/promise-like.ts';
import { messageOf, TorilError } from '../../errors.ts';
import { applyUpdate } from './apply.ts';
import { OTHER_SURROUNDINGS, within } from './surroundings.ts';
import { type AnyUpdate, DELETE_CELL, type UpdateContext } from '../update.ts';
import { type ApplyFacts, repeatedContext } from './update-context.ts';

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
    ...(initial && { initial: (key: string) => repeatedInitial(update, initial, key) }),
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

function repeatedInitial(
  update: AnyUpdate,
  initial: (key: string) => unknown,
  key: string,
): unknown {
  const first = initial(key);
  const one = textOf(first);
  for (const surroundings of OTHER_SURROUNDINGS) {
    const other = textOf(within(surroundings, () => initial(key)));
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
    return JSON.stringify(value) ?? typeof value;
  } catch {
    return typeof value;
  }
}

/** A schema may make dates and maps of data, but not everything can be copied; then all runs share it. */
function copyOf(data: unknown): unknown {
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

export interface CheckedCall {
  /** JSON, as it comes out of the queue. */
  readonly data: unknown;
  /** Default: there is no value, so `initial` makes one. */
  readonly value?: unknown;
  readonly context?: Partial<Omit<ApplyFacts, 'key'>>;
}

export interface DeterminismFinding {
  readonly kind: 'not-repeatable' | 'not-json' | 'changes-data' | 'changes-key';
  readonly message: string;
}

const FACTS: Omit<ApplyFacts, 'key'> = {
  jobId: '1',
  token: 1_767_225_600_000_001,
  sequence: 1_767_225_600_000_002,
  attempt: 1,
};
const KINDS: Readonly<Record<string, DeterminismFinding['kind']>> = {
  UPDATE_NOT_REPEATABLE: 'not-repeatable',
  UPDATE_NOT_JSON: 'not-json',
  UPDATE_RETURNED_NOTHING: 'not-json',
};

/**
 * For tests: what is wrong with an update, if it is called so. An update that refuses this input by
 * throwing, each time, has nothing wrong. Schemas are not asked.
 * @returns an empty list if all is well
 */
export async function checkDeterminism(
  update: AnyUpdate,
  { data, value, context }: CheckedCall,
): Promise<DeterminismFinding[]> {
  const findings: DeterminismFinding[] = [];
  const key = update.key(copyOf(data)) as unknown;
  for (const surroundings of OTHER_SURROUNDINGS) {
    const again = within(surroundings, () => update.key(copyOf(data)) as unknown);
    if (typeof key === 'string' && key === again) continue;
    const message = `"key" of the update "${update.name}" gave first ${String(key)} and then ${String(again)}.`;
    return [{ kind: 'changes-key', message }];
  }
  const checked = verified(update, (name) => {
    const message = `the update "${name}" changes its job's data; that changes nothing for others, but is hardly meant.`;
    findings.push({ kind: 'changes-data', message });
  });
  const facts = { ...FACTS, ...context, key: key as string };
  try {
    const start = value === undefined ? undefined : (JSON.parse(JSON.stringify(value)) as unknown);
    await applyUpdate(checked, start, copyOf(data), facts, { clock: systemClock });
  } catch (thrown) {
    const kind = thrown instanceof TorilError ? KINDS[thrown.code] : undefined;
    if (kind !== undefined) findings.push({ kind, message: messageOf(thrown) });
  }
  return findings;
}
