/** What Toril keeps of a queue in Redis, for whoever is no worker of it. */
import { systemClock } from '../../base/clock.ts';
import { LaneUpkeep } from './lane-upkeep.ts';
import type { QueueScripts } from './queue-scripts.ts';
import { RedisHistory } from './redis-history.ts';
import { RedisLanes } from './redis-lanes.ts';
import { RegisteredServers } from './registered-servers.ts';

export class QueueInRedis {
  readonly lanes: RedisLanes;
  readonly upkeep: LaneUpkeep;
  readonly history: RedisHistory;
  readonly servers: RegisteredServers;

  constructor(scripts: QueueScripts) {
    this.lanes = new RedisLanes(scripts, systemClock);
    this.upkeep = new LaneUpkeep(scripts, this.lanes);
    this.history = new RedisHistory(scripts);
    this.servers = new RegisteredServers(scripts);
  }
}
