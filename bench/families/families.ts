/** The parts of the bench, in the order in which they run. */
import type { Bench } from '../bench.ts';
import type { Row } from '../row.ts';
import { document } from './document.ts';
import { enqueue } from './enqueue.ts';
import { gate, protocols, strict } from './gate.ts';
import { growth } from './growth.ts';
import { history } from './history.ts';
import { isolation } from './isolation.ts';
import { latency } from './latency.ts';
import { matrix } from './matrix.ts';
import { memory } from './memory.ts';
import { replay } from './replay.ts';
import { scaling } from './scaling.ts';
import { traces } from './traces.ts';

export interface Family {
  readonly title: string;
  /** Takes long, or asks about something special: only with --all or by name. */
  readonly onlyWhenAsked?: true;
  /** Has figures that the project wants to reach. */
  readonly isScored?: true;
  readonly measure: (bench: Bench) => Promise<Row[]>;
}

const FAMILIES = {
  gate: { title: 'One process, concurrency 64', isScored: true, measure: gate },
  strict: { title: 'Strict updates', isScored: true, measure: strict },
  protocols: { title: "memcached's protocols", onlyWhenAsked: true, measure: protocols },
  enqueue: { title: 'Bulk enqueue', isScored: true, measure: enqueue },
  scaling: { title: 'More processes', onlyWhenAsked: true, isScored: true, measure: scaling },
  memory: { title: 'Redis memory', measure: memory },
  history: { title: 'What history costs', measure: history },
  replay: { title: 'Replaying a recording', isScored: true, measure: replay },
  matrix: { title: 'All systems', isScored: true, measure: matrix },
  traces: { title: 'Recorded editing', onlyWhenAsked: true, isScored: true, measure: traces },
  latency: { title: 'Latency at half load', onlyWhenAsked: true, measure: latency },
  isolation: {
    title: 'Cold keys beside a flood',
    onlyWhenAsked: true,
    isScored: true,
    measure: isolation,
  },
  growth: { title: 'Growth', onlyWhenAsked: true, isScored: true, measure: growth },
  document: { title: 'A large value', onlyWhenAsked: true, measure: document },
} as const satisfies Record<string, Family>;

export type FamilyName = keyof typeof FAMILIES;

export const FAMILY_NAMES = Object.keys(FAMILIES) as readonly FamilyName[];

export function familyOf(name: FamilyName): Family {
  return FAMILIES[name];
}
