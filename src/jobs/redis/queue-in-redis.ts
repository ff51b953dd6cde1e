/** What Toril keeps of a queue in Redis, for whoever is no worker of it. */
import { systemClock } from '../../base/clock.ts';
import { LaneUpkeep } from './lane-upkeep.ts';
import { type JobCounts, RedisLaneViews } from './index/redis-lane-views.ts';
import type { QueueScripts } from './queue-scripts.ts';
import { RedisAuditTrail } from './audit/redis-audit-trail.ts';
import { RedisHistory } from './redis-history.ts';
import { RedisLanes } from './redis-lanes.ts';
import { RegisteredWorkers } from './registered-workers.ts';
import { RegisteredServers } from './registered-servers.ts';

export class QueueInRedis {
  readonly lanes: RedisLanes;
  readonly upkeep: LaneUpkeep;
  readonly views: RedisLaneViews;
  readonly history: RedisHistory;
  readonly servers: RegisteredServers;
  readonly workers: RegisteredWorkers;
  readonly audit: RedisAuditTrail;

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
  }
}
