/** Links between pages, as the site has them. */
import { describe, expect, it } from 'vitest';
import { withSiteLinks } from '../../../site/pages.mjs';

describe('the site', () => {
  const known = new Set(['README.md', 'docs/errors.md', 'docs/guide/README.md', 'docs/lab.svg']);

  it.each([
    ['README.md', '[codes](docs/errors.md#a-b)', '[codes](/errors.md#a-b)'],
    ['docs/guide/README.md', '[codes](../errors.md)', '[codes](/errors.md)'],
    ['docs/errors.md', '[guide](guide/README.md)', '[guide](/guide/index.md)'],
    ['docs/errors.md', '[start](../README.md)', '[start](/index.md)'],
    ['README.md', '![losses](docs/lab.svg)', '![losses](/lab.svg)'],
    ['README.md', '[a source](src/index.ts)', 'a source'],
    ['README.md', '[out](https://bullmq.io), [here](#x)', '[out](https://bullmq.io), [here](#x)'],
  ])('in %s makes of %s: %s', (from, text, expected) => {
    expect(withSiteLinks(text, from, known)).toBe(expected);
  });
});
