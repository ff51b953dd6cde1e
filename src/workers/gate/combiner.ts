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
import { pause } from '../../base/clock.ts';
import { cellName, lockName } from '../../memcached/item-names.ts';
import type { Item, MemcachedServer, Outcome } from '../../memcached/server.ts';
import type { Location } from '../../jobs/lanes.ts';
import { decodeOutcome } from '../../updates/outcome.ts';
import type { Lease } from '../../lock/lock.ts';
import { TorilError } from '../../errors.ts';
import type { Arrival, Settlement } from '../deliveries/arrival.ts';
import { Arrivals } from '../deliveries/arrivals.ts';
import type { LeaseOverruns } from '../fold/lease-overruns.ts';
import type { Cancellations } from '../deliveries/cancellations.ts';
import type { SlotPressure, SlotHolder } from '../waiting/slot-pressure.ts';
import type { Faults } from './faults.ts';
import type { GateContext } from './gate-context.ts';
import { KeyMemory } from './key-memory.ts';
import {
  awayAtStandstillMs,
  awayUntilTurnMs,
  delayMs,
  expectedPaceMs,
  SNOOZE_AHEAD_PACE_MS,
  STANDSTILL_SPREAD_MS,
  untilTurnMs,
  type Waiting,
} from '../waiting/snoozing.ts';
import type { SeenDataSets } from './seen-data-sets.ts';
import type { IsolatedStarts } from '../deliveries/isolated-starts.ts';
import { takeTurn } from '../turn/turn.ts';
import { Turn } from '../turn/turn-state.ts';
import type { Watched, Deadlines } from '../waiting/deadlines.ts';

/** Milliseconds: the first pause after something came in between, and the longest; doubled each time. */
const AGAIN_PAUSE_MS = 1;
const AGAIN_PAUSE_MS_MAX = 200;

/**
 * Milliseconds in which a key's holder elsewhere makes its first commit, if its updates are fast: then it is known
 * how fast. Until then its jobs keep their slots. Each of 4 processes used to snooze 60 of its first 64 jobs.
 */
const FIRST_COMMIT_MS = 20;

const RETURNED: Settlement = { kind: 'returned' };

/** What a combiner needs of its gate. */
export interface CombinerHome {
  readonly context: GateContext;
  readonly overruns: LeaseOverruns;
  readonly isolatedStarts: IsolatedStarts;
  readonly cancellations: Cancellations;
  readonly faults: Faults;
  readonly dataSets: SeenDataSets;
  /** Whoever is watched waits for `patienceMs`. */
  readonly deadlines: Deadlines;
  /** Whoever holds most of the slots is looked at sooner. */
  readonly slotPressure: SlotPressure;
  forget(key: string): void;
}

/** A delivered job that waits here, and where it stands. */
type LocatedArrival = Waiting & Pick<Arrival, 'jobId' | 'arrivedAtMs'>;

export class Combiner implements Watched, SlotHolder {
  readonly #home: CombinerHome;
  readonly #context: GateContext;
  readonly #key: string;
  readonly #server: MemcachedServer;
  readonly #cellName: string;
  readonly #lockName: string;
  readonly #arrivals = new Arrivals();
  readonly #memory: KeyMemory;
  #stopping = false;
  /** While it waits for nothing but time. */
  #waiting: AbortController | undefined;
  #isLooking = false;
  /** While the lease is ours. */
  #turn: Turn | undefined;
  /** The last turn has seen that no job is left. */
  #laneIsEmpty = false;
  /** How often in a row something came in between. */
  #again = 0;
  /** Settles when the combiner is over. */
  readonly over: Promise<void>;

  /** @param first undefined: a visit, to see that cell and lane are what they should be */
  constructor(home: CombinerHome, key: string, first: Arrival | undefined) {
    this.#home = home;
    this.#context = home.context;
    this.#key = key;
    this.#server = home.context.servers.serverFor(key);
    this.#cellName = cellName(key);
    this.#lockName = lockName(key);
    this.#memory = new KeyMemory(home.overruns, home.isolatedStarts, home.cancellations);
    if (first !== undefined) this.#arrivals.add(first);
    this.over = this.#run();
  }

  join(arrival: Arrival): void {
    this.#arrivals.add(arrival);
    // A slow key's jobs give their slots back at once, not each after its own patience.
    if (this.#memory.paceMs > this.#context.options.patienceMs) return this.lookSoon();
    this.#home.deadlines.add(this);
    this.#home.slotPressure.grew(this);
  }

  waiting(): Iterable<Arrival> {
    return this.#arrivals.waiting();
  }

  get slotsHeld(): number {
    return this.#arrivals.size;
  }

  awaitedMs(): number {
    return this.#turn?.awaitedMs(this.#context.clock.monotonicMs()) ?? 0;
  }

  /**
   * Finishes the update that is being applied, and commits it with what came before it in its batch; then it
   * is over, and jobs that wait go back to the queue.
   */
  stop(): void {
    this.#stopping = true;
    this.#waiting?.abort();
  }

  /** The deadline has passed: nobody waits any longer for an update that does not settle. */
  abandon(): void {
    this.#arrivals.settleAll(RETURNED);
  }

  async #run(): Promise<void> {
    this.#home.deadlines.add(this);
    let [lastLook, someWaited] = [false, false];
    for (;;) {
      someWaited = this.#arrivals.size > 0;
      const more = await this.#round();
      const owes = this.#memory.owesVisit;
      if (this.#stopping) {
        if (!owes || lastLook) break;
        lastLook = true; // nothing is begun any more, but readers see what we left in the cell
        continue;
      }
      if (this.#arrivals.size > 0 || (more && !this.#context.resting())) continue;
      if (!owes || (!more && this.#context.resting())) break;
      if (!more) await this.#rest(this.#context.options.blockedMs);
    }
    // In the same moment as the check above: nothing can join a combiner that is over.
    this.#home.forget(this.#key);
    this.#home.deadlines.remove(this);
    if (!this.#laneIsEmpty && !someWaited) void this.#wakeHead();
    this.abandon();
  }

  /**
   * The lane's jobs may all be snoozed, for as long as it was until their turn when they were last looked at: minutes. Two
   * of them stood so after the lease was lost right behind a batch.
   */
  async #wakeHead(): Promise<void> {
    const { lanes, deliverNext } = this.#context;
    try {
      const [first] = (await lanes.inspect(this.#key, 1)).head;
      if (first !== undefined) deliverNext(first.jobId, this.#key);
    } catch (thrown) {
      if (!(thrown instanceof TorilError)) this.#tell(thrown); // else Redis is out of reach: it comes when it is due
    }
  }

  /** One attempt to get the lease and, if it succeeds, one turn. True: there is more to do. */
  async #round(): Promise<boolean> {
    const { locks } = this.#context;
    const server = this.#server;
    this.#laneIsEmpty = false;
    try {
      // Known to be down: waiting for it would hold a worker slot that other keys can use.
      if (server.trouble !== undefined) return await this.#unavailable(server.trouble);
      let cell: Promise<Outcome<Item>> | undefined;
      const acquisition = await locks.attempt(server, this.#lockName, (connection) => {
        cell = connection.get(this.#cellName);
      });
      if (acquisition.kind === 'busy') return await this.#waitForTurn(acquisition.retryAfterMs);
      if (acquisition.kind === 'unavailable') return await this.#unavailable(acquisition.cause);
      return await this.#work(acquisition.lease, await (cell as Promise<Outcome<Item>>));
    } catch (thrown) {
      this.#turn = undefined;
      this.#tell(thrown);
      const { blockedMs } = this.#context.options;
      for (const jobId of this.#arrivals.jobIds()) this.#snooze(jobId, blockedMs);
      return false;
    }
  }

  /** Whatever has no code is a fault of ours. */
  #tell(thrown: unknown): void {
    const { report } = this.#context;
    if (thrown instanceof TorilError) report('unavailable', { key: this.#key, cause: thrown });
    else this.#home.faults.tell(this.#key, thrown, report);
  }

  async #work(lease: Lease, cell: Outcome<Item>): Promise<boolean> {
    if (lease.takenOver) this.#context.report('leaseTakenOver', { key: this.#key });
    const turn = new Turn({
      context: this.#context,
      key: this.#key,
      server: this.#server,
      cellName: this.#cellName,
      lease,
      arrivals: this.#arrivals,
      memory: this.#memory,
      dataSets: this.#home.dataSets,
      closing: () => this.#stopping,
    });
    this.#turn = turn;
    const end = await takeTurn(turn, cell);
    this.#turn = undefined;
    if (end.kind === 'again') return this.#pause();
    this.#again = 0;
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
    this.#again += 1;
    const longest = Math.min(AGAIN_PAUSE_MS * 2 ** this.#again, AGAIN_PAUSE_MS_MAX);
    await this.#rest(longest * this.#context.random.fraction());
    return true;
  }

  /** Closing does not wait for it. */
  async #rest(forMs: number): Promise<void> {
    if (this.#stopping) return;
    this.#waiting = new AbortController();
    await pause(this.#context.clock, forMs, this.#waiting.signal);
    this.#waiting = undefined;
  }

  /** Somebody else holds the lease and may be applying our jobs: look for their outcomes. */
  async #waitForTurn(retryAfterMs: number): Promise<boolean> {
    await this.#rest(retryAfterMs);
    if (!this.#stopping) await this.#snoozePatient();
    return this.#arrivals.size > 0;
  }

  /** A server is out of reach: nobody's fault, and nobody's attempt. */
  async #unavailable(cause: TorilError): Promise<boolean> {
    this.#context.report('unavailable', { key: this.#key, cause });
    return this.#standStill(this.#context.options.blockedMs);
  }

  /** Nothing can be done for the lane now: its jobs come back later, the first ones first. */
  async #standStill(atLeastMs: number): Promise<false> {
    // Not waited for: the lane's head may be delivered any moment, and must not be snoozed with the others.
    if (this.#arrivals.size > 1)
      void this.#context.snoozeAhead(this.#key, STANDSTILL_SPREAD_MS, atLeastMs);
    for (const waiting of await this.#lookAround()) {
      this.#snooze(waiting.jobId, awayAtStandstillMs(waiting, atLeastMs));
    }
    return false;
  }

  /** Once for all who join in this moment. */
  lookSoon(): void {
    if (this.#isLooking) return;
    this.#isLooking = true;
    this.#context.clock.soon(() => {
      this.#isLooking = false;
      this.timeIsOver();
    });
  }

  /** Jobs may wait here longer than they should. */
  timeIsOver(): void {
    if (this.#arrivals.size === 0) return;
    this.#snoozePatient().then(
      () => this.#arrivals.size > 0 && this.#home.deadlines.add(this),
      (thrown: unknown) => {
        // Redis is out of reach: the round itself finds out.
        if (!(thrown instanceof TorilError)) this.#tell(thrown);
      },
    );
  }

  /** Snoozes what would wait longer than its patience. */
  async #snoozePatient(): Promise<void> {
    const { options, snoozeAhead } = this.#context;
    const impatient = (await this.#lookAround()).filter((waiting) => this.#waitsTooLong(waiting));
    const paceMs = Math.max(...impatient.map((waiting) => waiting.paceMs));
    // First: the slots would only go to the same key's next jobs.
    if (paceMs >= SNOOZE_AHEAD_PACE_MS) await snoozeAhead(this.#key, paceMs, options.patienceMs);
    for (const waiting of impatient) {
      if (this.#isApplying(waiting)) continue;
      this.#snooze(waiting.jobId, awayUntilTurnMs(waiting, options));
    }
  }

  #waitsTooLong(waiting: LocatedArrival): boolean {
    const { clock, options } = this.#context;
    if (this.#isApplying(waiting)) return false;
    // Elsewhere it would not be known that it is cancelled.
    if (this.#memory.cancellations.isCancelled(waiting.jobId)) return false;
    const untilMs = untilTurnMs(waiting);
    // While we hold the lease, the time behind us says nothing of the time to come: on a busy machine
    // 256 keys at once took 85 ms each, and snoozing them for that only made it worse.
    if (this.#turn !== undefined) return untilMs > options.patienceMs;
    const waitedMs = clock.monotonicMs() - waiting.arrivedAtMs;
    const isUnknown = waiting.paceMs === 0 && waitedMs < FIRST_COMMIT_MS;
    return !isUnknown && waitedMs + untilMs > options.patienceMs;
  }

  #isApplying({ jobId }: LocatedArrival): boolean {
    return this.#turn?.isApplying(jobId) === true;
  }

  /** Settles what others have decided, and says where the others stand. */
  async #lookAround(): Promise<LocatedArrival[]> {
    const arrivals = [...this.#arrivals.waiting()];
    const { lanes } = this.#context;
    const locations = await Promise.all(
      arrivals.map(({ jobId }) => lanes.locate(this.#key, jobId)),
    );
    return arrivals.flatMap((arrival, n) => this.#located(arrival, locations[n] as Location));
  }

  #located(arrival: Arrival, location: Location): [] | [LocatedArrival] {
    const { jobId, deliveries, arrivedAtMs } = arrival;
    if (location.kind === 'decided') {
      this.#settleAs(arrival, location.outcome);
      return [];
    }
    const known = location.kind === 'waiting' ? location : { rank: 0, paceMs: 0 };
    const measuredMs = Math.max(this.#memory.paceMs, known.paceMs);
    const paceMs = expectedPaceMs(measuredMs, this.awaitedMs(), this.#context.options);
    return [{ jobId, deliveries, arrivedAtMs, rank: known.rank, paceMs }];
  }

  #settleAs({ jobId }: Arrival, text: string): void {
    const outcome = decodeOutcome(text);
    if (outcome !== undefined) this.#arrivals.settle(jobId, { kind: 'decided', outcome });
  }

  #snooze(jobId: string, awayMs: number): void {
    if (this.#arrivals.get(jobId) === undefined) return; // decided meanwhile
    const { options, random, report } = this.#context;
    const snoozed = {
      kind: 'snoozed',
      delayMs: delayMs(awayMs, options, random.fraction()),
    } as const;
    report('jobSnoozed', { key: this.#key, jobId, delayMs: snoozed.delayMs });
    this.#arrivals.settle(jobId, snoozed);
  }
}
