import type { Arrival, Settlement } from './arrival.ts';

/** The delivered jobs of one key that wait for their outcome; each is settled exactly once. */
export class Arrivals {
  readonly #waiting = new Map<string, Arrival>();

  get size(): number {
    return this.#waiting.size;
  }

  add(arrival: Arrival): void {
    // A job that BullMQ took for stalled may be delivered twice to one process: the newer one counts.
    this.settle(arrival.jobId, { kind: 'returned' });
    this.#waiting.set(arrival.jobId, arrival);
  }

  get(jobId: string): Arrival | undefined {
    return this.#waiting.get(jobId);
  }

  jobIds(): string[] {
    return [...this.#waiting.keys()];
  }

  /** A view: whoever awaits meanwhile must copy it. */
  waiting(): Iterable<Arrival> {
    return this.#waiting.values();
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

  settleAll(settlement: (jobId: string) => Settlement): void {
    for (const jobId of this.jobIds()) this.settle(jobId, settlement(jobId));
  }
}
