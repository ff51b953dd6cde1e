/** The site's looks and its table of contents. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { defineConfig } from 'vitepress';
import llmstxt from 'vitepress-plugin-llms';

const PAGES = new URL('../pages/', import.meta.url);
const API = new URL('api/typedoc-sidebar.json', PAGES);
const api = existsSync(API) ? JSON.parse(readFileSync(API, 'utf8')) : [];

/** As GitHub makes anchors: test/unit/docs/files.test.ts holds the links against that. */
const slugify = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}_ -]/gu, '')
    .replaceAll(' ', '-');

/** A page's title, by its own first line. */
function page(path: string): { text: string; link: string } {
  const file = new URL(`${path}.md`, PAGES);
  const [, title = path] = /^# (.*)$/m.exec(readFileSync(file, 'utf8')) ?? [];
  return { text: title.replaceAll('`', ''), link: `/${path.replace(/index$/, '')}` };
}

/** In the order of the table on the guide's first page. */
const GUIDE = [
  ...readFileSync(new URL('guide/index.md', PAGES), 'utf8').matchAll(
    /^\| \[[^\]]*\]\(\/([\w/-]+)\.md\)/gm,
  ),
].map(([, path = '']) => path);

const SECTIONS: [title: string, paths: string[]][] = [
  ['Guide', ['guide/index', ...GUIDE]],
  ['To look up', ['options', 'events', 'errors', 'cli', 'bullmq', 'memcached', 'deployment']],
  ['Recordings', ['replay', 'half-hour']],
  ['How it works', ['design', 'fast-path', 'performance', 'lab']],
  ['How it is proved', ['playground', 'simulation', 'exploration', 'chaos', 'twins']],
];

/** A page that no section names is among those to look up. */
const named = new Set(SECTIONS.flatMap(([, paths]) => paths));
const others = readdirSync(PAGES)
  .filter((file) => file.endsWith('.md'))
  .map((file) => file.replace(/\.md$/, ''))
  .filter(
    (path) =>
      !named.has(path) && !['index', 'CHANGELOG', 'CONTRIBUTING', 'SECURITY'].includes(path),
  );
SECTIONS[1]?.[1].push(...others);

const section = (text: string, paths: readonly string[]) => ({
  ...{ text, collapsed: false, items: paths.map(page) },
});

const SIDEBAR = SECTIONS.map(([text, paths]) => section(text, paths));

export default defineConfig({
  title: 'Toril',
  description:
    'BullMQ workers that change shared memcached values: in order, exactly once, under a lease with fencing tokens.',
  srcDir: 'pages',
  outDir: 'dist',
  cleanUrls: true,
  lastUpdated: false,
  ignoreDeadLinks: 'localhostLinks', // addresses that a reader's own machine has
  markdown: {
    anchor: { slugify },
    config(md) {
      const { fence } = md.renderer.rules;
      md.renderer.rules.fence = (tokens, at, ...others) => {
        const { info = '', content = '' } = tokens[at] ?? {};
        if (info.trim() !== 'mermaid') return fence?.(tokens, at, ...others) ?? '';
        return `<Mermaid code="${encodeURIComponent(content)}" />`;
      };
    },
  },
  vite: {
    plugins: [llmstxt({ ignoreFiles: ['api/**'], sidebar: SIDEBAR })],
    build: { chunkSizeWarningLimit: 3_000 },
  },
  themeConfig: {
    search: { provider: 'local' },
    outline: [2, 3],
    nav: [
      { text: 'Guide', link: '/guide/' },
      { text: 'Options', link: '/options' },
      { text: 'API', link: '/api/' },
      { text: 'Playground', link: '/playground' },
      { text: 'Changelog', link: '/CHANGELOG' },
    ],
    // On all pages, the hundreds of names of the API were most of their bytes and of the build's time.
    sidebar: {
      '/': [...SIDEBAR, { text: 'API', link: '/api/' }],
      '/api/': [...SIDEBAR, { text: 'API', items: api }],
    },
  },
});
