/** Installs the dependencies, unless exactly those of package-lock.json are there already. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, lstatSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { withLock } from './lock-directory.mjs';
import { SetupError, say } from './setup-error.mjs';

/** What package.json says under "engines"; told here as well, before anything newer is run. */
const NODE_MIN = [20, 19];

/** @param {string} root the folder of package.json */
export async function installDependencies(root) {
  checkNodeVersion(process.versions.node);
  if (isInstalled(root)) return;
  refuseLink(root);
  const waits = () => say('another process is installing the dependencies: waiting for it');
  await withLock(
    join(root, '.toril', 'install.lock'),
    async () => {
      if (isInstalled(root)) return;
      say('installing the dependencies');
      await npmInstall(root);
    },
    waits,
  );
}

/** @param {string} version */
function checkNodeVersion(version) {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [minMajor = 0, minMinor = 0] = NODE_MIN;
  if (major > minMajor || (major === minMajor && minor >= minMinor)) return;
  throw new SetupError(
    `this is Node ${version}, and Toril needs Node ${NODE_MIN.join('.')} or newer.`,
  );
}

/**
 * Several trees that share one node_modules by links: installing for one of them would replace what all of them use.
 * @param {string} root
 */
function refuseLink(root) {
  const modules = join(root, 'node_modules');
  if (lstatSync(modules, { throwIfNoEntry: false })?.isSymbolicLink() !== true) return;
  throw new SetupError(
    `node_modules is a link (to ${readlinkSync(modules)}), and is not what package-lock.json says. Install the dependencies in the tree that it belongs to, or remove the link.`,
  );
}

/** @typedef {{ version?: string, integrity?: string, optional?: boolean, devOptional?: boolean }} LockedPackage */
/** @typedef {Record<string, LockedPackage>} LockedPackages by folder, the root's own under '' */

/**
 * npm keeps its own account of what it has installed, however that was done, in a lock file inside
 * node_modules, which it writes last: an interrupted installation has none or an older one.
 * @param {string} root
 */
function isInstalled(root) {
  const account = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(account)) return false;
  return matches(readPackages(join(root, 'package-lock.json')), readPackages(account));
}

/**
 * Optional packages may be absent (they are for other platforms), but not in another version.
 * @param {LockedPackages} wanted
 * @param {LockedPackages} installed
 */
function matches(wanted, installed) {
  return Object.entries(wanted).every(([folder, locked]) => {
    if (folder === '') return true;
    const found = installed[folder];
    if (found === undefined) return locked.optional === true || locked.devOptional === true;
    return found.version === locked.version && found.integrity === locked.integrity;
  });
}

/** @param {string} path @returns {LockedPackages} */
function readPackages(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8')).packages ?? {};
  } catch (error) {
    throw new SetupError(`cannot read ${path}: ${String(error)}`);
  }
}

/**
 * Not `npm ci`: that insists on an entry in package-lock.json for the optional packages of every
 * platform, and a registry that does not carry them all (a mirror) gives a lock file without.
 * `--no-save` keeps the lock file as it is; whatever is in it is installed exactly so.
 * @param {string} root
 */
async function npmInstall(root) {
  // Under `npm run`, the very npm that runs us, which need not be the one on the PATH.
  const npm = process.env['npm_execpath'] ?? '';
  const [command, first] = /npm-cli\.c?js$/.test(npm) ? [process.execPath, [npm]] : ['npm', []];
  const words = ['install', '--no-save', '--include=dev', '--no-audit', '--no-fund'];
  // Its output goes to stderr: stdout belongs to the command that is run afterwards.
  const child = spawn(command, [...first, ...words, '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
  });
  const [code] = await once(child, 'exit').catch((error) => {
    throw new SetupError(`npm cannot be run: ${error.message}`);
  });
  if (code !== 0) {
    throw new SetupError('the dependencies cannot be installed: see what npm says above.');
  }
}
