/**
 * memcached as several Debian releases have it, for tests that want more than the one of this machine. What
 * the machine has is used; the others are unpacked into a folder of this checkout. Remove that folder to get newer ones.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { findBinary, MEMCACHED_PROGRAM } from '../src/cli/servers/server-programs.ts';
import { unpacked } from './debian-packages.ts';
import { SetupError, say } from './setup-error.mjs';

export interface MemcachedBuild {
  readonly version: string;
  readonly binary: string;
  /** Whether it was built with what these flags need. */
  readonly can: Readonly<Record<'-S' | '-Y' | '-Z', boolean>>;
  /** `saslpasswd2`, which makes the users of a server with `-S`; undefined on most machines. */
  readonly saslPasswords: string | undefined;
}

export interface FoundBuilds {
  /** The machine's own first. */
  readonly builds: readonly MemcachedBuild[];
  /** Releases of which nothing could be had. */
  readonly missing: readonly { readonly release: string; readonly reason: string }[];
}

/** `version`: of the release that keeps it for good; without: the newest there is. */
const RELEASES: readonly { readonly release: string; readonly version?: string }[] = [
  { release: 'bookworm', version: '1.6.18' },
  { release: 'trixie', version: '1.6.38' },
  { release: 'sid' },
];

/** Does not fail for want of a release: it is among the missing then, and that is said. */
export async function getMemcachedBuilds(root: string): Promise<FoundBuilds> {
  const own = findBinary(MEMCACHED_PROGRAM.command);
  const builds = own === undefined ? [] : [buildOf(own, findBinary('saslpasswd2'))];
  const missing: FoundBuilds['missing'][number][] = [];
  for (const { release, version } of RELEASES) {
    if (version !== undefined && builds.some((build) => build.version === version)) continue;
    try {
      builds.push(await unpackedBuild(release, join(root, '.toril', 'memcached', release)));
    } catch (error) {
      if (!(error instanceof SetupError)) throw error;
      say(`no memcached of Debian's ${release}, whose tests are skipped: ${error.message}`);
      missing.push({ release, reason: error.message });
    }
  }
  return { builds, missing };
}

function buildOf(binary: string, saslPasswords: string | undefined): MemcachedBuild {
  const asked = (...flags: string[]) => spawnSync(binary, [...flags, '-V'], { encoding: 'utf8' });
  const version = /^memcached (\S+)/m.exec(asked().stdout ?? '')?.[1];
  if (version === undefined) throw new SetupError(`${binary} does not run here`);
  // A flag that it was built without ends it before it has told its version.
  const can = (...flags: string[]): boolean => asked(...flags).status === 0;
  const flags = { '-S': can('-S'), '-Y': can('-Y', '/none'), '-Z': can('-Z') };
  return { version, binary, can: flags, saslPasswords };
}

async function unpackedBuild(release: string, folder: string): Promise<MemcachedBuild> {
  const packages = ['memcached', 'libsasl2-modules'];
  const programs = ['memcached', 'saslpasswd2'];
  await unpacked({ release, packages, alone: ['sasl2-bin'], programs }, folder);
  return buildOf(join(folder, 'memcached'), join(folder, 'saslpasswd2'));
}
