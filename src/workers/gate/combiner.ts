/**
 * The combiner of one key in one process. While it lives, it is in one of these states:
 *
 *   acquiring  asking for the lease; somebody else may have it, and may apply our jobs meanwhile
 *   working    holding the lease: taking turns until the lane is empty or cannot go on
 *   over       nothing left to do here; the gate forgets it
 *
 * Jobs of the key that are delivered meanwhile join it and wait in memory; one that would wait too
 * long gives its worker slot back. The combiner goes on as long as the lane has jobs, also when none
 * of them waits here, so no lane depends on one particular job; and until it knows what became of its
 * last commit, since readers see that. If it cannot go on (somebody else has the lease, who may have died),
 * a job that waits here comes again soon and sees to the lane; if none does, the lane's first one is woken.
 */
import { cellName, lockName } from '../../memcached/item-names.ts';
import type { Item, MemcachedServer, Outcome } from '../../memcached/server.ts';
import type { Lease } from '../../lock/lock.ts';
import { TorilError } from '../../errors.ts';
import type { Arrival } from '../deliveries/arrival.ts';
import { Arrivals } from '../deliveries/arrivals.ts';
import { takeTurn } from '../turn/turn.ts';
import { type Neighbours, Turn } from '../turn/turn-state.ts';
import type { Deadlines } from '../waiting/deadlines.ts';
import type { SlotPressure } from '../waiting/slot-pressure.ts';
import { type WaitedFor, WaitingJobs } from '../waiting/waiting-jobs.ts';
import type { GateContext } from './gate-context.ts';
import { KeyMemory } from './key-memory.ts';
import type { LaneWaits } from './lane-waits.ts';
import type { WorkerMemory } from './worker-memory.ts';

/** Milliseconds: the first pause after something came in between, and the longest; doubled each time. */
const AGAIN_PAUSE_MS = 1;
const AGAIN_PAUSE_MS_MAX = 200;
/**
 * Looks at a lane that waits for another one, while no job waits here: the jobs of both may all be snoozed, and each snooze
 * is longer than the last one. Then the lane's first job is woken.
 */
const LANE_LOOKS_MAX = 12;
/**
 * Looks in a row, without getting on, that begin as soon as the other lane has been looked at. Behind a transaction that waits
 * for its retry, two lanes woke each other for ever, without a pause, and kept their leases from the worker that had its delivery.
 */
const LANE_WAKES_MAX = 4;
/** Milliseconds between two looks at what another combiner of this process has decided, if it does not tell. */
const DRIVER_LOOK_MS = 200;
/** And between two looks at what another process has: from the first to the last. */
const OUTCOME_LOOK_MS = 5;
const OUTCOME_LOOK_MS_MAX = 40;
const NONE: readonly string[] = [];

/** What a combiner needs of its gate. */
export interface CombinerHome extends Neighbours {
  readonly context: GateContext;
  readonly memory: WorkerMemory;
  readonly deadlines: Deadlines;
  readonly slotPressure: SlotPressure;
  readonly laneWaits: LaneWaits;
  forget(key: string): void;
}

export class Combiner implements WaitedFor {
  readonly context: GateContext;
  readonly key: string;
  readonly server: MemcachedServer;
  readonly cellName: string;
  readonly arrivals: Arrivals = new Arrivals();
  readonly memory: KeyMemory;
  readonly deadlines: Deadlines;
  readonly slotPressure: SlotPressure;
  readonly neighbours: Neighbours;
  /** While the lease is ours. */
  turn: Turn | undefined;
  isInHand = false;
  readonly #home: CombinerHome;
  readonly #lockName: string;
  readonly #waiting: WaitingJobs;
  #stopping = false;
  /** While it waits for nothing but time. */
  #resting: AbortController | undefined;
  /** The last turn has seen that no job is left. */
  #laneIsEmpty = false;
  /** How often in a row something came in between, */
  #again = 0;
  /** or the lane waited for another one. */
  #waits = 0;
  /** Since when the lease is wanted: monotonic milliseconds, while somebody measures. */
  #wantedMs: number | undefined;
  /** Settles when the combiner is over. */
  readonly over: Promise<void>;

  /** @param first undefined: a visit, to see that cell and lane are what they should be */
  constructor(home: CombinerHome, key: string, first: Arrival | undefined) {
    this.#home = home;
    this.context = home.context;
    this.deadlines = home.deadlines;
    this.slotPressure = home.slotPressure;
    this.neighbours = home;
    this.key = key;
    this.server = home.context.servers.serverFor(key);
    this.cellName = cellName(key);
    this.#lockName = lockName(key);
    this.memory = new KeyMemory(home.memory);
    this.#waiting = new WaitingJobs(this);
    if (first !== undefined) this.arrivals.add(first);
    this.over = this.#run();
  }

  join(arrival: Arrival): void {
    this.#waiting.join(arrival);
  }

  /** The worker closes: nothing more is begun. */
  readonly closing = (): boolean => this.#stopping;

  /** Its first job has given up at another key. */
  wake(): void {
    this.#resting?.abort();
  }

  /**
   * Finishes the update that is being applied, and commits it with what came before it in its batch; then it
   * is over, and jobs that wait go back to the queue.
   */
  stop(): void {
    this.#stopping = true;
    this.wake();
  }

  /** The deadline has passed: an update that does not settle is no longer waited for. */
  abandon(): void {
    this.#waiting.giveBackAll();
  }

  async #run(): Promise<void> {
    this.deadlines.add(this.#waiting);
    let [lastLook, someWaited] = [false, false];
    for (;;) {
      someWaited = this.arrivals.size > 0;
      const more = await this.#round();
      const owes = this.memory.owesVisit;
      if (this.#stopping) {
        if (!owes || lastLook) break;
        lastLook = true; // nothing is begun any more, but readers see what we left in the cell
        continue;
      }
      if (this.arrivals.size > 0 || (more && !this.context.resting())) continue;
      if (!owes || (!more && this.context.resting())) break;
      if (!more) await this.#rest(this.context.options.blockedMs);
    }
    // In the same moment as the check above: nothing can join a combiner that is over.
    this.#home.forget(this.key);
    this.deadlines.remove(this.#waiting);
    if (!this.#laneIsEmpty && !someWaited) void this.#wakeHead();
    this.#waiting.giveBackAll();
  }

  /**
   * The lane's jobs may all be snoozed, for as long as it was until their turn when they were last looked at: minutes. Two
   * of them stood so after the lease was lost right behind a batch.
   */
  async #wakeHead(): Promise<void> {
    const { lanes, deliverNext } = this.context;
    try {
      const [first] = (await lanes.inspect(this.key, 1)).head;
      if (first !== undefined) deliverNext(first.jobId, this.key);
    } catch (thrown) {
      this.tellFault(thrown); // else Redis is out of reach: it comes when it is due
    }
  }

  /** One attempt to get the lease and, if it succeeds, one turn. True: there is more to do. */
  async #round(): Promise<boolean> {
    const { context, server } = this;
    this.#laneIsEmpty = false;
    try {
      // Its cell and its lane are about to change, by a transaction that is driven from another key's lane.
      if (this.memory.worker.driven.has(this.key)) return await this.#waitForDriver();
      // Known to be down: waiting for it would hold a worker slot that other keys can use.
      if (server.trouble !== undefined) return await this.#unavailable(server.trouble);
      this.#wantLease();
      let cell: Promise<Outcome<Item>> | undefined;
      const acquisition = await context.locks.attempt(server, this.#lockName, (connection) => {
        cell = connection.get(this.cellName);
      });
      if (acquisition.kind === 'busy') return await this.#waitForTurn(acquisition.retryAfterMs);
      if (acquisition.kind === 'unavailable') return await this.#unavailable(acquisition.cause);
      return await this.#work(acquisition.lease, await (cell as Promise<Outcome<Item>>));
    } catch (thrown) {
      this.turn = undefined;
      if (thrown instanceof TorilError)
        context.report('unavailable', { key: this.key, cause: thrown });
      this.tellFault(thrown);
      this.#waiting.snoozeAll(context.options.blockedMs);
      return false;
    }
  }

  #wantLease(): void {
    const { observer, clock } = this.context;
    if (observer === undefined) return;
    this.#wantedMs ??= clock.monotonicMs();
    observer.asksForLease();
  }

  /** Whatever has no code is a fault of Toril. */
  tellFault(thrown: unknown): void {
    if (thrown instanceof TorilError) return;
    this.memory.worker.faults.tell(this.key, thrown, this.context.report);
  }

  async #work(lease: Lease, cell: Outcome<Item>): Promise<boolean> {
    if (lease.takenOver) this.context.report('leaseTakenOver', { key: this.key });
    const turn = new Turn(this, lease, this.context.observer?.turn(this.key, this.#wantedMs ?? 0));
    this.#wantedMs = undefined;
    this.turn = turn;
    const end = await takeTurn(turn, cell);
    this.turn = undefined;
    if (end.kind === 'again') return this.#pause();
    this.#again = 0;
    if (end.kind === 'waits') return this.#waitForLanes(end.forKeys, end.withinMs);
    if (end.kind === 'in-hand') return this.#waitForOutcomes();
    this.#waits = 0;
    switch (end.kind) {
      case 'idle':
        this.#laneIsEmpty = true;
        return false;
      case 'more':
        return true;
      case 'blocked':
        return this.#standStill(end.delayMs);
      case 'unavailable':
        return this.#unavailable(end.cause);
    }
  }

  /** Somebody or something came in between: longer each time in a row, and never in step with others. */
  async #pause(): Promise<true> {
    await this.#rest(this.#untilNextLookMs(++this.#again));
    return true;
  }

  #untilNextLookMs(times: number): number {
    const longest = Math.min(AGAIN_PAUSE_MS * 2 ** times, AGAIN_PAUSE_MS_MAX);
    return longest * this.context.random.fraction();
  }

  /** Neither closing nor the lanes that are told to go on wait for it. */
  async #rest(forMs: number, forKeys: readonly string[] = NONE): Promise<void> {
    if (this.#stopping) return;
    const resting = new AbortController();
    this.#resting = resting;
    await this.#home.laneWaits.rest(this.context.clock, forMs, forKeys, resting);
    this.#resting = undefined;
  }

  /** The first job of the lane waits for others: in this process, or in another one, which does not tell us. */
  async #waitForLanes(
    forKeys: readonly string[],
    withinMs: number = Number.POSITIVE_INFINITY,
  ): Promise<boolean> {
    const wakers = this.#waits < LANE_WAKES_MAX ? forKeys : NONE;
    const forMs = Math.min(this.#untilNextLookMs(++this.#waits), withinMs);
    await this.#restAndLook(forMs, wakers);
    return this.arrivals.size > 0 || this.#waits < LANE_LOOKS_MAX;
  }

  /** Another combiner of this process decides our jobs, and sees to the lane: without a job that waits here, this one can end. */
  async #waitForDriver(): Promise<boolean> {
    this.#laneIsEmpty = this.arrivals.size === 0;
    if (this.#laneIsEmpty) return false;
    await this.#restInHand(DRIVER_LOOK_MS, [this.key]);
    return true;
  }

  /** Another process may be deciding our jobs, and does not say so: look for their outcomes, then look again who is at work. */
  async #waitForOutcomes(): Promise<boolean> {
    this.#waits++;
    for (let waitMs = OUTCOME_LOOK_MS; waitMs <= OUTCOME_LOOK_MS_MAX; waitMs *= 2) {
      await this.#restInHand(waitMs, [this.key]);
      if (this.#stopping || this.memory.worker.driven.has(this.key)) break;
    }
    return this.arrivals.size > 0 || this.#waits < LANE_LOOKS_MAX;
  }

  async #restInHand(forMs: number, forKeys: readonly string[]): Promise<void> {
    this.isInHand = true;
    await this.#restAndLook(forMs, forKeys);
    this.isInHand = false;
  }

  /** And then who has been decided, or has waited too long. */
  async #restAndLook(forMs: number, forKeys?: readonly string[]): Promise<void> {
    await this.#rest(forMs, forKeys);
    if (!this.#stopping) await this.#waiting.snoozeImpatient();
  }

  /** Somebody else holds the lease and may be applying our jobs: look for their outcomes. */
  async #waitForTurn(retryAfterMs: number): Promise<boolean> {
    await this.#restAndLook(retryAfterMs);
    return this.arrivals.size > 0;
  }

  /** A server is out of reach: no job is charged an attempt. */
  async #unavailable(cause: TorilError): Promise<boolean> {
    this.context.report('unavailable', { key: this.key, cause });
    return this.#standStill(this.context.options.blockedMs);
  }

  async #standStill(atLeastMs: number): Promise<false> {
    await this.#waiting.standStill(atLeastMs);
    return false;
  }
}
