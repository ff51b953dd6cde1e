/** What a worker's turn goes through on its way out, so that faults can strike between its steps. */
import type { TorilError } from '../../errors.ts';
import type { Acknowledgement, Lanes, Taken, TakeRequest } from '../../jobs/lanes.ts';
import type { Acknowledged } from '../../jobs/lane.ts';
import { MemoryLanes } from '../../jobs/memory/memory-lanes.ts';
import type { MemoryJobs } from '../../jobs/memory/memory-jobs.ts';
import { PLACEHOLDER_ITEM } from '../../cells/envelope.ts';
import { lockName } from '../../memcached/item-names.ts';
import type {
  Cas,
  Connection,
  MemcachedServer,
  NewItem,
  Outcome,
  ServerFacts,
} from '../../memcached/server.ts';
import type { WorkerMoment } from './tripwires.ts';
import type { WorkerClock } from '../time/worker-clock.ts';

/** Whether a fault struck the worker at this point. */
export type Reach = (moment: WorkerMoment) => boolean;

export class WatchedLanes extends MemoryLanes implements Lanes {
  readonly #clock: WorkerClock;
  readonly #reach: Reach;

  constructor(jobs: MemoryJobs, clock: WorkerClock, reach: Reach) {
    super(jobs, clock);
    this.#clock = clock;
    this.#reach = reach;
  }

  override async take(request: TakeRequest): Promise<Taken> {
    if (this.#reach('before-take')) await this.#clock.moment();
    const taken = await super.take(request);
    if (this.#reach('after-take')) await this.#clock.moment();
    return taken;
  }

  override async acknowledge(commit: Acknowledgement): Promise<Acknowledged> {
    const acknowledged = await super.acknowledge(commit);
    if (acknowledged.accepted && this.#reach('after-acknowledge')) await this.#clock.moment();
    return acknowledged;
  }
}

/** A lock's item is told from a cell's by its name. */
const LOCK_PREFIX = lockName('');

export class WatchedServer implements MemcachedServer {
  readonly #server: MemcachedServer;
  readonly #clock: WorkerClock;
  readonly #reach: Reach;
  readonly #watched = new WeakMap<Connection, Connection>();

  constructor(server: MemcachedServer, clock: WorkerClock, reach: Reach) {
    this.#server = server;
    this.#clock = clock;
    this.#reach = reach;
  }

  get address(): string {
    return this.#server.address;
  }

  get current(): Connection | undefined {
    const { current } = this.#server;
    return current === undefined ? undefined : this.#watch(current);
  }

  get trouble(): TorilError | undefined {
    return this.#server.trouble;
  }

  get facts(): ServerFacts | undefined {
    return this.#server.facts;
  }

  async connection(): Promise<Connection> {
    return this.#watch(await this.#server.connection());
  }

  close(): Promise<void> {
    return this.#server.close();
  }

  /** Always the same one for the same connection: leases are bound to it. */
  #watch(connection: Connection): Connection {
    const known = this.#watched.get(connection);
    if (known !== undefined) return known;
    const watched: Connection = {
      get epoch() {
        return connection.epoch;
      },
      casByUs: connection.casByUs,
      get alive() {
        return connection.alive;
      },
      ended: connection.ended,
      get: (name) => connection.get(name),
      add: (name, item) => this.#write(name, item, () => connection.add(name, item)),
      replace: (name, item, cas) =>
        this.#write(name, item, () => connection.replace(name, item, cas)),
      delete: (name, cas) => connection.delete(name, cas),
      bump: (name, cas) => connection.bump(name, cas),
      getAndTouch: (name, ttlSeconds) => connection.getAndTouch(name, ttlSeconds),
      destroy: () => connection.destroy(),
    };
    this.#watched.set(connection, watched);
    return watched;
  }

  /** The request is made in the same moment in which the turn asks for it: a frozen worker keeps it. */
  /** The request is made in the same moment in which the turn asks for it: a frozen worker keeps it. */
  async #write(
    name: string,
    item: NewItem,
    send: () => Promise<Outcome<Cas>>,
  ): Promise<Outcome<Cas>> {
    const isCommit = !name.startsWith(LOCK_PREFIX) && item.value !== PLACEHOLDER_ITEM.value;
    if (isCommit) this.#reach('before-commit');
    const outcome = await send();
    if (isCommit && outcome.kind === 'done' && this.#reach('after-commit')) {
      await this.#clock.moment();
    }
    return outcome;
  }
}
