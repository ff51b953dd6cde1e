/**
 * Installs Redis and memcached where their binaries are missing: Debian's packages or Homebrew's.
 * Only the binaries are wanted. No service is started, stopped or used.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findBinary } from '../src/cli/servers/server-programs.ts';
import { withLock } from './lock-directory.mjs';
import type { ServerKind } from './server-kinds.ts';
import { say } from './setup-error.mjs';

/** The program and its arguments. */
type Command = readonly string[];

interface Plan {
  readonly manager: string;
  /** May fail: the package lists may be good enough as they are. */
  readonly before: readonly Command[];
  readonly install: Command;
  /** Runs in any case. */
  readonly after: readonly Command[];
}

interface Machine {
  has(command: string): boolean;
  readonly isRoot: boolean;
  sudoWithoutPassword(): boolean;
  readonly runsSystemd: boolean;
}

/** Waits for another package manager's run instead of failing at once. */
const APT_WAITS = ['-o', 'DPkg::Lock::Timeout=300'];

/** What to run on such a machine, if anything can be done there. */
function planInstallation(missing: readonly ServerKind[], machine: Machine): Plan | undefined {
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

function debianPrefix(machine: Machine): string[] | undefined {
  if (machine.isRoot) return [];
  return machine.has('sudo') && machine.sudoWithoutPassword() ? ['sudo', '-n'] : undefined;
}

/**
 * Debian's packages start their service when they are installed. Without systemd, runlevel 1 keeps
 * them from it; with systemd, a mask does, which is taken off again afterwards.
 */
function debianPlan(
  missing: readonly ServerKind[],
  prefix: readonly string[],
  runsSystemd: boolean,
): Plan {
  const packages = missing.map((kind) => kind.debianPackage);
  const units = packages.map((name) => `${name}.service`);
  const aptGet = [...prefix, 'env', 'DEBIAN_FRONTEND=noninteractive', 'RUNLEVEL=1', 'apt-get'];
  const mask = (verb: string): Command[] =>
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

/** Whether it helped is for the caller to see: are the binaries there now? */
export async function installServers(missing: readonly ServerKind[]): Promise<void> {
  if (planInstallation(missing, thisMachine) === undefined) return;
  // One at a time on the whole machine, not only in this checkout.
  const lock = join(tmpdir(), `toril-packages-${process.getuid?.() ?? 'user'}.lock`);
  const waits = (): void =>
    say('another process is installing Redis and memcached: waiting for it');
  await withLock(
    lock,
    async () => {
      const left = missing.filter((kind) => findBinary(kind.program.command) === undefined);
      const plan = left.length === 0 ? undefined : planInstallation(left, thisMachine);
      if (plan !== undefined) carryOut(plan, left);
    },
    waits,
  );
}

function carryOut(plan: Plan, missing: readonly ServerKind[]): void {
  const names = missing.map((kind) => kind.program.name).join(' and ');
  say(`installing ${names} with ${plan.manager}`);
  try {
    plan.before.forEach(run);
    if (!run(plan.install)) say(`${plan.manager} could not install ${names}`);
  } finally {
    plan.after.forEach(run);
  }
}

function run([program = '', ...args]: Command): boolean {
  return spawnSync(program, args, { stdio: ['ignore', 2, 2] }).status === 0;
}

const thisMachine: Machine = {
  has: (command) => findBinary(command) !== undefined,
  isRoot: process.getuid?.() === 0,
  sudoWithoutPassword: () => spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status === 0,
  runsSystemd: existsSync('/run/systemd/system'),
};
