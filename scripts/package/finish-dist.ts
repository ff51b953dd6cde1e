/**
 * What the compiler leaves is not yet what is published: `toril/cells` becomes one file, and libraries that only the command
 * line and the page need come along inside the package, so that nobody's tree of dependencies has them.
 */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { build, type Plugin } from 'esbuild';

/** Packages of which those entry points that `dist` imports become files below `dist/vendor`. */
const VENDORED: readonly string[] = [
  ...['commander', 'cli-progress', 'cli-table3', 'diff', 'picocolors'],
  ...['hono', '@hono/node-server', 'prom-client'],
];

/** @param root the folder of package.json; @param dist where `src` was compiled to */
export async function finishDist(root: string, dist: string): Promise<void> {
  await Promise.all([bundleCells(root, dist), vendor(root, dist)]);
}

/** Several entries share what they have in common. */
const BUNDLE = {
  bundle: true,
  splitting: true,
  chunkNames: 'part-[hash]',
  format: 'esm',
  platform: 'node',
  target: 'node20',
  logLevel: 'warning',
} as const;

/**
 * 45 modules take 25 ms and 5 MB more than one. The errors stay where they are: a TorilError is one also for whoever
 * imports `toril` as well. The binary protocol is loaded when it is needed, as before.
 */
async function bundleCells(root: string, dist: string): Promise<void> {
  const outdir = join(dist, 'reader');
  rmSync(outdir, { recursive: true, force: true });
  await build({
    absWorkingDir: root,
    entryPoints: ['src/cells.ts'],
    outdir,
    ...BUNDLE,
    external: ['memjs'],
    plugins: [
      {
        name: 'errors-stay',
        setup: ({ onResolve }) =>
          onResolve({ filter: /\/errors\.ts$/ }, () => ({ path: '../errors.js', external: true })),
      },
    ],
  });
}

async function vendor(root: string, dist: string): Promise<void> {
  const folder = join(dist, 'vendor');
  rmSync(folder, { recursive: true, force: true });
  const files = filesBelow(dist, '.js').filter((file) => !/^(vendor|reader)[\\/]/.test(file));
  const wanted = new Set(
    files.flatMap((file) => {
      const code = readFileSync(join(dist, file), 'utf8');
      const names = [...code.matchAll(IMPORT), ...code.matchAll(POINTED)].map((found) => found[2]);
      return names.filter((name) => name !== undefined && isVendored(name)) as string[];
    }),
  );
  await build({
    absWorkingDir: root,
    entryPoints: [...wanted].map((name) => ({ in: `${ENTRY}${name}`, out: name })),
    plugins: [asModules(root)],
    outdir: folder,
    ...BUNDLE,
    minify: true,
    legalComments: 'none', // the licences follow, whole
    // What is CommonJS inside asks for Node's modules by `require`.
    banner: {
      js: "import { createRequire as torilRequire } from 'node:module'; const require = torilRequire(import.meta.url);",
    },
  });
  const packages = new Set([...wanted].map(packageOf));
  writeFileSync(join(folder, 'LICENSES.txt'), licences(root, packages));
  for (const file of files) pointToVendored(dist, file);
}

/** Static and dynamic ones, as the compiler writes them. */
const IMPORT = /\b(from |import\()'(@?[a-z][\w./-]*)'/g;
/** The same after it was done: the compiler writes only what has changed. */
const POINTED = /\b(from |import\()'(?:\.{1,2}\/)+vendor\/(@?[a-z][\w./-]*)\.js'/g;
const ENTRY = 'vendored:';

const packageOf = (name: string): string => name.split('/', name.startsWith('@') ? 2 : 1).join('/');
const isVendored = (name: string): boolean => VENDORED.includes(packageOf(name));

/** Of CommonJS, esbuild makes a module with a default export alone: so its names are listed, as Node finds them. */
function asModules(root: string): Plugin {
  return {
    name: 'as-modules',
    setup: ({ onResolve, onLoad }) => {
      onResolve({ filter: /^vendored:/ }, ({ path }) => ({ path, namespace: 'vendored' }));
      onLoad({ filter: /./, namespace: 'vendored' }, async ({ path }) => {
        const name = path.slice(ENTRY.length);
        const names = Object.keys((await import(name)) as object).filter((one) =>
          /^\w+$/.test(one),
        );
        return { contents: `export { ${names.join(', ')} } from '${name}';`, resolveDir: root };
      });
    },
  };
}

function pointToVendored(dist: string, file: string): void {
  const path = join(dist, file);
  const code = readFileSync(path, 'utf8');
  const pointed = code.replace(IMPORT, (whole, how: string, name: string) => {
    if (!isVendored(name)) return whole;
    const to = relative(dirname(path), join(dist, 'vendor', `${name}.js`)).replaceAll(sep, '/');
    return `${how}'${to.startsWith('.') ? to : `./${to}`}'`;
  });
  if (pointed !== code) writeFileSync(path, pointed);
}

function filesBelow(folder: string, end: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith(end),
  );
}

/** Of the packages and of all that they depend on, as they have them. */
function licences(root: string, packages: ReadonlySet<string>): string {
  const found = new Set(packages);
  for (const name of found) {
    for (const other of Object.keys(manifestOf(root, name).dependencies ?? {})) found.add(other);
  }
  return [...found]
    .toSorted()
    .map((name) => {
      const { version, license } = manifestOf(root, name);
      const folder = join(root, 'node_modules', name);
      const file = readdirSync(folder).find((one) => /^licen[cs]e/i.test(one));
      const text = file === undefined ? '' : readFileSync(join(folder, file), 'utf8').trim();
      return `${name} ${version} (${license})\n\n${text}\n`;
    })
    .join(`\n${'-'.repeat(80)}\n\n`);
}

interface Manifest {
  readonly version: string;
  readonly license: string;
  readonly dependencies?: Readonly<Record<string, string>>;
}

function manifestOf(root: string, name: string): Manifest {
  const path = join(root, 'node_modules', name, 'package.json');
  if (!existsSync(path)) throw new Error(`${name} is not installed at the top`);
  return JSON.parse(readFileSync(path, 'utf8')) as Manifest;
}
