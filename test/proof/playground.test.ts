/** The playground of the site: what it shows of a run, without a browser. With one: `npm run site:browser`. */
import { expect, describe, test } from 'vitest';
import { inTurns } from '../../site/playground/in-turns.ts';
import { commandOf, linkOf, type Setup, setupOf } from '../../site/playground/setup.ts';
import { brokenSeed, storyOf, type Taking } from '../../site/playground/story.ts';
import { FAULTS, GUARDS } from '../../site/playground/words.ts';
import { CANARIES } from '../simulation/canaries.ts';
import { FAULT_KINDS } from '../simulation/faults.ts';
import { runSimulation } from '../simulation/simulate.ts';

const SLOW = { timeout: 120_000 };
const PLAIN: Setup = { seed: 0, faults: [], severalKeys: false };
/** Of the table in docs/playground.md. */
const NO_CAS: Setup = { ...PLAIN, seed: 6, guard: 'no CAS on cells' };
const WITH_COPIES: Setup = { ...PLAIN, seed: 2 };

const take: Taking = async (steps) => {
  await inTurns(steps);
  return [];
};

describe('a run in tasks, as in a browser', () => {
  test.each([false, true])(
    'is the same, with jobs of several keys: %s',
    SLOW,
    async (severalKeys) => {
      for (let seed = 0; seed < 12; seed++) {
        const { hash } = await storyOf({ ...PLAIN, seed, severalKeys }, take);
        const { hash: expected } = await runSimulation({ seed, transactions: severalKeys });
        expect({ seed, hash }).toEqual({ seed, hash: expected });
      }
    },
  );
});

describe('a story', SLOW, () => {
  test('ends with the promise that broke', async () => {
    const { broken, moments, actors } = await storyOf(NO_CAS, take);
    expect(broken?.promise).toBe('P1');
    expect(moments.at(-1)).toMatchObject({ sort: 'broken', actor: 'auditor' });
    expect(actors.at(-1)).toBe('auditor');
    expect(moments.filter(({ sort }) => sort === 'broken')).toHaveLength(1);
  });

  test('shows how each key stands, and that an update goes from cell to copy', async () => {
    const { moments } = await storyOf(WITH_COPIES, take);
    const acknowledged = moments.findIndex(({ what }) => /^acknowledge k\d.*accepted/.test(what));
    const [key] = /k\d/.exec(moments[acknowledged]?.what ?? '') ?? [];
    const at = (step: number) => moments[step]?.keys.find((state) => state.key === key);
    expect(at(0)).toMatchObject({ lane: [], copy: { none: 'none yet' } });
    expect(at(acknowledged - 1)?.copy).not.toEqual(at(acknowledged)?.copy);
    expect(at(acknowledged)?.copy).toEqual(at(acknowledged)?.cell);
    expect(at(acknowledged)?.holder).toMatch(/^p\d-\d+$/);
  });

  test('of a run with the faults that were picked has no others', async () => {
    const { moments } = await storyOf({ ...PLAIN, seed: 3, faults: ['crash'] }, take);
    const struck = moments.filter(({ sort }) => sort === 'fault').map(({ what }) => what);
    expect(struck.length).toBeGreaterThan(0);
    expect(struck.filter((what) => !what.endsWith('is killed'))).toEqual([]);
  });
});

test('a search finds the first seed that breaks a promise', SLOW, async () => {
  const tried: number[] = [];
  const seed = await brokenSeed({ ...NO_CAS, seed: 4 }, 10, take, (seeds) => tried.push(seeds));
  expect({ seed, tried }).toEqual({ seed: 6, tried: [1, 2] });
  expect(await brokenSeed(PLAIN, 2, take, () => {})).toBeUndefined();
});

describe('a link', () => {
  test.each<Setup>([
    { ...PLAIN, guard: undefined },
    { seed: 42, guard: "times by the worker's clock", faults: ['cut', 'pause'], severalKeys: true },
  ])('names a run: %o', (setup) => {
    const { faults } = setup;
    const read = setupOf(linkOf(setup));
    expect(read).toEqual({ ...setup, faults: FAULT_KINDS.filter((kind) => faults.includes(kind)) });
  });

  test.each(['', 'how-to-read-it', 'seed=-1', 'seed=x'])('that is "%s" names none', (link) => {
    expect(setupOf(link)).toBeUndefined();
  });

  test('of an older site may name what is gone', () => {
    expect(setupOf('seed=1&off=gone&faults=crash,gone')).toEqual({
      ...{ seed: 1, guard: undefined, faults: ['crash'], severalKeys: false },
    });
  });
});

test('the command says the same, where it can', () => {
  expect(commandOf(NO_CAS)).toBe('npm run sim -- --seed 6 --trace --canary "no CAS on cells"');
  expect(commandOf({ ...PLAIN, severalKeys: true })).toMatch(/--seed 0 --trace --transactions$/);
  expect(commandOf({ ...PLAIN, faults: ['crash'] })).toBeUndefined();
});

test('every guard and every fault has words', () => {
  expect(Object.keys(GUARDS).toSorted()).toEqual(Object.keys(CANARIES).toSorted());
  expect(Object.keys(FAULTS)).toEqual([...FAULT_KINDS]);
});
