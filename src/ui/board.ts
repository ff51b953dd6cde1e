/**
 * What the page needs of queues: the contract. queue-board.ts is the engine on real ones; unit tests of the page have one
 * in memory. Everything answers or fails in time.
 */
import type { AuditTrail } from '../jobs/audit-trail.ts';
import type {
  LaneCounts,
  LanePage,
  LaneReport,
  LanesRequest,
} from '../jobs/reports/lane-report.ts';
import type { LaneAction } from '../jobs/reports/why.ts';

export type BoardAction = LaneAction;

/** What memcached has under the key. */
export type CellSight =
  | { readonly kind: 'not-asked' }
  | { readonly kind: 'none' }
  | { readonly kind: 'cell'; readonly value: unknown; readonly token: number }
  | { readonly kind: 'unusable'; readonly code: string; readonly reason: string };

export interface LaneSight {
  readonly report: LaneReport;
  readonly cell: CellSight;
}

/** One of the last commits, as the history has it. */
export interface CommitSight {
  readonly id: string;
  /** Milliseconds since 1970, by Redis's clock. */
  readonly atMs: number;
  readonly token: number;
  /** JSON; undefined: not written down; null: deleted. */
  readonly valueJson: string | null | undefined;
  /** Made by the successor of a worker that died. */
  readonly recovered: boolean;
  readonly jobs: readonly {
    readonly jobId: string;
    readonly name: string;
    readonly dataJson: string;
    /** `applied`, or how else it ended. */
    readonly end: string;
    readonly attempt: number;
    /** All its keys, if it has several. */
    readonly keys?: readonly string[];
  }[];
}

export interface CommitsSight {
  /** Newest first. */
  readonly commits: readonly CommitSight[];
  /** There may be older ones. */
  readonly hasMore: boolean;
}

export interface Board {
  /** The queue's name. */
  readonly name: string;
  /** With BullMQ's prefix; no two boards share it. */
  readonly qualifiedName: string;
  readonly audit: AuditTrail;
  counts(): Promise<LaneCounts>;
  lanes(request: LanesRequest): Promise<LanePage>;
  lane(key: string): Promise<LaneSight>;
  commits(key: string): Promise<CommitsSight>;
  /** The keys of the lanes that the job has entered; none: no such job, or it is in none. */
  lanesOf(jobId: string): Promise<readonly string[]>;
  /** All keys that an action would be about, if there are several: those of its job, or of a commit that is forgotten. */
  keysOf(action: BoardAction, key: string, jobId: string): Promise<readonly string[]>;
  /**
   * Carries an action out, or has a worker do so, and says what happened.
   * @param jobId that the operator has seen at the lane's head; nothing is done if it is another one now
   * @throws TorilError LANE_NOT_HELD, LEASE_TIMED_OUT, REDIS_FAILED, ...
   */
  act(action: BoardAction, key: string, jobId: string): Promise<string>;
}
