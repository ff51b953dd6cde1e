/** What a fold must know of the turn that it is part of. */
import type { Clock } from '../../base/clock.ts';
import type { UpdateRegistry } from '../../updates/update-registry.ts';
import { messageOf } from '../../errors.ts';
import type { LaneEntry, Taken } from '../../jobs/lanes.ts';
import type { GateOptions } from '../../options.ts';
import type { Arrival } from '../deliveries/arrival.ts';
import type { Arrivals } from '../deliveries/arrivals.ts';
import type { FoldRules } from '../fold/batch.ts';
import type { KeyMemory } from '../key-memory.ts';
import type { TurnInput } from './turn.ts';

/** Of an item: many results in one batch must not crowd out the value, or the batch would be folded again and again. */
const RESULTS_SHARE = 1 / 4;

export class TurnRules implements FoldRules {
  readonly #turn: TurnInput;
  readonly #onlyDelivered: boolean;

  constructor(turn: TurnInput, { restricted }: Taken) {
    this.#turn = turn;
    this.#onlyDelivered = restricted || turn.context.rateLimited || smellsOfPoison(turn.arrivals);
  }

  get key(): string {
    return this.#turn.key;
  }
  get registry(): UpdateRegistry {
    return this.#turn.context.registry;
  }
  get clock(): Clock {
    return this.#turn.context.clock;
  }
  get options(): GateOptions {
    return this.#turn.context.options;
  }
  get memory(): KeyMemory {
    return this.#turn.memory;
  }
  get resultsMax(): number {
    const { facts } = this.#turn.server;
    return facts === undefined ? Number.POSITIVE_INFINITY : facts.itemSizeMax * RESULTS_SHARE;
  }
  get leaseMs(): number {
    return this.#turn.lease.durationMs;
  }
  leaseSignal(): AbortSignal {
    return this.#turn.lease.signal;
  }
  leaseHeld(): boolean {
    return this.#turn.lease.trustLeftMs() > 0;
  }
  closing(): boolean {
    return this.#turn.closing();
  }
  onlyDelivered(): boolean {
    return this.#onlyDelivered || this.#turn.context.resting();
  }
  arrivalOf(jobId: string): Arrival | undefined {
    return this.#turn.arrivals.get(jobId);
  }
  inTrace<T>(trace: string, call: () => T): T {
    const { inTrace } = this.#turn.context;
    return inTrace === undefined ? call() : inTrace(trace, call);
  }
  log(jobId: string, row: string): void {
    this.#turn.context.log?.(this.#turn.key, jobId, row);
  }
  keyChanged({ jobId, name }: LaneEntry, otherKey: unknown): void {
    const { key, context } = this.#turn;
    context.report('keyChanged', {
      key,
      jobId,
      name,
      otherKey: messageOf(otherKey),
      code: 'KEY_CHANGED',
    });
  }
  startAlone(jobId: string): Promise<number> {
    this.#turn.memory.startedAlone.note(jobId);
    return this.#turn.context.lanes.startAlone(jobId);
  }
}

/**
 * A job waits here with which a process has died before. It may have died of another one that it
 * applied along with it, which was never delivered itself and so is not known for it: until the
 * culprit dies in a delivery of its own, only delivered jobs are applied. Without this rule a job
 * that was often given back killed nine processes before it was found out.
 */
function smellsOfPoison(arrivals: Arrivals): boolean {
  for (const { stalls } of arrivals.waiting()) if (stalls > 0) return true;
  return false;
}
