/**
 * The clock of one worker process, and the only way in which anything reaches it. So the process can
 * be frozen as by SIGSTOP (everything waits, while its monotonic clock runs on) and killed.
 */
import type { Clock, Timer } from '../../base/clock.ts';

export class WorkerClock implements Clock {
  readonly #base: Clock;
  #state: 'running' | 'frozen' | 'dead' = 'running';
  #held: (() => void)[] = [];
  #pressing = 0;

  constructor(base: Clock) {
    this.#base = base;
  }

  get state(): 'running' | 'frozen' | 'dead' {
    return this.#state;
  }

  /** Timers that would keep the process alive: work is in hand that waits for them. */
  get pressing(): number {
    return this.#state === 'running' ? this.#pressing : 0;
  }

  monotonicMs(): number {
    return this.#base.monotonicMs();
  }

  wallMs(): number {
    return this.#base.wallMs();
  }

  after(delayMs: number, callback: () => void, options?: { readonly keepAlive?: boolean }): Timer {
    if (this.#state === 'dead') return { cancel() {} };
    const weight = options?.keepAlive === true ? 1 : 0;
    this.#pressing += weight;
    let over = false;
    const end = (): boolean => {
      if (over) return false;
      over = true;
      this.#pressing -= weight;
      return true;
    };
    const timer = this.#base.after(delayMs, () => this.#run(() => void (end() && callback())));
    return { cancel: () => void (end() && timer.cancel()) };
  }

  soon(callback: () => void): void {
    if (this.#state !== 'dead') this.#base.soon(() => this.#run(callback));
  }

  /** Resolves in the process's next moment: never, if it is dead by then. */
  moment(): Promise<void> {
    return new Promise((resolve) => this.soon(resolve));
  }

  freeze(): void {
    if (this.#state === 'running') this.#state = 'frozen';
  }

  /** What fell due meanwhile happens now, in its order. */
  thaw(): void {
    if (this.#state !== 'frozen') return;
    this.#state = 'running';
    for (const callback of this.#held.splice(0)) this.soon(callback);
  }

  kill(): void {
    this.#state = 'dead';
    this.#held = [];
  }

  #run(callback: () => void): void {
    if (this.#state === 'dead') return;
    if (this.#state === 'frozen') this.#held.push(callback);
    else callback();
  }
}
