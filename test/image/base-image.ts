/**
 * What the Dockerfile begins with, where nothing can be pulled: Debian by debootstrap from where apt gets its packages, with Node and npm
 * as the npm registry has them. Not the image of Docker's library, but of the same release, layout and user.
 */
import { copyFileSync, cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { debianSource } from '../../scripts/debian-packages.ts';
import { command, follow } from './command.ts';

const DEBIAN = 'bookworm';
/** The one that comes with Node 22. */
const NPM = 'npm@10';

/** Fills an empty folder, which needs root. @param nodeMajor `22` */
export function fillWithBase(folder: string, nodeMajor: string): void {
  const { address, keyring } = debianSource();
  const debootstrap = ['--variant=minbase', `--keyring=${keyring}`, DEBIAN, folder, address];
  follow('debootstrap', debootstrap);
  command('chroot', [folder, 'useradd', '--create-home', '--uid', '1000', 'node']);
  const local = join(folder, 'usr', 'local');
  const node = `node-${process.platform}-${process.arch}`;
  const got = mkdtempSync(join(tmpdir(), 'toril-base-'));
  try {
    const quiet = ['--no-save', '--no-audit', '--no-fund', '--ignore-scripts'];
    command('npm', ['install', '--prefix', got, ...quiet, `${node}@${nodeMajor}`, NPM]);
    copyFileSync(join(got, 'node_modules', node, 'bin', 'node'), join(local, 'bin', 'node'));
    const npm = join(local, 'lib', 'node_modules', 'npm');
    cpSync(join(got, 'node_modules', 'npm'), npm, { recursive: true });
  } finally {
    rmSync(got, { recursive: true, force: true });
  }
  for (const name of ['npm', 'npx'])
    symlinkSync(`../lib/node_modules/npm/bin/${name}-cli.js`, join(local, 'bin', name));
}
