/** One lane in full, of what is known of it: the same for a queue and for a test bed. Pure. */
import type { LaneState as InspectedLane } from '../lanes.ts';
import { lastCommits } from './lane-past.ts';
import type {
  LaneCommit,
  LaneJobReport,
  LaneReport,
  LaneState,
  RefusedCommits,
} from './lane-report.ts';

interface Known {
  readonly lane: Pick<InspectedLane, 'copy' | 'length' | 'paceMs'>;
  readonly jobs: readonly LaneJobReport[];
  /** Of its first job; undefined: the lane is empty. */
  readonly headAgeMs: number | undefined;
  /** The newest that the history has, newest first. */
  readonly recorded: readonly LaneCommit[];
  readonly refusedCommits: RefusedCommits;
  readonly state: LaneState;
}

export function toldLane(
  key: string,
  { lane, jobs, headAgeMs = 0, recorded, refusedCommits, state }: Known,
): LaneReport {
  const { copy, length, paceMs } = lane;
  return {
    ...{ key, length, jobs, paceMs, headAgeMs, refusedCommits, state },
    heldBy: jobs[0]?.state === 'failed' ? jobs[0].jobId : undefined,
    token: copy.token,
    watermark: copy.watermark,
    copy: typeof copy.value === 'object' ? (JSON.parse(copy.value.json) as unknown) : undefined,
    expectedWaitMs: Math.round(length * paceMs),
    lastCommits: lastCommits(copy.token, recorded),
  };
}
