/** How long a caller waits for its leases: until a time, or until its own signal aborts. */
import type { Clock, Timer } from '../base/clock.ts';
import { TorilError } from '../errors.ts';

export class WaitBudget {
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal | undefined;
  readonly #timer: Timer;
  readonly #abort = (): void => this.#controller.abort();
  readonly #waitMs: number;
  /** Resolves when it is at an end. */
  readonly ended: Promise<undefined>;
  #obstacle = 'somebody else holds it';
  #cause: unknown;
  #givenUp: TorilError | undefined;

  constructor(clock: Clock, waitMs: number, outer: AbortSignal | undefined) {
    this.#waitMs = waitMs;
    this.#outer = outer;
    this.ended = new Promise((resolve) => {
      this.signal.addEventListener('abort', () => resolve(undefined), { once: true });
    });
    this.#timer = clock.after(waitMs, this.#abort, { keepAlive: true });
    if (outer?.aborted === true) this.#abort();
    else outer?.addEventListener('abort', this.#abort, { once: true });
  }

  /** Aborts when it is at an end. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** What stands in the way right now, for the error message. */
  noteObstacle(obstacle: string, cause?: unknown): void {
    this.#obstacle = obstacle;
    this.#cause = cause;
  }

  /** Throws LEASE_TIMED_OUT, or the outer signal's reason, once it is at an end. */
  check(): void {
    if (this.signal.aborted) throw this.error();
  }

  error(): unknown {
    if (this.#givenUp !== undefined) return this.#givenUp;
    if (this.#outer?.aborted === true) return this.#outer.reason;
    return new TorilError(
      'LEASE_TIMED_OUT',
      `no lease within ${this.#waitMs} ms: ${this.#obstacle}. Wait longer (waitMs) or try again later.`,
      this.#cause === undefined ? undefined : { cause: this.#cause },
    );
  }

  /** What `promise` brings, unless the budget ends first: then it throws like `check`. */
  async within<T>(promise: Promise<T>): Promise<T> {
    const settled = promise.then((value) => ({ value }));
    const first = await Promise.race([settled, this.ended]);
    if (first === undefined) throw this.error();
    return first.value;
  }

  /** Ends it before its time. */
  giveUp(error: TorilError): void {
    this.#givenUp ??= error;
    this.#abort();
  }

  /** No longer needed: nothing is left behind. */
  end(): void {
    this.#timer.cancel();
    this.#outer?.removeEventListener('abort', this.#abort);
  }
}
