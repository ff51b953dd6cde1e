/**
 * The playground as files for a browser: playground.js (the page) and simulation.js (its worker). What the simulation
 * needs of Node is replaced by the files in stand-ins/.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The project's, not the older one that VitePress has in the site's own node_modules. */
const { build } = /** @type {typeof import('esbuild')} */ (
  createRequire(new URL('../../package.json', import.meta.url))('esbuild')
);

/** @param {string} path */
const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/**
 * @param {string} [folder] where the files go; undefined: nowhere
 * @returns {Promise<{ readonly file: string, readonly bytes: number }[]>} what a browser loads
 */
export async function bundlePlayground(folder) {
  const { outputFiles } = await build({
    entryPoints: [here('playground.ts'), here('simulation.ts')],
    outdir: here('.'),
    write: false,
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2023',
    legalComments: 'external', // their texts are in files beside these, which no browser loads
    charset: 'utf8', // as modules are read
    alias: {
      'node:async_hooks': here('stand-ins/async-hooks.ts'),
      'node:crypto': here('stand-ins/crypto.ts'),
      'node:events': here('stand-ins/events.ts'),
      'node:util/types': here('stand-ins/util-types.ts'),
    },
  });
  if (folder !== undefined) await mkdir(folder, { recursive: true });
  const written = await Promise.all(
    outputFiles.map(async ({ path, contents }) => {
      const file = basename(path);
      if (folder !== undefined) await writeFile(join(folder, file), contents);
      return { file, bytes: contents.length };
    }),
  );
  return written.filter(({ file }) => file.endsWith('.js'));
}
