/** What Toril keeps of a queue in Redis, for all but its workers. */
import { systemClock } from '../../base/clock.ts';
import { COMMITS_TOLD, otherKeysOf } from '../reports/lane-past.ts';
import type { LaneCommit } from '../reports/lane-report.ts';
import { LaneUpkeep } from './lane-upkeep.ts';
import { type JobCounts, RedisLaneViews } from './index/redis-lane-views.ts';
import type { QueueScripts } from './queue-scripts.ts';
import { RedisAuditTrail } from './audit/redis-audit-trail.ts';
import { RedisHistory } from './redis-history.ts';
import { RedisLanes } from './redis-lanes.ts';
import { RefusedCommitsInRedis } from './refused-commits.ts';
import { RegisteredWorkers } from './registered-workers.ts';
import { RegisteredServers } from './registered-servers.ts';

/** Of a key's last commits, whose data and values come along and are of no use here. */
const COMMIT_BYTES_MAX = 100_000;

export class QueueInRedis {
  readonly lanes: RedisLanes;
  readonly upkeep: LaneUpkeep;
  readonly views: RedisLaneViews;
  readonly history: RedisHistory;
  readonly servers: RegisteredServers;
  readonly workers: RegisteredWorkers;
  readonly audit: RedisAuditTrail;
  readonly refused: RefusedCommitsInRedis;

  constructor(scripts: QueueScripts, jobCounts: () => Promise<JobCounts>) {
    this.lanes = new RedisLanes(scripts, systemClock);
    this.upkeep = new LaneUpkeep(scripts, this.lanes);
    this.workers = new RegisteredWorkers(scripts);
    this.views = new RedisLaneViews({
      ...{ scripts, jobCounts, workers: () => this.workers.all() },
      reindex: () => this.upkeep.reindex(),
    });
    this.history = new RedisHistory(scripts);
    this.servers = new RegisteredServers(scripts);
    this.audit = new RedisAuditTrail(scripts);
    this.refused = new RefusedCommitsInRedis(scripts);
  }

  /** A key's newest commits, as far as they are in the history; newest first. @throws TorilError REDIS_FAILED */
  async recorded(key: string): Promise<LaneCommit[]> {
    const { entries } = await this.history.latest(key, COMMITS_TOLD, COMMIT_BYTES_MAX);
    return entries.map(({ id, token, recovered, jobs }) => {
      const otherKeys = otherKeysOf(jobs, key);
      return {
        ...{ token, recovered, jobs: jobs.length, atMs: Number(id.split('-')[0]) },
        ...(otherKeys.length > 0 && { otherKeys }),
      };
    });
  }
}
