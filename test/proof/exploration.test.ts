/**
 * Small searches of the protocol (docs/exploration.md) in every test run, and the worlds without a
 * guard in which the search must find a broken promise. For the large ones: `npm run explore`.
 */
import { describe, expect, test } from 'vitest';
import { CANARIES } from '../exploration/canaries.ts';
import { type Configuration, NO_FAULTS } from '../exploration/configuration.ts';
import { explore } from '../exploration/explore.ts';
import { failureText } from '../exploration/report.ts';

const SECONDS = 100;
const SMALL: readonly Partial<Configuration>[] = [
  { path: 'queue' },
  { path: 'queue', cell: 'missing' },
  { path: 'queue', batch: 1 },
  { path: 'strict' },
  { path: 'lease' },
  { path: 'lease', cell: 'missing' },
  { path: 'lease', commits: 2 }, // whoever writes again knows the CAS of its own last commit
  { path: 'queue', expiries: 1 },
  { path: 'queue', cell: 'missing', expiries: 1, evictions: 1 }, // where a stale cell comes to be
  { path: 'lease', expiries: 1 },
  { path: 'queue', protocol: 'meta' },
  { path: 'queue', protocol: 'meta', refusals: 1 }, // an `ms` without room deletes
  { path: 'lease', protocol: 'meta' },
  { path: 'queue', protocol: 'meta', locks: 'cas', expiries: 1 },
  { path: 'strict', protocol: 'meta', locks: 'cas' },
  { path: 'lease', protocol: 'meta', locks: 'cas' },
  { path: 'joint', workers: 1, jobs: 1, expiries: 1, renewals: 1 },
  { path: 'joint', endings: 'one' }, // two transactions over three keys
];

describe('no order of steps breaks a promise', () => {
  test.each(SMALL)('%o', { timeout: SECONDS * 1000 }, async (given) => {
    const configuration = { ...NO_FAULTS, path: 'queue', ...given } as const;
    const report = await explore({ configuration, canary: undefined, seconds: SECONDS });
    expect(failureText(report, undefined)).toBe('');
    expect(report).toMatchObject({ complete: true, cuts: 0 });
    // Orders there are in plenty, and whoever is first there is an end for it.
    expect(report.states).toBeGreaterThan(300);
    expect(report.ends).toBeGreaterThan(1);
  });
});

describe('the search sees', () => {
  const small = Object.keys(CANARIES).filter((name) => CANARIES[name]?.isLarge !== true);
  test.each(small)('%s', { timeout: SECONDS * 1000 }, async (canary) => {
    const configuration = { ...NO_FAULTS, ...CANARIES[canary]?.within } as Configuration;
    const report = await explore({ configuration, canary, seconds: SECONDS });
    expect(report.found).toBeDefined();
    expect(failureText(report, canary)).toContain(`--canary "${canary}"`);
  });
});
