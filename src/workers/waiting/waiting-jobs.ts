/**
 * The delivered jobs of one key that wait here, and which of them give their worker slot back: those that would wait longer
 * than their patience, and all while the lane stands still. Looks meanwhile what others have decided of them.
 */
import type { Location } from '../../jobs/lanes.ts';
import { decodeOutcome } from '../../updates/outcome.ts';
import type { Arrival, Settlement } from '../deliveries/arrival.ts';
import type { Arrivals } from '../deliveries/arrivals.ts';
import type { GateContext } from '../gate/gate-context.ts';
import type { KeyMemory } from '../gate/key-memory.ts';
import type { Turn } from '../turn/turn-state.ts';
import type { Deadlines, Watched } from './deadlines.ts';
import type { SlotHolder, SlotPressure } from './slot-pressure.ts';
import {
  awayAtStandstillMs,
  awayUntilTurnMs,
  delayMs,
  expectedPaceMs,
  SNOOZE_AHEAD_PACE_MS,
  STANDSTILL_SPREAD_MS,
  untilTurnMs,
  type Waiting,
} from './snoozing.ts';

/**
 * Milliseconds in which a key's holder elsewhere makes its first commit, if its updates are fast: then it is known
 * how fast. Until then its jobs keep their slots. Each of 4 processes used to snooze 60 of its first 64 jobs.
 */
const FIRST_COMMIT_MS = 20;

const RETURNED: Settlement = { kind: 'returned' };

/** Whose jobs they are: the combiner of the key. */
export interface WaitedFor {
  readonly context: GateContext;
  readonly key: string;
  readonly arrivals: Arrivals;
  readonly memory: KeyMemory;
  /** While the lease is ours. */
  readonly turn: Turn | undefined;
  /** While somebody, here or elsewhere, has a run in hand that begins the lane. */
  readonly isInHand: boolean;
  /** Whoever is watched waits for `patienceMs`. */
  readonly deadlines: Deadlines;
  /** Whoever holds most of the slots is looked at sooner. */
  readonly slotPressure: SlotPressure;
  /** Of Toril: whatever has no code. */
  tellFault(thrown: unknown): void;
}

/** A delivered job that waits here, and where it stands. */
type LocatedArrival = Waiting & Pick<Arrival, 'jobId' | 'arrivedAtMs'>;

export class WaitingJobs implements Watched, SlotHolder {
  readonly #for: WaitedFor;
  #isLooking = false;

  constructor(whose: WaitedFor) {
    this.#for = whose;
  }

  get slotsHeld(): number {
    return this.#for.arrivals.size;
  }

  awaitedMs(): number {
    const { turn, context } = this.#for;
    return turn?.awaitedMs(context.clock.monotonicMs()) ?? 0;
  }

  join(arrival: Arrival): void {
    const { context, arrivals, memory, deadlines, slotPressure } = this.#for;
    arrivals.add(arrival);
    // A slow key's jobs give their slots back at once, not each after its own patience.
    if (memory.pace.ms > context.options.patienceMs) return this.lookSoon();
    deadlines.add(this);
    slotPressure.grew(this);
  }

  /** Once for all who join in this moment. */
  lookSoon(): void {
    if (this.#isLooking) return;
    this.#isLooking = true;
    this.#for.context.clock.soon(() => {
      this.#isLooking = false;
      this.timeIsOver();
    });
  }

  /** Jobs may wait here longer than they should. */
  timeIsOver(): void {
    const { arrivals, deadlines } = this.#for;
    if (arrivals.size === 0) return;
    this.snoozeImpatient().then(
      () => arrivals.size > 0 && deadlines.add(this),
      (thrown: unknown) => this.#for.tellFault(thrown), // Redis is out of reach: the round itself finds out
    );
  }

  /** Snoozes what would wait longer than its patience. */
  async snoozeImpatient(): Promise<void> {
    const { context, key } = this.#for;
    const { options, snoozeAhead } = context;
    const impatient = (await this.#lookAround()).filter((waiting) => this.#waitsTooLong(waiting));
    const paceMs = Math.max(...impatient.map((waiting) => waiting.paceMs));
    // First: the slots would only go to the same key's next jobs.
    if (paceMs >= SNOOZE_AHEAD_PACE_MS) await snoozeAhead(key, paceMs, options.patienceMs);
    for (const waiting of impatient) {
      if (this.#isApplying(waiting)) continue;
      this.#snooze(waiting.jobId, awayUntilTurnMs(waiting, options));
    }
  }

  /** Nothing can be done for the lane now: its jobs come back later, the first ones first. */
  async standStill(atLeastMs: number): Promise<void> {
    const { context, key, arrivals } = this.#for;
    // Not waited for: the lane's head may be delivered any moment, and must not be snoozed with the others.
    if (arrivals.size > 1) void context.snoozeAhead(key, STANDSTILL_SPREAD_MS, atLeastMs);
    for (const waiting of await this.#lookAround()) {
      this.#snooze(waiting.jobId, awayAtStandstillMs(waiting, atLeastMs));
    }
  }

  /** Nobody knows where they stand. */
  snoozeAll(awayMs: number): void {
    for (const jobId of this.#for.arrivals.jobIds()) this.#snooze(jobId, awayMs);
  }

  giveBackAll(): void {
    this.#for.arrivals.settleAll(RETURNED);
  }

  #waitsTooLong(waiting: LocatedArrival): boolean {
    const { context, memory, turn } = this.#for;
    const { clock, options } = context;
    if (this.#isApplying(waiting)) return false;
    // Elsewhere it would not be known that it is cancelled.
    if (memory.worker.cancellations.isCancelled(waiting.jobId)) return false;
    const untilMs = untilTurnMs(waiting);
    // While we hold the lease, the time behind us says nothing of the time to come: on a busy machine
    // 256 keys at once took 85 ms each, and snoozing them for that only made it worse.
    if (turn !== undefined || this.#for.isInHand) return untilMs > options.patienceMs;
    const waitedMs = clock.monotonicMs() - waiting.arrivedAtMs;
    const isUnknown = waiting.paceMs === 0 && waitedMs < FIRST_COMMIT_MS;
    return !isUnknown && waitedMs + untilMs > options.patienceMs;
  }

  #isApplying({ jobId }: LocatedArrival): boolean {
    return this.#for.turn?.isApplying(jobId) === true;
  }

  /** Settles what others have decided, and says where the others stand. */
  async #lookAround(): Promise<LocatedArrival[]> {
    const { context, key } = this.#for;
    const arrivals = [...this.#for.arrivals.waiting()];
    const locations = await Promise.all(
      arrivals.map(({ jobId }) => context.lanes.locate(key, jobId)),
    );
    return arrivals.flatMap((arrival, n) => this.#located(arrival, locations[n] as Location));
  }

  #located(arrival: Arrival, location: Location): [] | [LocatedArrival] {
    const { context, arrivals, memory } = this.#for;
    const { jobId, deliveries, arrivedAtMs } = arrival;
    if (location.kind === 'decided') {
      const outcome = decodeOutcome(location.outcome);
      if (outcome !== undefined) arrivals.settle(jobId, { kind: 'decided', outcome });
      return [];
    }
    const known = location.kind === 'waiting' ? location : { rank: 0, paceMs: 0 };
    const measuredMs = Math.max(memory.pace.ms, known.paceMs);
    const paceMs = expectedPaceMs(measuredMs, this.awaitedMs(), context.options);
    return [{ jobId, deliveries, arrivedAtMs, rank: known.rank, paceMs }];
  }

  #snooze(jobId: string, awayMs: number): void {
    const { context, key, arrivals } = this.#for;
    if (arrivals.get(jobId) === undefined) return; // decided meanwhile
    const { options, random, report } = context;
    const snoozed = {
      kind: 'snoozed',
      delayMs: delayMs(awayMs, options, random.fraction()),
    } as const;
    report('jobSnoozed', { key, jobId, delayMs: snoozed.delayMs });
    arrivals.settle(jobId, snoozed);
  }
}
