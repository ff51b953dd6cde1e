/** The memcached that this machine has, and those of other releases. Only tests in test/conformance have them. */
import { describe, inject, test } from 'vitest';
import type { FoundBuilds, MemcachedBuild } from '../../scripts/memcached-releases.ts';

export type { MemcachedBuild };

declare module 'vitest' {
  interface ProvidedContext {
    memcachedBuilds: FoundBuilds;
  }
}

/** The tests once for each memcached, named by its version; those that cannot be had are skipped, with the reason. */
export function describeBuilds(title: string, tests: (build: MemcachedBuild) => void): void {
  const { builds, missing } = inject('memcachedBuilds');
  for (const build of builds) describe(`${title} ${build.version}`, () => tests(build));
  for (const { release, reason } of missing)
    test.skip(`${title} of Debian's ${release}: ${reason}`);
}

/** A writer may choose the CAS of an item: from 1.6.27 on. */
export function knowsE({ version }: MemcachedBuild): boolean {
  return Number(version.split('.')[2]) >= 27;
}
