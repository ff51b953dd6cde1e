/**
 * Looks for what others did to a queue's jobs without Toril: completed them (a plain BullMQ worker on the
 * queue), or deleted them while nobody works on their lane. A combiner that meets such jobs tells of them,
 * but a lane may hold nothing else, and then nobody comes by. Once at the start, and once a minute by one of
 * the queue's workers.
 */
import { type Clock, pause } from '../../base/clock.ts';
import type { LaneUpkeep } from '../../jobs/redis/lane-upkeep.ts';

const EVERY_MS = 60_000;
/** Of a queue's workers, one looks on each occasion. */
interface Occasion {
  readonly what: string;
  readonly everyMs: number;
}

const SOON: Occasion = { what: 'soon', everyMs: 5_000 };
const EACH_MINUTE: Occasion = { what: 'minute', everyMs: EVERY_MS - SOON.everyMs };
/** A look takes Redis no more than 2 % of its time: it rests so many times as long as the last call took. */
const REST_FACTOR = 50;

export interface LookoutOptions {
  readonly clock: Clock;
  readonly upkeep: Pick<LaneUpkeep, 'claim' | 'released' | 'unapplied'>;
  /** A lane can go on. */
  readonly visit: (key: string) => void;
  /** Completed by somebody else; in no lane, as far as is known. */
  readonly notApplied: (jobIds: readonly string[]) => void;
}

export class Lookout {
  readonly #options: LookoutOptions;
  readonly #closing = new AbortController();
  #called = new AbortController();
  #since: string | undefined;
  #begun = false;

  constructor(options: LookoutOptions) {
    this.#options = options;
  }

  /** Looks from now on, until it is closed. Redis may be out of reach: then it looks later. */
  begin(): void {
    if (this.#begun) return;
    this.#begun = true;
    void this.#run();
  }

  async #run(): Promise<void> {
    const { clock } = this.#options;
    if (!(await this.#look(SOON).catch(() => false))) {
      // Somebody looked in the last seconds, perhaps before what this worker should see. If somebody is first
      // once more, that was since.
      await pause(clock, SOON.everyMs, this.#closing.signal);
      await this.#look(SOON).catch(() => undefined);
    }
    while (!this.#closing.signal.aborted) {
      const isCalled = await this.#waitFor(EVERY_MS);
      if (isCalled) await pause(clock, SOON.everyMs, this.#closing.signal);
      await this.#look(isCalled ? SOON : EACH_MINUTE).catch(() => undefined);
    }
  }

  /** Something was found that may have left an entry in a lane that nobody knows. */
  lookSoon(): void {
    this.#called.abort();
  }

  close(): void {
    this.#closing.abort();
    this.#called.abort();
  }

  /** True: it was called before. */
  async #waitFor(ms: number): Promise<boolean> {
    await pause(this.#options.clock, ms, this.#called.signal);
    const isCalled = this.#called.signal.aborted;
    if (isCalled) this.#called = new AbortController();
    return isCalled;
  }

  /** Whether nobody else has looked just now. */
  async #look({ what, everyMs }: Occasion): Promise<boolean> {
    const { signal } = this.#closing;
    if (signal.aborted) return false;
    const { clock, upkeep, visit, notApplied } = this.#options;
    // Everybody asks: each knows only up to when it has asked itself.
    const isFirst = await upkeep.claim(what, everyMs);
    const { since, jobIds } = await upkeep.unapplied(this.#since);
    this.#since = since;
    if (!isFirst) return false;
    if (jobIds.length > 0) notApplied(jobIds);
    let calledMs = clock.monotonicMs();
    for await (const keys of upkeep.released()) {
      if (signal.aborted) return true;
      keys.forEach(visit);
      await pause(clock, REST_FACTOR * (clock.monotonicMs() - calledMs), signal);
      calledMs = clock.monotonicMs();
    }
    return true;
  }
}
