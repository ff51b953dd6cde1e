/**
 * `npm run site`: the documentation as a site, in site/dist. Its packages are installed here, in a folder of their own,
 * since TypeDoc needs a TypeScript that has an API (the project's has none), and nobody else needs VitePress.
 */
import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runChild } from '../scripts/child.mjs';
import { installDependencies } from '../scripts/install.mjs';
import { runMain, SetupError } from '../scripts/setup-error.mjs';
import { makePages } from './pages.mjs';
import { bundlePlayground } from './playground/bundle.mjs';

const SITE = fileURLToPath(new URL('.', import.meta.url));
const ROOT = join(SITE, '..');

await runMain(async () => {
  await installDependencies(SITE);
  makePages(ROOT, join(SITE, 'pages'));
  copyMermaid(join(SITE, 'pages', 'public', 'mermaid'));
  await bundlePlayground(join(SITE, 'pages', 'public', 'playground'));
  await step('typedoc', ...entryPoints());
  await step('vitepress', 'build');
  return 0;
});

/** @param {string} into */
function copyMermaid(into) {
  const built = join(SITE, 'node_modules', 'mermaid', 'dist');
  const isCode = (/** @type {string} */ path) => !path.endsWith('.map');
  for (const part of ['mermaid.esm.min.mjs', 'chunks/mermaid.esm.min'])
    cpSync(join(built, part), join(into, part), { recursive: true, filter: isCode });
}

/** The sources of what package.json exports. */
function entryPoints() {
  const { exports } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  return Object.values(exports)
    .map(({ types }) => types)
    .filter((types) => types !== undefined)
    .flatMap((types) => [
      '--entryPoints',
      types.replace('./dist/', '../src/').replace('.d.ts', '.ts'),
    ]);
}

/** @param {string[]} command */
async function step(...command) {
  const code = await runChild(SITE, command);
  if (code !== 0) throw new SetupError(`${command[0]} ended with ${code}: see above.`);
}
