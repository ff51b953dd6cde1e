/** The playground as a browser loads it. It fails also if the gate begins to need something of Node that has no stand-in. */
import { expect, it } from 'vitest';
import { bundlePlayground } from '../../../site/playground/bundle.mjs';

/** Of both files together, minified. */
const BYTES_MAX = 250_000;

it(`a browser loads less than ${BYTES_MAX / 1000} kB`, async () => {
  const files = await bundlePlayground();
  expect(files.map(({ file }) => file)).toEqual(['playground.js', 'simulation.js']);
  expect(files.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThan(BYTES_MAX);
});
