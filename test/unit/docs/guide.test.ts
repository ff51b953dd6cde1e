/** docs/guide has no block that is neither run (test/examples/guide.test.ts) nor said to be a mere text. */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { blocksOf, commandsOf, namedFile } from '../../support/pages.ts';

const GUIDE = new URL('../../../docs/guide/', import.meta.url);
const pages = readdirSync(GUIDE).filter((file) => file.endsWith('.md'));
const read = (page: string): string => readFileSync(new URL(page, GUIDE), 'utf8');

describe.each(pages)('docs/guide/%s', (page) => {
  it('has only code that is run', () => {
    const others = blocksOf(read(page)).filter((block) => {
      if (block.language === 'text') return false;
      if (block.language === 'console') return commandsOf(block).length === 0;
      return block.language !== 'ts' || namedFile(block) === undefined;
    });
    expect(others).toEqual([]);
  });

  it('is in the table of pages, and is a page of its own', () => {
    if (page !== 'README.md') expect(read('README.md')).toContain(`](${page})`);
    expect(read(page).match(/^# /gm)).toHaveLength(1);
  });
});

it('the guide has a page for each question of a first week', () => {
  expect(pages.length).toBeGreaterThanOrEqual(15);
});

/** Code that a test runs or compiles (README and testing: all of it), what is shown, and what is for other programs. */
const LANGUAGES = [
  ...['ts', 'js', 'jsonl', 'console'],
  ...['text', 'mermaid'],
  ...['sh', 'json', 'yaml', 'dockerfile', 'php', 'python', 'go'],
];

it.each(readdirSync(new URL('..', GUIDE)).filter((file) => file.endsWith('.md')))(
  'docs/%s says of each block what it is',
  (page) => {
    const used = blocksOf(read(`../${page}`)).map(({ language }) => language);
    expect(used.filter((language) => !LANGUAGES.includes(language))).toEqual([]);
  },
);
