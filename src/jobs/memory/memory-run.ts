/** The run that begins at a lane whose first job has several keys: what scripts/joint/head.ts does, and why. */
import { TRANSACTION_KEYS_MAX } from '../../updates/transaction.ts';
import {
  COPIES_BYTES_MAX,
  IN_HAND_MS,
  JOINT_RUN_KEYS_MAX,
  SMALL_RUN_JOBS,
} from '../joint-lanes.ts';
import type { TakeRequest } from '../lanes.ts';
import type { Copy, LaneEntry } from '../lane.ts';
import type { Entry, LaneOrders } from './lane-orders.ts';

export interface RunFacts {
  readonly lanes: LaneOrders;
  readonly copyOf: (key: string) => Copy;
  /** Since when somebody has a run of it in hand, in microseconds. */
  readonly inHandSince: (key: string) => number | undefined;
  /** Undefined: BullMQ no longer has it. */
  readonly entryOf: (key: string, jobId: string, sequence: number) => LaneEntry | undefined;
}

interface OpenLane {
  readonly key: string;
  readonly entries: readonly Entry[];
  /** Somebody has had a run of it in hand since a moment ago. */
  readonly isInHand: boolean;
  taken: number;
  last: number;
}

/** Before which lane's job the run ends, and why. */
interface Ending {
  readonly key: string;
  readonly why: 'other' | 'stands' | 'missing' | 'in-hand';
}

export class MemoryRun {
  readonly entries: LaneEntry[] = [];
  readonly opened: OpenLane[] = [];
  /** Undefined: at a limit, or at the end of the lane. */
  readonly ending: Ending | undefined;
  /** Somebody else has it in hand, or will have in a moment. */
  readonly isInHand: boolean;
  readonly #facts: RunFacts;
  #bytes = 0;
  #data = 0;

  constructor(request: TakeRequest, facts: RunFacts) {
    const { key, dataMax, runJobsMax: jobsMax = request.jobsMax } = request;
    this.#facts = facts;
    const own = this.#lane(key) as OpenLane;
    const head = own.entries[0]?.[0];
    while (this.ending === undefined && own.taken < own.entries.length) {
      if (this.entries.length >= jobsMax || this.#data >= dataMax) break;
      this.ending = this.#take(own, head, { jobsMax, dataMax });
    }
    this.isInHand = this.ending?.why === 'in-hand' && this.entries.length < SMALL_RUN_JOBS;
  }

  /** The lane's next job, and all that must be taken before it. */
  #take(
    own: OpenLane,
    head: string | undefined,
    { jobsMax, dataMax }: Pick<TakeRequest, 'jobsMax' | 'dataMax'>,
  ): Ending | undefined {
    const places: OpenLane[] = [own];
    while (places.length > 0) {
      const lane = places.at(-1) as OpenLane;
      const [jobId, sequence] = lane.entries[lane.taken] as Entry;
      const entry = this.#facts.entryOf(lane.key, jobId, sequence);
      const mayBegin = this.entries.length === 0 && jobId === head;
      if (entry !== undefined && !isUntried(entry) && !mayBegin)
        return { key: lane.key, why: 'stands' };
      if (entry?.keys === undefined) return { key: lane.key, why: 'other' };
      const before = this.#before(jobId, sequence, entry.keys);
      if (before !== undefined && 'why' in before) return before;
      if (before !== undefined) {
        places.push(before);
        continue;
      }
      places.pop();
      this.entries.push(entry);
      this.#data += Buffer.byteLength(entry.data);
      for (const key of entry.keys) {
        const its = this.#lane(key) as OpenLane;
        its.taken += 1;
        its.last = sequence;
      }
      if (this.entries.length >= jobsMax || this.#data >= dataMax) return undefined;
    }
    return undefined;
  }

  /** A lane whose next job must be taken before it, or what ends the run. */
  #before(jobId: string, sequence: number, keys: readonly string[]): OpenLane | Ending | undefined {
    for (const key of keys) {
      const lane = this.#lane(key);
      if (lane === undefined) return { key, why: 'other' };
      if (lane.isInHand) return { key, why: 'in-hand' };
      const [firstId, first] = lane.entries[lane.taken] ?? [];
      if (firstId === jobId) continue;
      if (first !== undefined && first < sequence) return lane;
      return { key, why: this.#facts.lanes.has(key, jobId) ? 'other' : 'missing' };
    }
    return undefined;
  }

  #lane(key: string): OpenLane | undefined {
    const { lanes, copyOf, inHandSince } = this.#facts;
    const known = this.opened.find((lane) => lane.key === key);
    if (known !== undefined) return known;
    const { length } = this.opened;
    const isFull = length >= JOINT_RUN_KEYS_MAX || this.#bytes > COPIES_BYTES_MAX;
    if (isFull && length >= TRANSACTION_KEYS_MAX) return undefined;
    const { value } = copyOf(key);
    if (typeof value === 'object' && length > 0) this.#bytes += Buffer.byteLength(value.json);
    const since = inHandSince(key);
    const isInHand = since !== undefined && Math.abs(lanes.nowMicros() - since) < IN_HAND_MS * 1000;
    const entries = lanes.head(key, Number.POSITIVE_INFINITY);
    const lane = { key, entries, isInHand, taken: 0, last: 0 };
    this.opened.push(lane);
    return lane;
  }
}

function isUntried({ attemptsMade, stalls, finished, directive }: LaneEntry): boolean {
  return attemptsMade === 0 && stalls === 0 && finished === 'no' && directive === '';
}
