/** A worker's events that are metrics. */
import { queueAttributes } from './attributes.ts';
import type { Attributes, ObservedName, Reading } from './metrics.ts';

interface Counted {
  readonly metric: ObservedName;
  readonly attributes?: Attributes;
}

/** By the event's name and, where it has one, what was found. */
const COUNTED: Readonly<Record<string, Counted>> = {
  leaseTakenOver: { metric: 'toril.lease.takeovers' },
  leaseLost: { metric: 'toril.lease.losses' },
  commitRefused: {
    metric: 'toril.commits.refused',
    attributes: { 'toril.refused_by': 'memcached' },
  },
  acknowledgementRefused: {
    metric: 'toril.commits.refused',
    attributes: { 'toril.refused_by': 'redis' },
  },
  commitRecovered: { metric: 'toril.commits.recovered' },
  'cellRestored missing': {
    metric: 'toril.cells.restored',
    attributes: { 'toril.found': 'missing' },
  },
  'cellRestored stale': { metric: 'toril.cells.restored', attributes: { 'toril.found': 'stale' } },
  cellLost: { metric: 'toril.cells.lost' },
  jobSnoozed: { metric: 'toril.jobs.snoozed' },
};

export class CountedEvents {
  readonly #times = new Map<string, number>(Object.keys(COUNTED).map((name) => [name, 0]));
  /** On the way of every job, so it is no entry of a map. */
  #commits = 0;
  #applied = 0;

  note(name: string, facts: object): void {
    if (name === 'committed') {
      this.#commits++;
      this.#applied += (facts as { jobs: number }).jobs;
      return;
    }
    const { found } = facts as { found?: string };
    const counted = found === undefined ? name : `${name} ${found}`;
    const times = this.#times.get(counted);
    if (times !== undefined) this.#times.set(counted, times + 1);
  }

  /** From the beginning, also of what has not happened yet: a rate needs a first value. */
  readings(queue: string): Reading[] {
    const common = queueAttributes(queue);
    const readings = Array.from(this.#times, ([name, value]): Reading => {
      const { metric, attributes } = COUNTED[name] as Counted;
      return { metric, attributes: { ...common, ...attributes }, value };
    });
    return [
      ...readings,
      { metric: 'toril.commits', attributes: common, value: this.#commits },
      { metric: 'toril.jobs.applied', attributes: common, value: this.#applied },
    ];
  }
}
