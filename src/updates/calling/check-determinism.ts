/** A check for tests: what is wrong with an update, if it is called with one job's data. */
import { systemClock } from '../../base/clock.ts';
import { messageOf, TorilError } from '../../errors.ts';
import type { AnyUpdate } from '../update.ts';
import { applyUpdate } from './apply.ts';
import { copyOf, verified } from './determinism.ts';
import { JointUpdates, type JointValues } from './joint-updates.ts';
import { OTHER_SURROUNDINGS, within } from './surroundings.ts';
import type { ApplyFacts } from './update-context.ts';

export interface CheckedCall {
  /** JSON, as it comes out of the queue. */
  readonly data: unknown;
  /**
   * Default: there is no value, so `initial` makes one. Of a transaction: the list of its keys' values; undefined: the key has none.
   */
  readonly value?: unknown;
  readonly context?: Partial<Omit<ApplyFacts, 'key' | 'keys'>>;
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
  const keys = keysIn(update, data);
  for (const surroundings of OTHER_SURROUNDINGS) {
    const again = within(surroundings, () => keysIn(update, data));
    if (Array.isArray(keys) && String(keys) === String(again)) continue;
    const what = update.keys === undefined ? 'key' : 'keys';
    const message = `"${what}" of the update "${update.name}" gave first ${String(keys)} and then ${String(again)}.`;
    return [{ kind: 'changes-key', message }];
  }
  const findings: DeterminismFinding[] = [];
  const checked = verified(update, (name) => {
    const message = `the update "${name}" changes its job's data; that changes nothing for others, but is hardly meant.`;
    findings.push({ kind: 'changes-data', message });
  });
  try {
    await call(checked, keys as string[], copyOf(data), value, context);
  } catch (thrown) {
    const kind = thrown instanceof TorilError ? KINDS[thrown.code] : undefined;
    if (kind !== undefined) findings.push({ kind, message: messageOf(thrown) });
  }
  return findings;
}

/** Not a list: no keys. */
function keysIn(update: AnyUpdate, data: unknown): unknown {
  if (update.keys !== undefined) return update.keys(copyOf(data));
  const key: unknown = update.key(copyOf(data));
  return typeof key === 'string' ? [key] : key;
}

async function call(
  update: AnyUpdate,
  keys: readonly string[],
  data: unknown,
  value: unknown,
  context: CheckedCall['context'],
): Promise<void> {
  const start = value === undefined ? undefined : (JSON.parse(JSON.stringify(value)) as unknown);
  const facts = { ...FACTS, ...context, key: keys[0] as string };
  const site = { clock: systemClock };
  if (update.keys === undefined) {
    await applyUpdate(update, start, data, facts, site);
    return;
  }
  const joint = new JointUpdates({
    registry: { find: () => update },
    places: new Map(keys.map((key, place) => [key, place])),
    keysChanged: () => undefined, // they were compared
  });
  const given = Array.isArray(value) ? (value as readonly unknown[]) : [];
  const values: JointValues = keys.map((_, place) =>
    given[place] === undefined ? null : [(start as readonly unknown[])[place]],
  );
  await applyUpdate(joint.find(update.name) as AnyUpdate, values, data, { ...facts, keys }, site);
}
