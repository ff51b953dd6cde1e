/**
 * A key's lane in full: what Redis knows of it (`queue.lane(key)`), and what memcached tells of its cell and its lease. For
 * operators; it changes nothing, and no worker waits for it.
 */
import { type Clock, systemClock } from '../../base/clock.ts';
import { systemRandom } from '../../base/random.ts';
import { messageOf, TorilError } from '../../errors.ts';
import { checkKey } from '../../key.ts';
import type { Queue } from '../../jobs/queue.ts';
import type { LaneReport } from '../../jobs/reports/lane-report.ts';
import { openServers } from '../../memcached/open-servers.ts';
import type { MemcachedSetting } from '../../memcached/options.ts';
import type { MemcachedServers } from '../../memcached/servers.ts';
import { type CellStanding, cellStanding } from './cell-standing.ts';
import { type LockSight, LockSights } from './lock-sight.ts';
import { stateWithMemcached } from './state-with-memcached.ts';

export interface InspectedLane extends LaneReport {
  /** The address of the memcached server that holds the key. */
  readonly server: string;
  /** What a worker would make of the cell now. */
  readonly cell: CellStanding;
  /** The lease, if somebody has it. */
  readonly lock: LockSight | undefined;
}

export class LaneInspector {
  readonly #queue: Queue;
  readonly #servers: MemcachedServers;
  readonly #locks: LockSights;

  /** By `openInspector`. @internal */
  constructor(queue: Queue, servers: MemcachedServers, clock: Clock = systemClock) {
    this.#queue = queue;
    this.#servers = servers;
    this.#locks = new LockSights(clock);
  }

  /** Of memcached that does not answer, `state` says so. @throws TorilError INVALID_KEY, REDIS_FAILED */
  async inspect(key: string): Promise<InspectedLane> {
    checkKey(key);
    const queue = this.#queue;
    const [report, facts, registered, cell, lock] = await Promise.all([
      queue.lane(key).report(),
      queue.laneViews.one(key),
      queue.registeredServers.read(),
      cellStanding(key, queue, this.#servers),
      this.#lockOf(key),
    ]);
    const server = this.#servers.serverFor(key).address;
    const { fingerprint: given } = this.#servers;
    const told = lock instanceof TorilError ? refusal(lock) : cell;
    const holder = lock instanceof TorilError ? undefined : lock;
    const sight = { server, registered, given, cell: told, lock: holder };
    return { ...report, server, cell: told, lock: holder, state: stateWithMemcached(facts, sight) };
  }

  /** The queue stays open. */
  async close(): Promise<void> {
    await this.#servers.close();
  }

  async #lockOf(key: string): Promise<LockSight | TorilError | undefined> {
    try {
      return await this.#locks.look(key, await this.#servers.serverFor(key).connection());
    } catch (thrown) {
      if (thrown instanceof TorilError && thrown.code === 'FOREIGN_VALUE') return thrown;
      return undefined; // the cell says why
    }
  }
}

/** Something else stands where the lock should. */
function refusal(cause: TorilError): CellStanding {
  return { standing: 'refused', code: cause.code, reason: messageOf(cause) };
}

/** @throws TorilError INVALID_OPTIONS */
export function openInspector(queue: Queue, memcached: MemcachedSetting): LaneInspector {
  return new LaneInspector(queue, openServers(memcached, systemClock, systemRandom));
}
