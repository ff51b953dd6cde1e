/** Runs once before the tests of a project that tries several memcached: says which there are. */
import { fileURLToPath } from 'node:url';
import type { TestProject } from 'vitest/node';
import { getMemcachedBuilds } from '../../scripts/memcached-releases.ts';

export default async function setup(project: TestProject): Promise<void> {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  project.provide('memcachedBuilds', await getMemcachedBuilds(root));
}
