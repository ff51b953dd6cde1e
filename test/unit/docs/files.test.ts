/** What the documentation points to is there: files, and the sections of its own pages. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const ROOT = new URL('../../../', import.meta.url);
const PAGES = [
  'README.md',
  'CONTRIBUTING.md',
  'src/README.md',
  'src/jobs/bullmq/state/README.md',
  ...readdirSync(new URL('docs', ROOT), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.md'))
    .map((file) => `docs/${file}`),
];
/** Pages that name files of ours only; the others name users' files, too. */
const ABOUT_SOURCES = [
  'CONTRIBUTING.md',
  'docs/design.md',
  'docs/fast-path.md',
  'docs/simulation.md',
  'docs/exploration.md',
  'docs/chaos.md',
  'src/jobs/bullmq/state/README.md',
];
const SOURCES = ['src', 'test', 'bench', 'scripts', 'docs'].flatMap((folder) =>
  readdirSync(new URL(folder, ROOT), { recursive: true, encoding: 'utf8' })
    .filter((file) => !file.includes('node_modules'))
    .map((file) => `/${folder}/${file}`),
);

const read = (page: string): string => readFileSync(new URL(page, ROOT), 'utf8');

/** The anchor that GitHub gives a heading. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}_ -]/gu, '')
    .replaceAll(' ', '-');

function hasSection(page: string, anchor: string): boolean {
  return [...read(page).matchAll(/^#+ (.*)$/gm)].some(
    ([, title]) => anchorOf(title as string) === anchor,
  );
}

/** What a link of the page leads to: a path from the root, and a section. */
function linksOf(page: string): string[] {
  return [...read(page).matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, link]) => link as string)
    .filter((link) => !/^[a-z]+:/.test(link))
    .map((link) => new URL(link, new URL(page, ROOT)).href.slice(ROOT.href.length));
}

describe.each(PAGES)('%s', (page) => {
  it('links to what is there', () => {
    const broken = linksOf(page).filter((link) => {
      const [path, anchor] = link.split('#') as [string, string | undefined];
      if (!existsSync(fileURLToPath(new URL(path, ROOT)))) return true;
      return anchor !== undefined && path.endsWith('.md') && !hasSection(path, anchor);
    });
    expect(broken).toEqual([]);
  });
});

describe.each(ABOUT_SOURCES)('%s', (page) => {
  it('names files that are there', () => {
    const named = [...read(page).matchAll(/`((?:\.\.\/)*[\w./-]+\.(?:suite\.|test\.)?ts)`/g)];
    const gone = named
      .map(([, file]) => (file as string).replaceAll('../', ''))
      .filter((file) => !SOURCES.some((path) => path.endsWith(`/${file}`)));
    expect(gone).toEqual([]);
  });
});
