/** What surrounds a call of users' code that takes its time: it must end some time, and can be told to end early. */
import type { Clock, Timer } from '../../base/clock.ts';
import { TorilError } from '../../errors.ts';

export interface CallSite {
  readonly clock: Clock;
  /** Aborts when whatever the call does cannot count any more. */
  readonly lost?: () => AbortSignal;
  /** While a call is waited for, `tick` is called about every `tickMs`. */
  readonly tickMs?: number;
  tick?(): void;
  /** From now on the call can be told to end early; undefined: no longer. */
  endsBy?(abort: ((reason: unknown) => void) | undefined): void;
  /** Adds a row to the job's log. */
  log?(row: string): void;
}

interface Limit {
  readonly timeoutMs: number;
  /** "the update "u"". */
  readonly what: string;
  /** Tells the call that nobody waits for it any more. */
  readonly abort: (reason: unknown) => void;
}

/**
 * A call that never settles must not hold its key for ever.
 * @throws whatever the call throws, UPDATE_TIMED_OUT
 */
export function settledInTime<T>(call: PromiseLike<T>, site: CallSite, limit: Limit): Promise<T> {
  return new Promise((resolve, reject) => {
    const waiting = new Waiting(site, limit, reject);
    // Whatever a thenable does (settle twice, throw, call back at once), a promise takes it in.
    Promise.resolve(call).then(
      (value) => {
        waiting.end();
        resolve(value);
      },
      (thrown: unknown) => {
        waiting.end();
        reject(thrown as Error);
      },
    );
  });
}

/** Nothing of it is left behind when the call has settled, or is given up. */
class Waiting {
  readonly #site: CallSite;
  readonly #limit: Limit;
  readonly #giveUp: (late: TorilError) => void;
  readonly #endMs: number;
  readonly #lost: AbortSignal | undefined;
  #timer: Timer | undefined;

  constructor(site: CallSite, limit: Limit, giveUp: (late: TorilError) => void) {
    this.#site = site;
    this.#limit = limit;
    this.#giveUp = giveUp;
    this.#endMs = site.clock.monotonicMs() + limit.timeoutMs;
    this.#lost = site.lost?.();
    site.endsBy?.(limit.abort);
    this.#lost?.addEventListener('abort', this.#loseIt, { once: true });
    if (this.#lost?.aborted === true) this.#loseIt();
    else this.#arm();
  }

  end(): void {
    this.#timer?.cancel();
    this.#lost?.removeEventListener('abort', this.#loseIt);
    this.#site.endsBy?.(undefined);
  }

  #arm(): void {
    const { clock, tickMs = Number.POSITIVE_INFINITY } = this.#site;
    const leftMs = Math.max(0, this.#endMs - clock.monotonicMs());
    // Nothing will come of it if the lease is lost: that is no reason to keep a closed worker's process alive.
    const keepAlive = this.#lost?.aborted !== true;
    this.#timer = clock.after(Math.min(leftMs, tickMs), () => this.#wake(), { keepAlive });
  }

  #wake(): void {
    this.#site.tick?.();
    if (this.#site.clock.monotonicMs() < this.#endMs) return this.#arm();
    this.end();
    const { what, timeoutMs, abort } = this.#limit;
    const late = new TorilError(
      'UPDATE_TIMED_OUT',
      `${what} did not settle within ${timeoutMs} ms. Make it faster, heed context.signal, or raise timeoutMs.`,
    );
    abort(late);
    this.#giveUp(late);
  }

  readonly #loseIt = (): void => {
    this.#timer?.cancel();
    this.#arm();
    this.#limit.abort(this.#lost?.reason);
  };
}
