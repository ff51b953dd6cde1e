/** A copy of the tree, as far as the proofs need it, in which one twin after the other is planted. */
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Edit, Twin } from './twin.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const COPIED = [
  ...['src', 'test', 'bench', 'examples', 'scripts', 'site', 'docs', 'deploy'],
  ...['package.json', 'tsconfig.json', 'vitest.config.ts', 'README.md', 'CHANGELOG.md'],
];

const MODULES = ['node_modules', 'bench/node_modules', 'site/node_modules'];

export interface Tree {
  readonly folder: string;
  /** Makes a twin's edits. Returns what takes them back. */
  plant(twin: Pick<Twin, 'name' | 'edits'>): () => void;
  remove(): void;
}

export function copiedTree(): Tree {
  const folder = mkdtempSync(join(tmpdir(), 'toril-twins-'));
  chmodSync(folder, 0o755); // memcached runs as nobody, and reads its users' passwords in it
  const filter = (path: string): boolean => !path.endsWith('node_modules');
  for (const path of COPIED)
    cpSync(join(ROOT, path), join(folder, path), { recursive: true, filter });
  for (const modules of MODULES)
    if (existsSync(join(ROOT, modules)))
      symlinkSync(join(ROOT, modules), join(folder, modules), 'dir');
  return {
    folder,
    plant: (twin) => planted(folder, twin),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

function planted(folder: string, { name, edits }: Pick<Twin, 'name' | 'edits'>): () => void {
  const before = new Map<string, string>();
  for (const edit of edits) {
    const path = join(folder, edit.file);
    const source = readFileSync(path, 'utf8');
    if (!before.has(path)) before.set(path, source);
    writeFileSync(path, edited(source, edit, name));
  }
  return () => before.forEach((source, path) => writeFileSync(path, source));
}

/** Throws if an edit does not fit the sources any more. */
export function checkEdits({ name, edits }: Twin): void {
  const sources = new Map<string, string>();
  for (const edit of edits) {
    const source = sources.get(edit.file) ?? readFileSync(join(ROOT, edit.file), 'utf8');
    sources.set(edit.file, edited(source, edit, name));
  }
}

function edited(source: string, { file, find, replace }: Edit, name: string): string {
  const parts = source.split(find);
  if (parts.length === 2) return parts.join(replace);
  throw new Error(
    `twin "${name}": ${file} has ${parts.length - 1} places that read as follows, not one. Adapt the twin to the guard as it is now.\n${find}`,
  );
}
