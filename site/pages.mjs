/**
 * Which files of the project are pages of the site, under which address, and how links between them are written there.
 * Links to files that are no pages (sources, tests) become plain text.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync, copyFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';

const MORE_PAGES = ['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md'];
const ASSETS = /\.(svg|png|json)$/;

/**
 * @param {string} root the project's folder
 * @returns {{ pages: string[], assets: string[] }} paths from the root
 */
function filesOf(root) {
  const docs = readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .map((file) => `docs/${file.replaceAll('\\', '/')}`)
    .toSorted();
  return {
    pages: [...MORE_PAGES, ...docs.filter((file) => file.endsWith('.md'))],
    assets: docs.filter((file) => ASSETS.test(file)),
  };
}

/**
 * README.md of a folder is its first page, and docs/ is the top.
 * @param {string} file from the root
 */
function addressOf(file) {
  return file.replace(/^docs\//, '').replace(/README\.md$/, 'index.md');
}

/**
 * @param {string} text a page
 * @param {string} from its path from the root
 * @param {ReadonlySet<string>} known paths from the root
 */
export function withSiteLinks(text, from, known) {
  return text.replaceAll(
    /(!?)\[((?:[^\]\\]|\\.)*)\]\(([^)\s]+)\)/g,
    (link, image, label, target) => {
      if (/^([a-z]+:|#)/.test(target)) return link;
      const [path = '', anchor] = target.split('#');
      const file = posix.normalize(posix.join(posix.dirname(from), path));
      if (!known.has(file)) return label;
      return `${image}[${label}](/${addressOf(file)}${anchor === undefined ? '' : `#${anchor}`})`;
    },
  );
}

/**
 * Makes the folder `into` anew: pages with the links that the site has.
 * @param {string} root
 * @param {string} into
 */
export function makePages(root, into) {
  rmSync(into, { recursive: true, force: true });
  const { pages, assets } = filesOf(root);
  const known = new Set([...pages, ...assets]);
  for (const file of pages) {
    const to = join(into, addressOf(file));
    mkdirSync(dirname(to), { recursive: true });
    writeFileSync(to, withSiteLinks(readFileSync(join(root, file), 'utf8'), file, known));
  }
  for (const file of assets) {
    const to = join(into, 'public', addressOf(file));
    mkdirSync(dirname(to), { recursive: true });
    copyFileSync(join(root, file), to);
  }
}
