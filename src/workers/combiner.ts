/**
 * The combiner of one key in one process. While it lives, it is in one of these states:
 *
 *   acquiring  asking for the lease; somebody else may have it, and may apply our jobs meanwhile
 *   working    holding the lease: taking turns until the lane is empty or cannot go on
 *   over       nothing left to do here; the gate forgets it
 *
 * Jobs of the key that are delivered meanwhile join it and wait in memory; one that would wait too
 * long gives its worker slot back. The combiner goes on as long as the lane has jobs, also when none
 * of them waits here, so no lane depends on one particular job.
 */
import { AssertionError } from '../base/assert.ts';
import { pause, type Timer } from '../base/clock.ts';
import { cellName, lockName } from '../memcached/item-names.ts';
import type { Item, Outcome } from '../memcached/server.ts';
import { decodeOutcome } from '../jobs/outcome.ts';
import type { Lease } from '../lock/lock.ts';
import { redisFailed, type TorilError } from '../errors.ts';
import type { Arrival } from './arrival.ts';
import { Arrivals } from './arrivals.ts';
import type { GateContext } from './gate-context.ts';
import { KeyMemory } from './key-memory.ts';
import { takeTurn, type TurnEnd } from './turn.ts';

/** Milliseconds: the first pause after something came in between, and the longest; doubled each time. */
const AGAIN_PAUSE_MS = 1;
const AGAIN_PAUSE_MS_MAX = 200;
/** Milliseconds per job that are assumed while nothing is known of a key's pace. */
const PACE_ASSUMED_MS = 5;
/** A parked job comes back a little early rather than late. */
const PARK_SHARE = 0.9;

export class Combiner {
  readonly #context: GateContext;
  readonly #key: string;
  readonly #arrivals = new Arrivals();
  readonly #memory = new KeyMemory();
  readonly #onOver: () => void;
  #timer: Timer | undefined;
  #stopping = false;
  #working = false;
  /** How often in a row something came in between. */
  #again = 0;
  /** Settles when the combiner is over. */
  readonly over: Promise<void>;

  constructor(context: GateContext, key: string, first: Arrival, onOver: () => void) {
    this.#context = context;
    this.#key = key;
    this.#onOver = onOver;
    this.#arrivals.add(first);
    this.over = this.#run();
  }

  join(arrival: Arrival): void {
    this.#arrivals.add(arrival);
    const { patienceMs } = this.#context.options;
    // A slow key's jobs give their slots back at once, not each after its own patience.
    if (this.#memory.paceMs > patienceMs) this.#watch(0);
    else this.#watch(patienceMs);
  }

  /** Finishes the batch that is being applied, then ends; jobs that wait go back to the queue. */
  stop(): void {
    this.#stopping = true;
  }

  /** The deadline has passed: nobody waits any longer for an update that does not settle. */
  abandon(): void {
    this.#arrivals.settleAll(() => ({ kind: 'returned' }));
  }

  async #run(): Promise<void> {
    this.#watch(this.#context.options.patienceMs);
    for (;;) {
      const more = await this.#round();
      if (this.#stopping) break;
      if (this.#arrivals.size === 0 && (!more || this.#context.resting())) break;
    }
    // In the same moment as the check above: nothing can join a combiner that is over.
    this.#onOver();
    this.#timer?.cancel();
    this.abandon();
  }

  /** True: there is more to do. */
  async #round(): Promise<boolean> {
    try {
      return await this.#attempt();
    } catch (thrown) {
      if (!(thrown instanceof Error) || thrown instanceof AssertionError) throw thrown;
      return this.#unavailable(redisFailed(thrown));
    }
  }

  /** One attempt to get the lease and, if it succeeds, one turn. */
  async #attempt(): Promise<boolean> {
    const context = this.#context;
    const key = this.#key;
    const name = cellName(key);
    let cell: Promise<Outcome<Item>> | undefined;
    const acquisition = await context.locks.attempt(
      context.servers.serverFor(key),
      lockName(key),
      (connection) => {
        cell = connection.get(name);
      },
    );
    switch (acquisition.kind) {
      case 'busy':
        return this.#waitForTurn(acquisition.retryAfterMs);
      case 'unavailable':
        return this.#unavailable(acquisition.cause);
      case 'held':
        if (acquisition.lease.takenOver) context.report('leaseTakenOver', { key });
        return this.#work(acquisition.lease, await (cell as Promise<Outcome<Item>>), name);
    }
  }

  async #work(lease: Lease, cell: Outcome<Item>, name: string): Promise<boolean> {
    this.#working = true;
    const end = await takeTurn({
      context: this.#context,
      key: this.#key,
      cellName: name,
      lease,
      cell,
      arrivals: this.#arrivals,
      memory: this.#memory,
    }).finally(() => {
      this.#working = false;
    });
    return this.#after(end);
  }

  async #after(end: TurnEnd): Promise<boolean> {
    if (end.kind !== 'again') this.#again = 0;
    switch (end.kind) {
      case 'idle':
        return false;
      case 'more':
        return true;
      case 'blocked':
        this.#parkAll(end.delayMs);
        return false;
      case 'unavailable':
        return this.#unavailable(end.cause);
      case 'again': {
        this.#again += 1;
        const longest = Math.min(AGAIN_PAUSE_MS * 2 ** this.#again, AGAIN_PAUSE_MS_MAX);
        await pause(this.#context.clock, longest * this.#context.random.fraction());
        return true;
      }
    }
  }

  /** Somebody else holds the lease and may be applying our jobs: look for their outcomes. */
  async #waitForTurn(retryAfterMs: number): Promise<boolean> {
    await pause(this.#context.clock, retryAfterMs);
    await this.#lookAround();
    return this.#arrivals.size > 0;
  }

  #unavailable(cause: TorilError): boolean {
    this.#context.report('unavailable', { key: this.#key, cause });
    this.#parkAll(this.#context.options.blockedMs);
    return false;
  }

  #parkAll(delayMs: number): void {
    this.#arrivals.settleAll((jobId) => this.#parking(jobId, delayMs));
  }

  #parking(
    jobId: string,
    expectedMs: number,
  ): { readonly kind: 'parked'; readonly delayMs: number } {
    const { options, random, report } = this.#context;
    const spread = PARK_SHARE + (1 - PARK_SHARE) * random.fraction();
    const delayMs = Math.ceil(Math.min(Math.max(expectedMs * spread, 1), options.parkMsMax));
    report('jobParked', { key: this.#key, jobId, delayMs });
    return { kind: 'parked', delayMs };
  }

  /** Looks after `delayMs` whether jobs wait here longer than they should. */
  #watch(delayMs: number): void {
    if (this.#timer !== undefined) return;
    const { clock, options } = this.#context;
    this.#timer = clock.after(delayMs, () => {
      this.#timer = undefined;
      if (!this.#working || this.#arrivals.size === 0) return;
      this.#lookAround().then(
        () => this.#arrivals.size > 0 && this.#watch(options.patienceMs),
        () => undefined, // Redis is out of reach: the turn itself finds out
      );
    });
  }

  /** Settles what others have decided, and parks what would wait longer than its patience. */
  async #lookAround(): Promise<void> {
    const { clock, lanes, options } = this.#context;
    await Promise.all(
      this.#arrivals.all().map(async ({ jobId, arrivedAtMs }) => {
        const location = await lanes.locate(this.#key, jobId);
        if (location.kind === 'decided') {
          const outcome = decodeOutcome(location.outcome);
          if (outcome !== undefined) this.#arrivals.settle(jobId, { kind: 'decided', outcome });
        } else if (location.kind === 'waiting') {
          const expectedMs = location.rank * this.#paceMs(location.paceMs);
          const waitedMs = clock.monotonicMs() - arrivedAtMs;
          if (waitedMs + expectedMs > options.patienceMs) {
            const longer = Math.max(expectedMs, options.patienceMs);
            this.#arrivals.settle(jobId, this.#parking(jobId, longer));
          }
        }
      }),
    );
  }

  #paceMs(othersMs: number): number {
    return Math.max(this.#memory.paceMs, othersMs) || PACE_ASSUMED_MS;
  }
}
