import type { Completable } from '../../jobs/lanes.ts';
import type { Arrival, Settlement } from './arrival.ts';

/**
 * Jobs up to which they are completed in one step with their commit. More take calls of their own, which do not
 * block Redis for long.
 */
const COMPLETED_PER_COMMIT = 4;

/** The delivered jobs of one key that wait for their outcome; each is settled exactly once. */
export class Arrivals {
  readonly #waiting = new Map<string, Arrival>();

  get size(): number {
    return this.#waiting.size;
  }

  add(arrival: Arrival): void {
    this.settle(arrival.jobId, { kind: 'superseded' });
    this.#waiting.set(arrival.jobId, arrival);
  }

  get(jobId: string): Arrival | undefined {
    return this.#waiting.get(jobId);
  }

  jobIds(): string[] {
    return [...this.#waiting.keys()];
  }

  /** A view: copy it before you await. */
  waiting(): Iterable<Arrival> {
    return this.#waiting.values();
  }

  /** Jobs that are applied, and may be completed, once a commit with these settlements is acknowledged. */
  completableWith(settlements: ReadonlyMap<string, Settlement>): Completable[] {
    const completable: Completable[] = [];
    if (this.size > COMPLETED_PER_COMMIT) return completable;
    for (const { jobId, completable: job } of this.#waiting.values()) {
      const settlement = settlements.get(jobId);
      const isApplied = settlement?.kind === 'decided' && settlement.outcome.kind === 'applied';
      if (isApplied && job !== undefined) completable.push(job);
    }
    return completable;
  }

  settle(jobId: string, settlement: Settlement): void {
    const arrival = this.#waiting.get(jobId);
    if (arrival === undefined) return;
    this.#waiting.delete(jobId);
    arrival.settle(settlement);
  }

  settleMany(settlements: ReadonlyMap<string, Settlement>): void {
    for (const [jobId, settlement] of settlements) this.settle(jobId, settlement);
  }

  /**
   * Some of a batch's jobs were no longer in their lane when it was acknowledged: somebody has removed them without asking,
   * and a job that waits here may be a new one of the same id. What the batch applied is told by the next take.
   */
  settleUndecided(settlements: ReadonlyMap<string, Settlement>): void {
    for (const [jobId, settlement] of settlements)
      if (settlement.kind !== 'decided') this.settle(jobId, settlement);
  }

  settleAll(settlement: Settlement): void {
    for (const jobId of this.jobIds()) this.settle(jobId, settlement);
  }
}
