/** What `npm run explore` searches if nothing else is asked for: small ones first. */
import { type Configuration, FAULT_KINDS, NO_FAULTS } from './configuration.ts';
import type { Path } from './worker-plan.ts';

type Row = Partial<Configuration> & Pick<Configuration, 'path'>;

const PATHS: readonly Path[] = ['queue', 'strict', 'lease'];
const EVERY_KIND: Partial<Configuration> = {
  expiries: 1,
  renewals: 1,
  evictions: 1,
  restarts: 1,
  timeouts: 1,
  crashes: 1,
  refusals: 1,
};
const BY_CAS: Partial<Configuration> = { protocol: 'meta', locks: 'cas' };
const FOUR_KINDS: Partial<Configuration> = { expiries: 1, evictions: 1, restarts: 1, timeouts: 1 };

const ROWS: readonly Row[] = [
  ...PATHS.map((path): Row => ({ path, ...EVERY_KIND, faults: 1 })),
  ...PATHS.map((path): Row => ({ path, ...EVERY_KIND, faults: 1, cell: 'missing' })),
  { path: 'queue', ...EVERY_KIND, faults: 1, batch: 1 },
  { path: 'joint', workers: 1, jobs: 1, expiries: 1, renewals: 1 },
  { path: 'joint', workers: 1, jobs: 1, refusals: 1 },
  { path: 'joint' },
  { path: 'joint', endings: 'one', shared: 'last' },
  { path: 'lease', expiries: 1, timeouts: 1, clocks: 'step' },
  { path: 'strict', expiries: 1, clocks: 'step' },
  // Without faults, and with one: its two commands make three to ten times as many states.
  ...PATHS.map((path): Row => ({ path, protocol: 'meta' })),
  { path: 'queue', protocol: 'meta', ...EVERY_KIND, faults: 1 },
  ...PATHS.map((path): Row => ({ path, protocol: 'meta', expiries: 1 })),
  ...PATHS.map((path): Row => ({ path, protocol: 'meta', evictions: 1 })),
  ...PATHS.map((path): Row => ({ path, protocol: 'meta', refusals: 1 })),
  ...PATHS.map((path): Row => ({ path, protocol: 'meta', cell: 'missing', restarts: 1 })),
  { path: 'lease', protocol: 'meta', commits: 2 },
  { path: 'lease', protocol: 'meta', refusals: 1, clocks: 'step' },
  ...PATHS.map((path): Row => ({ path, ...BY_CAS })),
  { path: 'queue', ...BY_CAS, ...EVERY_KIND, faults: 1 },
  { path: 'queue', ...BY_CAS, cell: 'missing', expiries: 1, evictions: 1 },
  { path: 'strict', ...BY_CAS, expiries: 1 },
  { path: 'strict', ...BY_CAS, renewals: 1 },
  { path: 'strict', ...BY_CAS, evictions: 1 },
  { path: 'strict', ...BY_CAS, refusals: 1 },
  { path: 'strict', ...BY_CAS, cell: 'missing', restarts: 1 },
  { path: 'lease', ...BY_CAS, ...EVERY_KIND, faults: 1 },
  { path: 'lease', ...BY_CAS, commits: 2 },
  { path: 'lease', ...BY_CAS, expiries: 1, clocks: 'step' },
  ...PATHS.map((path): Row => ({ path, ...FOUR_KINDS, faults: 2 })),
  // As far as the time goes:
  { path: 'joint', workers: 1, jobs: 1, ...EVERY_KIND, faults: 1 },
  { path: 'joint', jobs: 1, pauses: 'all', endings: 'one', restarts: 1 },
  ...FAULT_KINDS.map((kind): Row => ({ path: 'joint', pauses: 'all', endings: 'one', [kind]: 1 })),
  { path: 'joint', shared: 'last' },
  ...PATHS.map((path): Row => ({ path, workers: 3, jobs: 3, expiries: 2 })),
  ...PATHS.map((path): Row => ({ path, ...FOUR_KINDS })),
];

export function rowsFor(path: Path | undefined): Configuration[] {
  return ROWS.filter((row) => path === undefined || row.path === path).map((row) => ({
    ...NO_FAULTS,
    ...row,
  }));
}
