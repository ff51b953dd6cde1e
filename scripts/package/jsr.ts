/** The folder that JSR publishes: the sources of what an application imports, with the packages that they ask npm for. */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

interface Manifest {
  readonly version: string;
  readonly license: string;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

const ENTRIES = { '.': 'index', './cells': 'cells', './testing': 'testing' } as const;
/** What runs commands or wires frameworks is npm's. */
const LEFT_OUT = ['src/cli', 'src/nestjs', 'src/nestjs.ts', 'src/ui', 'src/ui.ts'];
/** Bundled for npm, or an optional peer there. */
const IMPORTED_BESIDES = ['diff', '@opentelemetry/api', 'fast-check'];

/**
 * What publishes it, run in the folder. The types of a class that extends one of BullMQ's cannot be told without its sources, which JSR
 * calls slow.
 */
export const PUBLISH = [
  '--yes',
  'deno@2',
  'publish',
  '--allow-dirty',
  '--allow-slow-types',
] as const;

/** @param name with its scope: `@scope/toril`; @param folder is replaced */
export function stageForJsr(root: string, folder: string, name: string): void {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const one of ['src', 'README.md', 'LICENSE'])
    cpSync(join(root, one), join(folder, one), { recursive: true });
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest;
  const { version, license, dependencies, devDependencies } = manifest;
  const besides = IMPORTED_BESIDES.map((one) => [one, devDependencies[one]]);
  const wanted = [...Object.entries(dependencies), ...besides];
  const jsr = {
    ...{ name, version, license },
    exports: Object.fromEntries(
      Object.entries(ENTRIES).map(([entry, file]) => [entry, `./src/${file}.ts`]),
    ),
    imports: Object.fromEntries(wanted.map(([one, range]) => [one, `npm:${one}@${range}`])),
    publish: { include: ['src/**/*.ts', 'README.md', 'LICENSE', 'jsr.json'], exclude: LEFT_OUT },
  };
  writeFileSync(join(folder, 'jsr.json'), JSON.stringify(jsr, undefined, 2));
}
