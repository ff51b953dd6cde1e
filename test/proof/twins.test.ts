/** The broken twins fit the sources, and a few that are caught soon are hunted. All: `npm run twins`. */
import { afterAll, describe, expect, it } from 'vitest';
import { hunt } from '../twins/hunt.ts';
import { PROMISES, promisesPage } from '../twins/promises.ts';
import { checkEdits, copiedTree } from '../twins/tree.ts';
import { TWINS } from '../twins/twins.ts';

/** Caught by the first seeds. */
const FAST = ['unknown-is-done', 'watermark-stands-still'];

describe('each twin', () => {
  it.each(TWINS)('$name still finds its guard in the sources', (twin) => {
    checkEdits(twin);
  });

  it('stands under one promise, of which docs/design.md shows the lines (test/twins/promises.ts)', () => {
    const filed = Object.values(PROMISES).flat();
    expect(filed.toSorted()).toEqual(TWINS.map(({ name }) => name).toSorted());
    const { is, shouldBe } = promisesPage(TWINS);
    expect(is, 'run: npm run twins -- --write-promises').toBe(shouldBe);
  });

  it('has a name and a guard of its own', () => {
    expect(new Set(TWINS.map(({ name }) => name)).size).toBe(TWINS.length);
    expect(new Set(TWINS.map(({ guard }) => guard)).size).toBe(TWINS.length);
  });
});

describe('is caught', () => {
  const tree = copiedTree();
  afterAll(() => tree.remove());

  it.each(TWINS.filter(({ name }) => FAST.includes(name)))(
    '$name',
    { timeout: 120_000 },
    async (twin) => {
      expect(await hunt(twin, tree)).toMatchObject({ caught: true });
    },
  );

  it('only by a promise that was broken, not by the sound product', {
    timeout: 120_000,
  }, async () => {
    const sound = { name: 'sound', guard: 'nothing', edits: [] };
    const hunting = { by: 'simulation', from: 0, seeds: 20 } as const;
    expect(await hunt({ ...sound, hunt: hunting }, tree)).toMatchObject({ caught: false });
  });
});
