/**
 * A key's lane in full: what Redis knows of it (`queue.lane(key)`), and what memcached tells of its cell and its lease. For
 * operators; it changes nothing, and no worker waits for it.
 */
import { type Clock, systemClock } from '../../base/clock.ts';
import { systemRandom } from '../../base/random.ts';
import { messageOf, TorilError } from '../../errors.ts';
import { checkKey } from '../../key.ts';
import type { Queue } from '../../jobs/queue.ts';
import { withCause } from '../../jobs/reports/lane-cause.ts';
import type { LaneReport, LaneState } from '../../jobs/reports/lane-report.ts';
import type { LaneFacts } from '../../jobs/reports/lane-views.ts';
import { openServers } from '../../memcached/open-servers.ts';
import type { MemcachedSetting } from '../../memcached/options.ts';
import type { MemcachedServers } from '../../memcached/servers.ts';
import { type CellStanding, cellStanding } from './cell-standing.ts';
import { type LockSight, LockSights } from './lock-sight.ts';
import { type OtherCellSight, stateWithMemcached } from './state-with-memcached.ts';

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
    const [report, { server, cell, lock, state }] = await Promise.all([
      this.#queue.lane(key).report(),
      this.#look(key),
    ]);
    const look = async (other: string): Promise<LaneState> => (await this.#look(other)).state;
    return { ...report, server, cell, lock, state: await withCause(state, look) };
  }

  async #look(key: string): Promise<Pick<InspectedLane, 'server' | 'cell' | 'lock' | 'state'>> {
    const queue = this.#queue;
    const [facts, registered, found, holder] = await Promise.all([
      queue.inRedis.views.one(key),
      queue.inRedis.servers.read(),
      cellStanding(key, queue, this.#servers),
      this.#lockOf(key),
    ]);
    const { fingerprint: given } = this.#servers;
    const server = this.#servers.serverFor(key).address;
    const cell = holder instanceof TorilError ? refusal(holder) : found;
    const lock = holder instanceof TorilError ? undefined : holder;
    const others = await this.#otherCells(key, facts);
    const sight = { server, registered, given, cell, lock, others };
    return { server, cell, lock, state: stateWithMemcached(facts, sight) };
  }

  /** A job of several keys needs all their cells. */
  #otherCells(key: string, { head }: LaneFacts): Promise<OtherCellSight[]> {
    const others = head?.joint?.keys.filter((one) => one !== key) ?? [];
    return Promise.all(
      others.map(async (other) => ({
        key: other,
        server: this.#servers.serverFor(other).address,
        cell: await cellStanding(other, this.#queue, this.#servers),
      })),
    );
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
