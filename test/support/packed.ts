/** What npm would publish of this tree, and projects that have installed just that. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stage } from '../../scripts/package/stage.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

interface PackedFile {
  readonly path: string;
  readonly size: number;
}

export interface Packed {
  /** Below the root, so that the packages that Toril depends on are found. */
  readonly folder: string;
  readonly tarball: string;
  /** Bytes. */
  readonly size: number;
  readonly unpackedSize: number;
  readonly files: readonly PackedFile[];
  remove(): void;
}

/** Compiles, finishes and packs a copy, whose files are then in `node_modules/toril` of the folder. */
export async function packed(): Promise<Packed> {
  mkdirSync(join(ROOT, '.toril'), { recursive: true });
  const folder = mkdtempSync(join(ROOT, '.toril', 'packed-'));
  // Without a manifest of its own it is a part of this tree, in which `toril` means `dist`, if that is there.
  writeFileSync(join(folder, 'package.json'), '{ "private": true }\n');
  const copy = join(folder, 'copy');
  await stage(ROOT, copy);

  const pack = ['pack', '--json', '--ignore-scripts', '--pack-destination', folder];
  const told = execFileSync('npm', pack, { cwd: copy, stdio: ['ignore', 'pipe', 'pipe'] });
  const [facts] = JSON.parse(String(told)) as [Packed & { filename: string }];
  const tarball = join(folder, facts.filename);
  const installed = join(folder, 'node_modules', 'toril');
  mkdirSync(installed, { recursive: true });
  execFileSync('tar', ['-xzf', tarball, '-C', installed, '--strip-components=1']);
  rmSync(copy, { recursive: true });
  const { size, unpackedSize, files } = facts;
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  return { folder, tarball, size, unpackedSize, files, remove };
}

export function textOf({ folder }: Packed, path: string): string {
  return readFileSync(join(folder, 'node_modules', 'toril', path), 'utf8');
}
