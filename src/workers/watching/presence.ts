/** A worker's signs of life in Redis, for operators: who works on the queue, knows which updates, and is still there. */
import { type Clock, pause } from '../../base/clock.ts';
import {
  BEAT_MS,
  type RegisteredWorkers,
  type WorkerCard,
} from '../../jobs/redis/registered-workers.ts';

export interface PresenceOptions {
  readonly clock: Clock;
  readonly workers: Pick<RegisteredWorkers, 'beat' | 'tell' | 'leave'>;
  /** What there is to say now. */
  readonly card: () => WorkerCard;
}

export class Presence {
  readonly #options: PresenceOptions;
  readonly #closing = new AbortController();
  #running: Promise<void> | undefined;

  constructor(options: PresenceOptions) {
    this.#options = options;
  }

  begin(): void {
    this.#running ??= this.#run();
  }

  /** Takes the worker off the list; resolves when Redis has heard of it, or cannot. */
  async close(): Promise<void> {
    this.#closing.abort();
    if (this.#running === undefined) return;
    await this.#running;
    await this.#options.workers.leave(this.#options.card().id).catch(() => undefined);
  }

  /** Redis may be out of reach: then the next sign is the next try. */
  async #run(): Promise<void> {
    const { clock, workers, card } = this.#options;
    let told = '';
    while (!this.#closing.signal.aborted) {
      const now = card();
      const text = JSON.stringify(now);
      const saying = text === told ? workers.beat(now) : workers.tell(now);
      told = (await saying.then(
        () => true,
        () => false,
      ))
        ? text
        : '';
      await pause(clock, BEAT_MS, this.#closing.signal);
    }
  }
}
