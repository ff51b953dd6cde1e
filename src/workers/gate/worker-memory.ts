/** What a worker remembers of jobs and of Redis, whichever key they belong to. Forgetting it costs time, nothing else. */
import { ForgetfulMap } from '../../base/forgetful-map.ts';
import { Cancellations } from '../deliveries/cancellations.ts';
import { IsolatedStarts } from '../deliveries/isolated-starts.ts';
import { LeaseOverruns } from '../fold/lease-overruns.ts';
import { Faults } from './faults.ts';
import { Pace } from './pace.ts';

/** Transactions that are remembered to wait; one that is forgotten starts its wait over. */
const BLOCKED_MAX = 10_000;

export class WorkerMemory {
  readonly overruns: LeaseOverruns = new LeaseOverruns();
  readonly isolatedStarts: IsolatedStarts = new IsolatedStarts();
  readonly cancellations: Cancellations = new Cancellations();
  readonly dataSets: SeenDataSets = new SeenDataSets();
  readonly faults: Faults = new Faults();
  /** Keys of which a run of transactions is being driven in this process, and by whom. */
  readonly driven: Map<string, object> = new Map();
  /** Of the transactions of all keys together. */
  readonly runPace: Pace = new Pace();
  /** Since when transactions wait at the head of a lane for another lane: monotonic milliseconds, by job id and sequence. */
  readonly blockedSince: ForgetfulMap<string, number> = new ForgetfulMap(BLOCKED_MAX);
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
