/**
 * Lanes that cannot go on before their first job is delivered, retried or removed. Whoever removes it by
 * Toril's Queue has the next job look at once. A plain BullMQ client (a dashboard) knows no lanes: their
 * jobs, which are snoozed until somebody can go on, would find out after up to a minute. So the worker
 * that has met such a lane looks at it every two seconds: one call for 200 lanes, two commands each.
 */
import type { Clock, Timer } from '../../base/clock.ts';
import type { Lanes } from '../../jobs/lanes.ts';

const LOOK_EVERY_MS = 2_000;
const LANES_PER_CALL = 200;
/** Lanes that are remembered; the jobs of others find out by themselves, later. */
const LANES_MAX = 10_000;

export interface StandingLanesOptions {
  readonly clock: Clock;
  readonly lanes: Pick<Lanes, 'lookAt'>;
  /** A lane can go on. */
  readonly visit: (key: string) => void;
}

export class StandingLanes {
  readonly #options: StandingLanesOptions;
  /** By key: the job that the lane waits for. */
  readonly #heads = new Map<string, string>();
  #timer: Timer | undefined;
  #closed = false;

  constructor(options: StandingLanesOptions) {
    this.#options = options;
  }

  note(key: string, jobId: string): void {
    if (this.#heads.size >= LANES_MAX && !this.#heads.has(key)) return;
    this.#heads.set(key, jobId);
    this.#sleep();
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #sleep(): void {
    if (this.#closed || this.#heads.size === 0) return;
    this.#timer ??= this.#options.clock.after(LOOK_EVERY_MS, () => void this.#look());
  }

  async #look(): Promise<void> {
    const all = Array.from(this.#heads, ([key, jobId]) => ({ key, jobId }));
    for (let at = 0; at < all.length && !this.#closed; at += LANES_PER_CALL) {
      const some = all.slice(at, at + LANES_PER_CALL);
      // Redis is out of reach: next time.
      const sights = await this.#options.lanes.lookAt(some).catch(() => []);
      for (const [n, sight] of sights.entries()) {
        const { key } = some[n] as { key: string };
        if (sight !== 'stands') this.#heads.delete(key);
        if (sight === 'released' && !this.#closed) this.#options.visit(key);
      }
    }
    this.#timer = undefined;
    this.#sleep();
  }
}
