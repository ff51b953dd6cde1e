/** The list of values over which a run of transactions is folded: each of them is frozen through, whoever made it. */
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../../../src/base/clock.ts';
import { type AnyUpdate, defineTransaction } from '../../../../src/index.ts';
import { UpdateRegistry } from '../../../../src/updates/update-registry.ts';
import { applyUpdate } from '../../../../src/updates/calling/apply.ts';
import { JointUpdates, type JointValues } from '../../../../src/updates/calling/joint-updates.ts';
import { isUnchangeable } from '../../../../src/updates/values/frozen-value.ts';
import { isFrozenThrough } from '../../../support/frozen.ts';

interface Account {
  readonly entries: { readonly by: string }[];
}

const KEYS = ['a', 'b', 'c'];
const transaction = (name: string, immutable: boolean, apply: (values: Account[]) => unknown) =>
  defineTransaction({
    ...{ name, immutable, initial: (): Account => ({ entries: [] }) },
    keys: () => ['a', 'b'],
    apply: apply as () => never,
  });
const kept: Account[] = [];
const pushing = transaction('pushing', false, (values) => {
  for (const { entries } of values) entries.push({ by: 'pushing' });
  kept.push(...values);
  return values;
});
const spreading = transaction('spreading', true, (values) =>
  values.map(({ entries }) => ({ entries: [...entries, { by: 'spreading' }] })),
);
const shared = transaction('shared', true, ([first]) => [first, first]);

const registry = new UpdateRegistry([pushing, spreading, shared]);
const joint = new JointUpdates({
  registry,
  places: new Map(KEYS.map((key, place) => [key, place])),
  keysChanged: () => undefined,
});
const facts = { key: 'a', keys: ['a', 'b'], jobId: '1', token: 1, sequence: 1, attempt: 1 };
const { signal } = new AbortController();

function applied(values: JointValues, name: string): JointValues {
  const site = { lost: () => signal, clock: systemClock };
  const result = applyUpdate(joint.find(name) as AnyUpdate, values, {}, facts, site);
  return (result as { value: JointValues }).value;
}

const by = (values: JointValues): (string[] | undefined)[] =>
  values.map((box) => (box?.[0] as Account | undefined)?.entries.map((entry) => entry.by));

describe("a run's list of values", () => {
  const start: JointValues = [null, null, [{ entries: [{ by: 'before' }] }]];

  test.each([[['pushing']], [['spreading']], [['pushing', 'spreading', 'pushing', 'shared']]])(
    'cannot be changed behind %o, nor what is in it',
    (names) => {
      let values = start;
      for (const name of names) {
        values = applied(values, name);
        expect(isUnchangeable(values)).toBe(true);
        expect(values.slice(0, 2).every((box) => isFrozenThrough(box?.[0]))).toBe(true);
      }
      expect(by(values)[0]).toEqual(names.filter((name) => name !== 'shared'));
      expect(values[2]).toBe(start[2]);
    },
  );

  test('does not change with what a transaction has kept of its values', () => {
    const values = applied(start, 'pushing');
    kept.at(-1)?.entries.push({ by: 'nobody' });
    expect(by(values)).toEqual([['pushing'], ['pushing'], ['before']]);
  });
});
