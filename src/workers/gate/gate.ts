/** The gate of one worker: one combiner per key that has something to do here. */
import { AsyncResource } from 'node:async_hooks';
import { settlesWithin } from '../../base/clock.ts';
import type { Arrival, Settlement } from '../deliveries/arrival.ts';
import { BehindCommits } from '../joint/behind-commits.ts';
import { Combiner, type CombinerHome } from './combiner.ts';
import type { GateContext } from './gate-context.ts';
import { SlotPressure } from '../waiting/slot-pressure.ts';
import { Deadlines } from '../waiting/deadlines.ts';
import { LaneWaits } from './lane-waits.ts';
import { WorkerMemory } from './worker-memory.ts';

export class Gate implements CombinerHome {
  readonly context: GateContext;
  readonly memory: WorkerMemory = new WorkerMemory();
  readonly deadlines: Deadlines;
  readonly slotPressure: SlotPressure;
  readonly behind: BehindCommits;
  readonly laneWaits: LaneWaits = new LaneWaits();
  readonly #root = new AsyncResource('TorilGate');
  readonly #combiners = new Map<string, Combiner>();
  #closing = false;

  constructor(context: GateContext) {
    this.context = context;
    this.deadlines = new Deadlines(context.clock, context.options.patienceMs);
    this.slotPressure = new SlotPressure(context.clock, context.slots);
    this.behind = new BehindCommits(context, (key) => this.bringUp(key));
    if (context.registry.hasTransactions) this.behind.begin();
  }

  /** A job of `key` has been delivered; it is settled once its outcome is known, or it must wait elsewhere. */
  arrive(key: string, arrival: Arrival): void {
    // Nothing that outlasts the job may run in its asynchronous context: timers, requests, other jobs' updates.
    if (arrival.scope === undefined) this.#arrive(key, arrival);
    else this.#root.runInAsyncScope(() => this.#arrive(key, arrival));
  }

  /**
   * A process may have died between a commit of the key and its acknowledgement, and others have decided its jobs
   * since: nobody else would check whether the cell is what Redis knows.
   */
  visit(key: string): void {
    if (this.#closing || this.#combiners.has(key)) return;
    this.#root.runInAsyncScope(() => this.#start(key, undefined));
  }

  /**
   * Visits a key whose cell may never have been written. True: it has been, or there is nothing to write or no room; false:
   * nobody got to it.
   */
  async bringUp(key: string): Promise<boolean> {
    this.visit(key);
    const combiner = this.#combiners.get(key);
    if (combiner === undefined) return false; // the gate closes
    combiner.memory.owesCell = true;
    await combiner.over;
    return !combiner.memory.owesCell;
  }

  /** Those that wait for the key's lane look again. */
  goneOn(key: string): void {
    this.laneWaits.goneOn(key);
  }

  /** Whoever waits at the key looks at once. */
  wake(key: string): void {
    this.#combiners.get(key)?.wake();
  }

  arrivalOf(key: string, jobId: string): Arrival | undefined {
    return this.#combiners.get(key)?.arrivals.get(jobId);
  }

  /** Tells a job that waits at one key what was decided of it at another. */
  settle(key: string, jobId: string, settlement: Settlement): void {
    this.#combiners.get(key)?.arrivals.settle(jobId, settlement);
  }

  #arrive(key: string, arrival: Arrival): void {
    if (this.#closing) return arrival.settle({ kind: 'returned' });
    const combiner = this.#combiners.get(key);
    if (combiner !== undefined) return combiner.join(arrival);
    this.#start(key, arrival);
  }

  #start(key: string, arrival: Arrival | undefined): void {
    const started = new Combiner(this, key, arrival);
    this.#combiners.set(key, started);
    started.over.catch((thrown: unknown) => {
      throw thrown; // a fault of Toril: let the process know
    });
  }

  /** Jobs that wait here for their outcome. */
  *arrivals(): Generator<Arrival> {
    for (const combiner of this.#combiners.values()) yield* combiner.arrivals.waiting();
  }

  /** The key's combiner is over. */
  forget(key: string): void {
    this.#combiners.delete(key);
  }

  /** Resolves when nothing is being applied any more; of use while nothing is delivered. */
  async atRest(): Promise<void> {
    await Promise.allSettled([...this.#combiners.values()].map(({ over }) => over));
  }

  /** Finishes the updates that are being applied, within `withinMs` or until `now` aborts; everything else goes back to the queue. */
  async close(withinMs: number, now?: AbortSignal): Promise<void> {
    this.#closing = true;
    this.behind.close();
    const running = [...this.#combiners.values()];
    running.forEach((combiner) => combiner.stop());
    const over = Promise.allSettled(running.map((combiner) => combiner.over));
    await settlesWithin(this.context.clock, withinMs, over, now);
    running.forEach((combiner) => combiner.abandon());
  }
}
