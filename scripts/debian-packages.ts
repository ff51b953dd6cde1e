/**
 * Programs as other Debian releases have them: taken from where this machine's apt gets packages from, and unpacked with their libraries
 * into a folder of this checkout. Nothing is installed.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { findBinary } from '../src/cli/servers/server-programs.ts';
import { withLock } from './lock-directory.mjs';
import { SetupError, say } from './setup-error.mjs';

export interface Wanted {
  /** Of Debian: `trixie`. */
  readonly release: string;
  readonly packages: readonly string[];
  /** Without what they depend on. */
  readonly alone?: readonly string[];
  /** The commands that are needed of them. */
  readonly programs: readonly string[];
}

const KEYRINGS = ['gpg', 'pgp'].map((end) => `/usr/share/keyrings/debian-archive-keyring.${end}`);
/** Seconds that apt waits for a server which says nothing. */
const APT_PATIENCE_SECONDS = 20;

/** The programs are then in `folder`, unless they are there already. @throws SetupError */
export async function unpacked(wanted: Wanted, folder: string): Promise<void> {
  const waits = (): void => say(`another process is unpacking ${folder}: waiting for it`);
  await withLock(`${folder}.lock`, async () => existsSync(folder) || unpack(wanted, folder), waits);
}

function unpack({ release, packages, alone = [], programs }: Wanted, folder: string): void {
  const source = debianSource();
  say(`getting the ${programs[0]} of Debian's ${release}`);
  const partial = `${folder}.partial`;
  rmSync(partial, { recursive: true, force: true });
  mkdirSync(join(partial, 'lists', 'partial'), { recursive: true });
  mkdirSync(join(partial, 'archives', 'partial'), { recursive: true });
  mkdirSync(join(partial, 'root'));
  try {
    const options = aptOptions(partial, source, release);
    run('apt-get', [...options, 'update'], partial);
    const all = [...alone, ...withLibraries(packages, options)];
    run('apt-get', [...options, 'download', ...all], join(partial, 'archives'));
    for (const archive of inside(join(partial, 'archives'), /\.deb$/))
      run('dpkg-deb', ['-x', archive, join(partial, 'root')], partial);
    writeStarters(programs, partial, folder);
    for (const name of ['lists', 'archives']) rmSync(join(partial, name), { recursive: true });
    renameSync(partial, folder);
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}

export interface DebianSource {
  readonly address: string;
  /** A file of the keys that sign it. */
  readonly keyring: string;
}

/** Where this machine gets Debian's packages from. @throws SetupError */
export function debianSource(): DebianSource {
  if (findBinary('apt-get') === undefined) throw new SetupError('there is no apt-get here');
  const listed = run('apt-get', ['update', '--print-uris'], '/');
  const address = /^'(\S+)\/dists\/[a-z]+\/InRelease'/m.exec(listed)?.[1];
  const keyring = KEYRINGS.find(existsSync);
  if (address !== undefined && keyring !== undefined) return { address, keyring };
  throw new SetupError("apt-get knows no source of Debian's packages, or not their keys");
}

/** An apt of its own: it neither reads nor changes what this machine has or wants. */
function aptOptions(
  folder: string,
  { address, keyring }: DebianSource,
  release: string,
): readonly string[] {
  const list = join(folder, 'sources.list');
  writeFileSync(list, `deb [signed-by=${keyring}] ${address} ${release} main\n`);
  const settings = {
    'Dir::Etc::sourcelist': list,
    'Dir::Etc::sourceparts': '-',
    'Dir::Etc::preferences': '-',
    'Dir::Etc::preferencesparts': '-',
    'Dir::State::lists': join(folder, 'lists'),
    'Dir::State::status': '/dev/null',
    'Dir::Cache': folder,
    'Acquire::Languages': 'none',
    'Acquire::Retries': '0',
    'Acquire::http::Timeout': String(APT_PATIENCE_SECONDS),
    'Acquire::https::Timeout': String(APT_PATIENCE_SECONDS),
    'APT::Sandbox::User': 'root',
    'APT::Update::Error-Mode': 'any',
  };
  return Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
}

/** And the libraries that they need, and those that these need. */
function withLibraries(packages: readonly string[], options: readonly string[]): string[] {
  const found = new Set<string>();
  for (let next = [...packages]; next.length > 0; ) {
    for (const name of next) found.add(name);
    const records = run('apt-cache', [...options, 'show', '--no-all-versions', ...next], '/');
    const depends = [...records.matchAll(/^Depends: (.*)$/gm)].map(([, names]) => names ?? '');
    const libraries = depends.join(', ').matchAll(/(?:^|, )(lib[^\s,:]+)/g);
    next = [...new Set([...libraries].map(([, name]) => name ?? ''))].filter((n) => !found.has(n));
  }
  return [...found];
}

/** Scripts that run the programs with their own libraries, the C library among them. */
function writeStarters(programs: readonly string[], partial: string, folder: string): void {
  const loader = inside(partial, /\/root\/(usr\/)?lib\/[^/]+\/ld-linux[^/]*\.so\.\d+$/)[0];
  if (loader === undefined) throw new SetupError('its C library has no loader');
  const libraries = inside(partial, /\/root\/(usr\/)?lib\/[^/]+-linux-[^/]+$/);
  const plugins = inside(partial, /\/root\/usr\/lib\/[^/]+\/sasl2$/);
  const names = new RegExp(`bin/(${programs.join('|')})$`);
  for (const program of inside(partial, names)) {
    const script = [
      '#!/bin/sh',
      `export SASL_PATH='${plugins.join(':')}'`,
      `exec '${loader}' --library-path '${libraries.join(':')}' '${program}' "$@"`,
      '',
    ].join('\n');
    const there = script.replaceAll(partial, folder);
    writeFileSync(join(partial, basename(program)), there, { mode: 0o755 });
  }
}

/** The paths below a folder that match. */
function inside(folder: string, pattern: RegExp): readonly string[] {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return names.map((name) => join(folder, name)).filter((path) => pattern.test(path));
}

function run(program: string, args: readonly string[], cwd: string): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { cwd, encoding: 'utf8' });
  if (status === 0) return stdout;
  const last = (stderr ?? '').trim().split('\n').at(-1);
  throw new SetupError(`${program} failed: ${error?.message ?? last}`);
}
