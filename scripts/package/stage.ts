/** The folder that npm publishes: compiled and finished, with a manifest that says what users need and no more. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { finishDist } from './finish-dist.ts';

/** What is there for those who work on Toril. */
const NOT_FOR_USERS = ['devDependencies', 'scripts', 'workspaces'];
const BESIDE_DIST = ['README.md', 'LICENSE', 'CHANGELOG.md', 'docs'];

export interface Manifest {
  readonly name: string;
  readonly version: string;
}

/**
 * @param root the folder of package.json
 * @param folder is replaced
 * @param more fields of the manifest
 * @throws if `src` does not compile
 */
export async function stage(root: string, folder: string, more: object = {}): Promise<Manifest> {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const name of BESIDE_DIST) cpSync(join(root, name), join(folder, name), { recursive: true });
  const all = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest;
  const kept = Object.entries(all).filter(([field]) => !NOT_FOR_USERS.includes(field));
  const manifest = { ...(Object.fromEntries(kept) as unknown as Manifest), ...more };
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifest, undefined, 2)}\n`);

  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const dist = join(folder, 'dist');
  const output = ['--outDir', dist, '--tsBuildInfoFile', `${folder}.tsbuildinfo`];
  const args = [tsc, '-p', join(root, 'tsconfig.build.json'), ...output];
  const { status, stdout } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  rmSync(`${folder}.tsbuildinfo`, { force: true });
  if (status !== 0) throw new Error(`src does not compile:\n${stdout}`);
  await finishDist(root, dist);
  return manifest;
}
