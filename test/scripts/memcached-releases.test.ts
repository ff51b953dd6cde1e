/** Getting the memcached of other releases, on machines that only pretend and cannot give them. */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { getMemcachedBuilds } from '../../scripts/memcached-releases.ts';

const SITE = 'echo "\'http://packages.test/debian/dists/bookworm/InRelease\' InRelease 0"';

let root: string;
let bin: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'toril-builds-'));
  bin = join(root, 'bin');
  mkdirSync(bin);
  vi.stubEnv('PATH', bin);
});

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(root, { recursive: true, force: true });
});

function command(name: string, script: string): void {
  writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
}

test('without apt-get there is what the machine has, and a reason for each other release', async () => {
  command('memcached', '[ "$1" = -Z ] && exit 64; echo memcached 1.6.18');
  const { builds, missing } = await getMemcachedBuilds(root);
  const can = { '-S': true, '-Y': true, '-Z': false };
  const binary = join(bin, 'memcached');
  expect(builds).toEqual([{ version: '1.6.18', binary, can, saslPasswords: undefined }]);
  expect(missing).toEqual([
    { release: 'trixie', reason: 'there is no apt-get here' },
    { release: 'sid', reason: 'there is no apt-get here' },
  ]);
});

test('packages that do not come are the reason, and nothing half-unpacked is left', async () => {
  const fails = 'echo "E: no route to packages.test" >&2; exit 100';
  command('apt-get', `case "$*" in *--print-uris) ${SITE};; *) ${fails};; esac`);
  const { builds, missing } = await getMemcachedBuilds(root);
  expect(builds).toEqual([]);
  expect(missing.map(({ release }) => release)).toEqual(['bookworm', 'trixie', 'sid']);
  for (const { release, reason } of missing) {
    expect(reason).toMatch(/no route to packages\.test|not their keys/);
    expect(existsSync(join(root, '.toril', 'memcached', release))).toBe(false);
    expect(existsSync(join(root, '.toril', 'memcached', `${release}.partial`))).toBe(false);
  }
});
