/** What `npm run explore` searches if nothing else is asked for. */
import { type Configuration, NO_FAULTS } from './configuration.ts';

type Row = Partial<Configuration> & Pick<Configuration, 'path'>;

/** One of each kind. */
const ALL: Partial<Configuration> = { expiries: 1, evictions: 1, restarts: 1, timeouts: 1 };

const ROWS: readonly Row[] = [
  ...(['queue', 'strict', 'lease'] as const).flatMap((path): Row[] => [
    { path, ...ALL, faults: 1 },
    { path, ...ALL, cell: 'missing', faults: 1 },
  ]),
  { path: 'lease', expiries: 1, clocks: 'step' },
  ...(['queue', 'strict', 'lease'] as const).map((path): Row => ({ path, ...ALL, faults: 2 })),
];

export function rowsFor(path: Configuration['path'] | undefined): Configuration[] {
  return ROWS.filter((row) => path === undefined || row.path === path).map((row) => ({
    ...NO_FAULTS,
    ...row,
  }));
}
