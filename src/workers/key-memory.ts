import type { TorilError } from '../errors.ts';

/** How much a new measurement of the pace counts. */
const PACE_WEIGHT = 0.2;

/** Updates that blocked their process for longer than their lease, by job: how often in a row, and how long. */
export type Blockers = Map<string, { readonly times: number; readonly tookMs: number }>;

/** What a process remembers of a key while it works on it. Forgetting it costs time, nothing else. */
export class KeyMemory {
  readonly blockers: Blockers;
  /** Jobs that failed when they were tried in somebody else's delivery. */
  readonly suspects: Set<string> = new Set();
  /** Jobs that were begun alone here, since they had stalled before. */
  readonly startedAlone: Set<string> = new Set();
  /** Jobs whose new value does not fit into memcached. */
  readonly overweight: Map<string, TorilError> = new Map();
  /** Jobs of the batch that is being folded, up to the one being applied: their wait is over. */
  readonly inHand: Set<string> = new Set();
  /** Bytes that the server was seen to refuse, below what it says it can store. */
  itemBytesMax: number = Number.POSITIVE_INFINITY;
  /** Milliseconds per job, smoothed; 0: not known yet. */
  paceMs: number = 0;

  /** Since when an asynchronous update has been waited for: monotonic milliseconds. */
  awaitingSinceMs: number | undefined;

  /** @param blockers of the whole process: they outlast what is remembered of their key */
  constructor(blockers: Blockers) {
    this.blockers = blockers;
  }

  /** What is known of the pace at this moment, the job that is being applied included. */
  paceAtMs(nowMs: number): number {
    const soFarMs = this.awaitingSinceMs === undefined ? 0 : nowMs - this.awaitingSinceMs;
    return Math.max(this.paceMs, soFarMs);
  }

  measured(jobs: number, elapsedMs: number): void {
    const pace = elapsedMs / jobs;
    this.paceMs = this.paceMs === 0 ? pace : this.paceMs + PACE_WEIGHT * (pace - this.paceMs);
  }
}
