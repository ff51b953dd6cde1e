/** What a worker remembers of jobs and of Redis, whichever key they belong to. Forgetting it costs time, nothing else. */
import { Cancellations } from '../deliveries/cancellations.ts';
import { IsolatedStarts } from '../deliveries/isolated-starts.ts';
import { LeaseOverruns } from '../fold/lease-overruns.ts';
import { Faults } from './faults.ts';

export class WorkerMemory {
  readonly overruns: LeaseOverruns = new LeaseOverruns();
  readonly isolatedStarts: IsolatedStarts = new IsolatedStarts();
  readonly cancellations: Cancellations = new Cancellations();
  readonly dataSets: SeenDataSets = new SeenDataSets();
  readonly faults: Faults = new Faults();
}

/** The Redis data sets that a process has worked with. More than one: Redis was emptied or replaced under it. */
export class SeenDataSets {
  readonly #ids = new Set<string>();
  #last: string | undefined;

  /** The one before, if this is another one than the last time. */
  note(id: string): string | undefined {
    const before = this.#last;
    if (id === before) return undefined;
    this.#last = id;
    this.#ids.add(id);
    return before;
  }

  readonly has = (id: string): boolean => this.#ids.has(id);
}
