/**
 * Installs Redis and memcached where their binaries are missing: Debian's packages or Homebrew's.
 * Only the binaries are wanted. No service is started, stopped or used.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findBinary } from './binaries.mjs';
import { withLock } from './lock-directory.mjs';
import { say } from './setup-error.mjs';

/** @typedef {import('./server-kinds.mjs').ServerKind} ServerKind */
/** @typedef {string[]} Command the program and its arguments */

/**
 * @typedef {object} Plan
 * @property {string} manager
 * @property {Command[]} before may fail: the package lists may be good enough as they are
 * @property {Command} install
 * @property {Command[]} after runs in any case
 */

/**
 * @typedef {object} Machine
 * @property {(command: string) => boolean} has
 * @property {boolean} isRoot
 * @property {() => boolean} sudoWithoutPassword
 * @property {boolean} runsSystemd
 */

/** Waits for another package manager's run instead of failing at once. */
const APT_WAITS = ['-o', 'DPkg::Lock::Timeout=300'];

/**
 * What to run on such a machine, if anything can be done there.
 * @param {readonly ServerKind[]} missing
 * @param {Machine} machine
 * @returns {Plan | undefined}
 */
function planInstallation(missing, machine) {
  if (machine.has('apt-get')) {
    const prefix = debianPrefix(machine);
    if (prefix !== undefined) return debianPlan(missing, prefix, machine.runsSystemd);
  }
  if (machine.has('brew') && !machine.isRoot) {
    const install = ['brew', 'install', '--quiet', ...missing.map((kind) => kind.brewPackage)];
    return { manager: 'Homebrew', before: [], install, after: [] };
  }
  return undefined;
}

/** @param {Machine} machine @returns {string[] | undefined} */
function debianPrefix(machine) {
  if (machine.isRoot) return [];
  return machine.has('sudo') && machine.sudoWithoutPassword() ? ['sudo', '-n'] : undefined;
}

/**
 * Debian's packages start their service when they are installed. Without systemd, runlevel 1 keeps
 * them from it; with systemd, a mask does, which is taken off again afterwards.
 * @param {readonly ServerKind[]} missing
 * @param {string[]} prefix
 * @param {boolean} runsSystemd
 * @returns {Plan}
 */
function debianPlan(missing, prefix, runsSystemd) {
  const packages = missing.map((kind) => kind.debianPackage);
  const units = packages.map((name) => `${name}.service`);
  const aptGet = [...prefix, 'env', 'DEBIAN_FRONTEND=noninteractive', 'RUNLEVEL=1', 'apt-get'];
  /** @param {string} verb */
  const mask = (verb) =>
    runsSystemd ? [[...prefix, 'systemctl', verb, '--runtime', '--quiet', ...units]] : [];
  return {
    manager: 'apt-get',
    before: [[...aptGet, ...APT_WAITS, '-qq', 'update'], ...mask('mask')],
    install: [
      ...[...aptGet, ...APT_WAITS, '-qq', 'install', '-y', '--no-install-recommends'],
      ...packages,
    ],
    after: mask('unmask'),
  };
}

/**
 * @param {readonly ServerKind[]} missing
 * @returns {Promise<void>} whether it helped is for the caller to see: are the binaries there now?
 */
export async function installServers(missing) {
  if (planInstallation(missing, thisMachine) === undefined) return;
  // One at a time on the whole machine, not only in this checkout.
  const lock = join(tmpdir(), `toril-packages-${process.getuid?.() ?? 'user'}.lock`);
  const waits = () => say('another process is installing Redis and memcached: waiting for it');
  await withLock(
    lock,
    async () => {
      const left = missing.filter((kind) => findBinary(kind.binary) === undefined);
      const plan = left.length === 0 ? undefined : planInstallation(left, thisMachine);
      if (plan !== undefined) carryOut(plan, left);
    },
    waits,
  );
}

/** @param {Plan} plan @param {readonly ServerKind[]} missing */
function carryOut(plan, missing) {
  const names = missing.map((kind) => kind.name).join(' and ');
  say(`installing ${names} with ${plan.manager}`);
  try {
    plan.before.forEach(run);
    if (!run(plan.install)) say(`${plan.manager} could not install ${names}`);
  } finally {
    plan.after.forEach(run);
  }
}

/** @param {Command} command */
function run([program = '', ...args]) {
  return spawnSync(program, args, { stdio: ['ignore', 2, 2] }).status === 0;
}

/** @type {Machine} */
const thisMachine = {
  has: (command) => findBinary(command) !== undefined,
  isRoot: process.getuid?.() === 0,
  sudoWithoutPassword: () => spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status === 0,
  runsSystemd: existsSync('/run/systemd/system'),
};
