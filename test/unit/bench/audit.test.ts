/** The bench's own judge: it must see what went wrong, and nothing else. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  auditKey,
  auditRun,
  chainBehind,
  FLAWLESS,
  type Journal,
  stepsOf,
} from '../../../bench/chain-audit.ts';
import { append, chainHash, emptyValue, type Value, workAt } from '../../../bench/work.ts';

/** Appends the numbers one after the other, as one honest worker would. */
function chainOf(numbers: readonly number[]): { hash: number; journal: Journal } {
  const journal = { from: [] as number[], i: [] as number[], to: [] as number[] };
  let hash = 0;
  for (const i of numbers) {
    journal.from.push(hash);
    journal.i.push(i);
    hash = chainHash(hash, i);
    journal.to.push(hash);
  }
  return { hash, journal };
}

const range = (end: number): number[] => [...Array(end).keys()];

describe('the chain behind a hash', () => {
  test('gives back what was appended, in order, whatever it was', () => {
    fc.assert(
      fc.property(fc.array(fc.nat()), (numbers) => {
        const { hash, journal } = chainOf(numbers);
        expect(chainBehind(hash, stepsOf([journal]))).toEqual(numbers);
      }),
    );
  });

  test('is put together from the journals of several processes', () => {
    const { hash, journal } = chainOf(range(10));
    const half = (from: number, to: number): Journal => ({
      from: journal.from.slice(from, to),
      i: journal.i.slice(from, to),
      to: journal.to.slice(from, to),
    });
    expect(chainBehind(hash, stepsOf([half(5, 10), half(0, 5)]))).toEqual(range(10));
  });

  test('leaves out what was computed and then overwritten', () => {
    const kept = chainOf([0, 2]);
    const overwritten = chainOf([0, 1]);
    const steps = stepsOf([kept.journal, overwritten.journal]);
    expect(chainBehind(kept.hash, steps)).toEqual([0, 2]);
  });

  test('is empty where nobody noted the step', () => {
    expect(chainBehind(12345, stepsOf([]))).toEqual([]);
  });

  test('differs for every order', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.nat(1000), { minLength: 2, maxLength: 20 }),
        fc.nat(),
        (numbers, seed) => {
          const at = seed % (numbers.length - 1);
          const swapped = numbers.with(at, numbers[at + 1] as number);
          swapped[at + 1] = numbers[at] as number;
          expect(chainOf(swapped).hash).not.toBe(chainOf(numbers).hash);
        },
      ),
    );
  });
});

describe('the verdict on a key', () => {
  test.each([
    ['all of it', [0, 1, 2, 3], FLAWLESS],
    ['one missing', [0, 1, 3], { lost: 1, doubled: 0, reordered: 0 }],
    ['one twice', [0, 1, 1, 2, 3], { lost: 0, doubled: 1, reordered: 0 }],
    ['one too late', [0, 2, 1, 3], { lost: 0, doubled: 0, reordered: 1 }],
    ['the first one last', [1, 2, 3, 0], { lost: 0, doubled: 0, reordered: 1 }],
    ['one twice, much later', [0, 1, 2, 3, 0], { lost: 0, doubled: 1, reordered: 0 }],
    ['nothing', [], { lost: 4, doubled: 0, reordered: 0 }],
  ])('%s', (_name, found, verdict) => {
    expect(auditKey(range(4), found, true)).toEqual(verdict);
  });

  test('a run that was stopped may end early, but not have a hole', () => {
    expect(auditKey(range(10), [0, 1, 2], false)).toEqual(FLAWLESS);
    expect(auditKey(range(10), [0, 2], false)).toEqual({ lost: 1, doubled: 0, reordered: 0 });
  });
});

describe('the verdict on a run', () => {
  const keys = 3;
  const jobs = 10;
  const chains = range(keys).map((key) => chainOf(range(jobs).filter((i) => i % keys === key)));
  const run = {
    jobs,
    keys,
    completed: jobs,
    hashes: chains.map(({ hash }) => hash),
    journals: chains.map(({ journal }) => journal),
  };

  test('flawless', () => {
    expect(auditRun(run)).toEqual(FLAWLESS);
  });

  test('a value that is gone has lost all its jobs', () => {
    const hashes = [...run.hashes.slice(0, 2), undefined];
    expect(auditRun({ ...run, hashes })).toEqual({ lost: 3, doubled: 0, reordered: 0 });
  });

  test('stopped on the way: what was completed must be in some chain', () => {
    const stopped = { ...run, hashes: [chains[0]?.hash, undefined, undefined], completed: 4 };
    expect(auditRun(stopped).lost).toBe(0);
    expect(auditRun({ ...stopped, completed: 6 }).lost).toBe(2);
  });
});

describe('the work', () => {
  test('does not change the value it was given, and keeps it small', () => {
    const plan = { run: 'r', jobs: 100, keys: 1 };
    let value: Value = emptyValue();
    for (let i = 0; i < 100; i++) {
      const before = structuredClone(value);
      const after = append(value, workAt(plan, i));
      expect(value).toEqual(before);
      value = after;
    }
    expect(value.count).toBe(100);
    expect(value.recent).toEqual(range(100).slice(-16));
    expect(Number.isSafeInteger(value.hash)).toBe(true);
  });

  test('edits a document in place: as long as before, and another one for another order', () => {
    const plan = { run: 'r', jobs: 1_000, keys: 1, documentBytes: 300 };
    const numbers = range(plan.jobs);
    const textOf = (order: readonly number[]): string | undefined =>
      order.reduce((value, i) => append(value, workAt(plan, i)), emptyValue(300)).text;
    expect(textOf(numbers)).toHaveLength(300);
    expect(textOf(numbers)).not.toBe(textOf(numbers.toReversed()));
  });
});
