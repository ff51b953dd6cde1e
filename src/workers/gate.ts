/** The gate of one worker: one combiner per key that has something to do here. */
import { pause } from '../base/clock.ts';
import type { Arrival } from './arrival.ts';
import { Combiner } from './combiner.ts';
import type { GateContext } from './gate-context.ts';
import { type Blockers, KeyMemory } from './key-memory.ts';

export class Gate {
  readonly #context: GateContext;
  readonly #combiners = new Map<string, Combiner>();
  readonly #blockers: Blockers = new Map();
  #closing = false;

  constructor(context: GateContext) {
    this.#context = context;
  }

  /** A job of `key` has been delivered; it is settled once its outcome is known, or it must wait elsewhere. */
  arrive(key: string, arrival: Arrival): void {
    if (this.#closing) return arrival.settle({ kind: 'returned' });
    const combiner = this.#combiners.get(key);
    if (combiner !== undefined) return combiner.join(arrival);
    const memory = new KeyMemory(this.#blockers);
    const onOver = (): void => void this.#combiners.delete(key);
    const started = new Combiner(this.#context, key, arrival, memory, onOver);
    this.#combiners.set(key, started);
    started.over.catch((thrown: unknown) => {
      throw thrown; // a fault of Toril: let the process know
    });
  }

  /** Resolves when nothing is being applied any more; of use while nothing is delivered. */
  async atRest(): Promise<void> {
    await Promise.allSettled([...this.#combiners.values()].map(({ over }) => over));
  }

  /** Finishes what is being applied, within `withinMs`; everything else goes back to the queue. */
  async close(withinMs: number): Promise<void> {
    this.#closing = true;
    const running = [...this.#combiners.values()];
    running.forEach((combiner) => combiner.stop());
    const deadline = new AbortController();
    await Promise.race([
      Promise.allSettled(running.map(({ over }) => over)),
      pause(this.#context.clock, withinMs, deadline.signal),
    ]);
    deadline.abort();
    running.forEach((combiner) => combiner.abandon());
  }
}
