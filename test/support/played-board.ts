/** A queue for tests of the page: in memory, with whatever lanes, values and acts a test wants. */
import type { Act, ActEnd, AuditedAct, AuditTrail } from '../../src/jobs/audit-trail.ts';
import type {
  LaneCounts,
  LanePage,
  LaneReport,
  LanesRequest,
  LaneState,
} from '../../src/jobs/reports/lane-report.ts';
import type { Board, BoardAction, CellSight, CommitsSight, LaneSight } from '../../src/ui/board.ts';

const HELD: LaneState = {
  kind: 'held',
  jobId: '25',
  forMs: 180_000,
  reason: 'insufficient funds',
};

export interface PlayedLane {
  readonly key: string;
  readonly state?: LaneState;
  readonly jobId?: string;
  readonly name?: string;
  readonly cell?: CellSight;
  readonly copy?: unknown;
  /** All keys of its first job. */
  readonly keys?: readonly string[];
}

class PlayedTrail implements AuditTrail {
  readonly acts: AuditedAct[] = [];
  /** Redis is away. */
  broken: Error | undefined;

  async begin(act: Act): Promise<string> {
    if (this.broken !== undefined) throw this.broken;
    const id = `17000000000${this.acts.length}-0`;
    this.acts.unshift({ ...act, id, atMs: 1_700_000_000_000, end: undefined });
    return id;
  }

  async end(id: string, end: ActEnd): Promise<void> {
    const at = this.acts.findIndex((act) => act.id === id);
    const act = this.acts[at];
    if (act !== undefined) this.acts[at] = { ...act, end };
  }

  async read({ key }: { key?: string | undefined } = {}): ReturnType<AuditTrail['read']> {
    if (this.broken !== undefined) throw this.broken;
    const acts = this.acts.filter((act) => key === undefined || act.key === key);
    return { acts, before: undefined };
  }
}

export class PlayedBoard implements Board {
  readonly name: string;
  readonly audit = new PlayedTrail();
  readonly done: (readonly [BoardAction, string, string])[] = [];
  readonly asked: LanesRequest[] = [];
  lanesThere: readonly PlayedLane[];
  commitsThere: CommitsSight = { commits: [], hasMore: false };
  broken: Error | undefined;
  refusing: Error | undefined;

  constructor(lanes: readonly PlayedLane[] = [], name = 'accounts') {
    this.lanesThere = lanes;
    this.name = name;
  }

  get qualifiedName(): string {
    return `bull:${this.name}`;
  }

  async counts(): Promise<LaneCounts> {
    if (this.broken !== undefined) throw this.broken;
    const held = this.lanesThere.filter(({ state }) => state?.kind === 'held').length;
    const keys = this.lanesThere.length;
    return {
      ...{ keys, held, runnable: keys - held, waiting: keys, active: 0, delayed: 0 },
      ...{ oldest: undefined, oldestRunnable: undefined, paused: false },
    };
  }

  async lanes(request: LanesRequest): Promise<LanePage> {
    if (this.broken !== undefined) throw this.broken;
    this.asked.push(request);
    const lanes = this.lanesThere
      .filter(({ key }) => request.search === undefined || key.includes(request.search))
      .map(({ key, state = HELD, jobId = '25', name = 'withdraw' }) => ({
        ...{ key, state, jobId, name, sequence: 7, ageMs: 61_000, length: 3 },
        ...{ attemptsMade: 2, token: 9, paceMs: 4 },
      }));
    return { lanes, cursor: undefined };
  }

  async lane(key: string): Promise<LaneSight> {
    if (this.broken !== undefined) throw this.broken;
    const lane = this.lanesThere.find((one) => one.key === key);
    return { report: reportOf(key, lane), cell: lane?.cell ?? { kind: 'none' } };
  }

  async commits(): Promise<CommitsSight> {
    return this.commitsThere;
  }

  async lanesOf(jobId: string): Promise<string[]> {
    return this.lanesThere.filter((lane) => (lane.jobId ?? '25') === jobId).map(({ key }) => key);
  }

  async keysOf(_: BoardAction, key: string, jobId: string): Promise<string[]> {
    const keys = await this.lanesOf(jobId);
    return keys.includes(key) ? keys : [];
  }

  async act(action: BoardAction, key: string, jobId: string): Promise<string> {
    if (this.refusing !== undefined) throw this.refusing;
    this.done.push([action, key, jobId]);
    return 'the next worker carries it out';
  }
}

function reportOf(key: string, lane: PlayedLane | undefined): LaneReport {
  const { state = HELD, jobId = '25', name = 'withdraw', copy, keys } = lane ?? {};
  const its = keys && { keys };
  const isThere = lane !== undefined;
  const failedReason = state.kind === 'held' ? state.reason : undefined;
  return {
    ...{ key, copy, length: isThere ? 3 : 0, heldBy: isThere ? jobId : undefined },
    jobs: isThere
      ? [{ jobId, sequence: 7, name, state: 'failed', attemptsMade: 3, failedReason, ...its }]
      : [],
    ...{ token: isThere ? 9 : 0, watermark: 6, paceMs: 4, headAgeMs: 61_000, expectedWaitMs: 0 },
    lastCommits: isThere ? [{ token: 9, atMs: 1, jobs: undefined, recovered: false }] : [],
    refusedCommits: { count: 0, last: undefined },
    state: isThere ? state : { kind: 'empty' },
  };
}
